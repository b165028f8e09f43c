"""Topics: pages on choices that are no entries of their own. Add a file with a docstring and `ENTRY = Topic(...)`."""
