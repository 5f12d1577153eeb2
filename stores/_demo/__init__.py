"""The demonstration: the history of a git repository is recorded while every process is killed.

General layout: ``_git`` reads a repository and ``_history`` says what its commits are as sessions,
runs, events and artifacts; ``_tree`` is what runs; ``_recorder`` is the program of the client
processes, and ``_recording`` starts them and gives them work; ``_kills`` kills and measures;
``_proof`` holds the result against git; ``_show`` tells the story, and decides how it ended.
"""

from __future__ import annotations

from stores._demo._show import demo

__all__ = ["demo"]
