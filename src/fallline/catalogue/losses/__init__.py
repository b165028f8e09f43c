"""Losses: one entry a file. Add a file with `ENTRY = Loss(...)`; the contract suite proves it."""
