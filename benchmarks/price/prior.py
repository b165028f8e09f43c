"""What tools/build_prior.py learns from the records, for the scripts of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from build_prior import SIZE, eligible, held_out, known, only, unseen

__all__ = ["SIZE", "eligible", "held_out", "known", "only", "unseen"]
