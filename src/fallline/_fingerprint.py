"""Fingerprint: whether the data that a resumed race is given are those that it began with."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from fallline._batches import Source, TensorSource, leaves
from fallline._data import Data

EXAMPLES = 64  # of a Dataset, whose examples may be dear to read
TWICE = 8  # of them read again: a Dataset that draws from a generator of its own has no fingerprint
MOST_BYTES = 256e6  # of tensors, a quarter of a second; beyond it evenly spaced rows


def fingerprint(data: Data) -> str:
    """A digest of train, valid and audit; that of a Dataset which gives other examples at each reading holds its size alone."""
    digest = hashlib.blake2b(digest_size=16)
    for source in (data.train, data.valid, data.audit):
        digest.update(str(source.size).encode())
        if isinstance(source, TensorSource):
            stride = max(-(-source.bytes // int(MOST_BYTES)), 1)
            _add(digest, source.tree if stride == 1 else source.take(torch.arange(0, source.size, stride), 0))
        elif _read(source, TWICE) == _read(source, TWICE):
            digest.update(_read(source, EXAMPLES))
    return digest.hexdigest()


def _read(source: Source, count: int) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    _add(digest, source.take(torch.arange(min(count, source.size)), 0))
    return digest.digest()


def _add(digest: Any, tree: Any) -> None:
    for leaf in leaves(tree):
        digest.update(f"{leaf.dtype}{tuple(leaf.shape)}".encode())
        digest.update(leaf.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
