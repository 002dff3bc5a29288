"""What stands between agents and engines: who runs next, what is in memory, and whose turn it is."""
