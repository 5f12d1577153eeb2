"""Passing calls on: to other processes, as the bytes they came in, or to objects on threads."""
