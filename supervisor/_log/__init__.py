"""Log records of the tree's processes, on their way to the handlers of its root."""
