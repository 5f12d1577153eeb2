"""Nothing piles up: the same done a thousand times leaves every process as large as before."""
