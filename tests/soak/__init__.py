"""The soak: everything but the root is killed, again and again, under load, and nothing is lost."""
