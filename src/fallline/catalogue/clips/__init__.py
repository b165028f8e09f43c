"""Gradient clips: one entry a file. Add a file with `ENTRY = Clip(...)`; the contract suite proves it."""
