"""Counts with their nouns, and sizes in memory, as every message says them: "1 row", "2 rows", "less than 1 MiB"."""

from __future__ import annotations

MIB, GIB = 1 << 20, 1 << 30
SIBILANTS = ("s", "x", "ch", "sh")  # "class", "pass", "batch": their plural has a syllable more


def counted(number: float, noun: str) -> str:
    """ "1 row", "2,000 rows", "0.5 passes"; the noun is given in the singular."""
    amount = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    if number == 1:
        return f"{amount} {noun}"
    return f"{amount} {noun}{'es' if noun.endswith(SIBILANTS) else 's'}"


def sized(size: float) -> str:
    """Bytes as people say them: "less than 1 MiB", "310 MiB", "2.4 GiB"."""
    if size < MIB:
        return "less than 1 MiB"
    return f"about {size / MIB:,.0f} MiB" if size < GIB else f"about {size / GIB:,.1f} GiB"
