"""The soak: every kind of process is killed, again and again, under load, and nothing is lost."""
