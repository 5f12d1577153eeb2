"""The side that answers: connections, operations, and the life of a server process."""
