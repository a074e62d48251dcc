"""Keeps conversations past the process that served them. Knows nothing of calls or wires."""
