"""How a process is reached: one way of delivering a call, over blocking or non-blocking sockets."""
