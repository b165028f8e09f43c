"""What tools/build_prior.py learns from the records, for the scripts of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from build_prior import eligible, held_out, known, unseen

__all__ = ["eligible", "held_out", "known", "unseen"]
