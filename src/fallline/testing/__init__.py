"""Contract suites, shipped: whoever writes an entry, here or in another package, proves it with one call of `prove(ENTRY)`."""
