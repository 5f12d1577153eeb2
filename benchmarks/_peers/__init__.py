"""Others that carry a call from one process to another, each with a client process of its own.

A module ``NAME`` is run as ``python -m benchmarks._peers.NAME FOLDER``: it starts a server process
that holds one session, and is the client. It says ``ready``, then answers each line with a number
by that many calls, as a JSON list of how many seconds each took, and ends at the end of its input.
So a peer's threads, loops and imports are in nobody else's way, and each is asked alike.
"""
