"""Worker pools: a supervisor whose children carry out the tasks, or the calls, of others.

``spec`` says what a pool is. ``core`` decides, without a process, a socket or a clock, which worker
gets which task and what follows from a death; ``process`` does it, in the pool's own process, which
never runs a task; ``worker`` is the life of a worker. ``executor`` is what programs use: it turns
functions into bytes (``payload``), sends them (``connection``), and gets futures their results.
"""
