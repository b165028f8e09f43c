"""How running text becomes pieces of characters: the same code in the door and in exported scripts, which copy it by its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from fallline.doors._prepare import PARTS

UNKNOWN = 0  # the code of characters that train does not hold


def running_text(path: Any) -> str:
    """The text of a UTF-8 file, with one kind of line end."""
    return Path(path).read_text(encoding="utf-8-sig")


def pieces(text: str, symbols: str, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The text cut into pieces (pieces, length), and the character that follows each character in it, both as int64 codes."""
    code = {symbol: number for number, symbol in enumerate(symbols, UNKNOWN + 1)}
    codes = np.array([code.get(symbol, UNKNOWN) for symbol in text], dtype=np.int64)
    count = (len(codes) - 1) // length
    return (
        torch.from_numpy(codes[: count * length].reshape(count, length)),
        torch.from_numpy(codes[1 : count * length + 1].reshape(count, length)),
    )


def parts_of_text(path: Any, preparation: dict[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Train, valid and audit, one after another as they stand in the file."""
    text, spec = running_text(path), preparation["language"]
    if len(text) != spec["cuts"][-1]:
        raise ValueError(f"the preparation was fitted on {spec['cuts'][-1]:,} characters, this file has {len(text):,}; give the same file")
    cuts = zip(PARTS, spec["cuts"][:-1], spec["cuts"][1:], strict=True)
    return {name: pieces(text[start:end], spec["symbols"], spec["length"]) for name, start, end in cuts}
