"""This project's agents: one a file, each an `Agent` object. `cash.py` is the shortest, read it first."""
