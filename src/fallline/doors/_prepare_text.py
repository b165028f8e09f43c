"""How texts become codes of tokens: the same code in the door and in exported scripts, which copy it by its source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fallline.doors._prepare import in_parts, read_frame, targets, words

if TYPE_CHECKING:
    import polars as pl

WORD = re.compile(r"\w+|[^\w\s]")  # a run of letters and digits, or one sign
PADDING, UNKNOWN = 0, 1  # codes; the stored tokens follow


def tokens_of(text: str, level: str) -> list[str]:
    """A text in lower case as its words and signs, or as its characters."""
    return WORD.findall(text.lower()) if level == "words" else list(text.lower())


def codes_of(column: pl.Series, spec: dict[str, Any]) -> torch.Tensor:
    """Texts as codes of their first tokens, int64 (rows, length), padded at the end; a row without text is all padding."""
    code = {token: number for number, token in enumerate(spec["tokens"], UNKNOWN + 1)}
    found = np.full((len(column), spec["length"]), PADDING, dtype=np.int64)
    for row, text in enumerate(words(column).to_list()):
        codes = [code.get(token, UNKNOWN) for token in tokens_of(text or "", spec["level"])[: spec["length"]]]
        found[row, : len(codes)] = codes
    return torch.from_numpy(found)


def parts_of_texts(path: Any, preparation: dict[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Train, valid and audit of the file that the preparation was fitted on, their rows in the order of the file."""
    frame = read_frame(path, preparation["reading"])
    spec = preparation["text"]
    return in_parts(codes_of(frame[spec["column"]], spec), targets(frame, preparation), preparation)
