"""Batches: which examples make up step k and with which random draws, as a pure function of (seed, k)."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from fallline._errors import RefusedError, UsageError

Tree: TypeAlias = "Tensor | tuple[Any, ...] | list[Any] | dict[str, Any]"

INIT, STEP, ORDER, HEAD = 0, 1, 2, 3  # the streams of random numbers: initial weights, training steps, order of examples, weights of a loss
EVAL_BATCH = 4096  # examples a forward pass when only evaluating: large enough to hide the overhead, small enough for memory
GATHERED_BYTES = 1 << 27  # up to 128 MiB of training data are gathered a whole epoch at a time; it doubles their memory
IN_FLIGHT_BYTES = 1 << 28  # an evaluation batch of raw inputs stays below 256 MiB
LAYER_BYTES = (
    1 << 26
)  # and what all layers give for it below 64 MiB, unless a training step takes as many examples, and more memory for each


def stream(seed: int, purpose: int, index: int = 0) -> int:
    """The generator seed for draw `index` of one purpose.

    torch's CPU generator reads only the lower 32 bits of a seed (a 64-bit packing would give every seed the same weights), so the
    three numbers are mixed into 32 bits by odd multipliers: distinct for all indices of one seed and purpose.
    """
    return (seed * 0x9E3779B1 + purpose * 0x85EBCA77 + index * 0xC2B2AE3D) % 2**32  # the multipliers of xxHash32


def reseeder(device: torch.device, everywhere: bool = False) -> Callable[[int], object]:
    """The cheapest function that seeds what a training step on `device` may draw from.

    `torch.manual_seed` costs about 80 microseconds, the default generator's own method about one. `everywhere` adds numpy and
    `random`, which a user's Dataset may draw from.
    """
    seed_cpu = torch.default_generator.manual_seed
    if device.type == "cpu" and not everywhere:
        return seed_cpu
    seed_cuda = _cuda_generator(device).manual_seed if device.type == "cuda" else None

    def reseed(value: int) -> None:
        seed_cpu(value)
        if seed_cuda is not None:
            seed_cuda(value)
        elif device.type == "mps":
            torch.mps.manual_seed(value)
        if everywhere:
            np.random.seed(value)  # the legacy generator is the one that datasets in the wild use
            random.seed(value)

    return reseed


def _cuda_generator(device: torch.device) -> torch.Generator:
    """The generator of this very device: `torch.cuda.manual_seed` seeds the current one, which may be another."""
    torch.cuda.init()  # the generators are made here
    return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """All generators that a user's code may draw from start at `seed`, and are put back afterwards."""
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    on_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    reseeder(torch.device("cpu"), everywhere=True)(seed)
    if on_cuda is not None:
        torch.cuda.manual_seed_all(seed)
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])
        if on_cuda is not None:
            torch.cuda.set_rng_state_all(on_cuda)


def tree_map(apply: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """`apply` on every tensor of nested tuples, lists and dicts; anything else is handed through."""
    if isinstance(tree, Tensor):
        return apply(tree)
    if isinstance(tree, Mapping):
        return {key: tree_map(apply, value) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(tree_map(apply, value) for value in tree)
    return tree


def _filled(tree: Any, values: Iterator[Tensor]) -> Any:
    """The structure of `tree` with other tensors in it, in the order of `leaves`."""
    return tree_map(lambda _: next(values), tree)


def leaves(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, tuple | list):
        for value in tree:
            yield from leaves(value)


class Source(Protocol):
    """Examples by index; `take` gives a raw batch as the user's own loader would."""

    size: int

    def take(self, indices: Tensor, seed: int) -> Any: ...

    def to(self, device: torch.device) -> Source: ...


class TensorSource:
    """Examples held as tensors with a common first dimension, gathered by index."""

    def __init__(self, tree: Any) -> None:
        sizes = {len(leaf) if leaf.ndim else -1 for leaf in leaves(tree)}
        if len(sizes) != 1 or -1 in sizes:
            raise RefusedError(
                f"all tensors must have the same number of rows, got {sorted(sizes) or 'no tensor'}; check inputs and target"
            )
        self.tree = tree
        self.size = sizes.pop()
        self.bytes = sum(leaf.numel() * leaf.element_size() for leaf in leaves(tree))

    def take(self, indices: Tensor, seed: int) -> Any:
        return tree_map(lambda leaf: leaf.index_select(0, indices), self.tree)

    def to(self, device: torch.device) -> TensorSource:
        return self if device.type == "cpu" else TensorSource(tree_map(lambda leaf: leaf.to(device), self.tree))


class _Seeded(Dataset[Any]):
    """A dataset read a batch at a time under that batch's own seed, so that what it draws depends on (seed, k) alone."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitems__(self, keys: list[tuple[int, int]]) -> list[Any]:
        reseeder(torch.device("cpu"), everywhere=True)(keys[0][0])
        return [self.dataset[index] for _, index in keys]


class DatasetSource:
    """A map-style Dataset read through its own collate function, in this process or in the user's number of workers."""

    def __init__(self, dataset: Dataset[Any], collate: Callable[[list[Any]], Any] = default_collate, workers: int = 0) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise UsageError(f"train, valid and audit must be tensors or a map-style Dataset with __len__, got {type(dataset).__name__}")
        self.dataset = dataset
        self.size = len(dataset)
        self.collate = collate
        self.workers = workers
        self._seeded = _Seeded(dataset)

    def take(self, indices: Tensor, seed: int) -> Any:
        return self.collate(self._seeded.__getitems__([(seed, i) for i in indices.tolist()]))

    def ahead(self, plan: Sequence[tuple[Tensor, int]]) -> Iterator[Any]:
        """The batches of `plan`, (indices, seed) each, fetched by the user's worker processes ahead of their use."""
        keys = [[(seed, i) for i in indices.tolist()] for indices, seed in plan]
        yield from DataLoader(self._seeded, batch_sampler=keys, collate_fn=self.collate, num_workers=self.workers)

    def to(self, device: torch.device) -> DatasetSource:
        return self


def rows_of(source: Source, rows: Tensor) -> Source:
    """The given rows of a source: a copy where it holds tensors, a view where it reads a Dataset, with its collate function and workers."""
    if isinstance(source, TensorSource):
        return TensorSource(tree_map(lambda leaf: leaf.index_select(0, rows), source.tree))
    assert isinstance(source, DatasetSource)
    return DatasetSource(Subset(source.dataset, rows.tolist()), source.collate, source.workers)


class Order:
    """The rows of each step: a permutation an epoch, cut into batches; an incomplete last batch is dropped when there is another."""

    def __init__(self, size: int, batch_size: int, *, seed: int, shuffle: bool = True, drop_last: bool = True, sampler: Any = None) -> None:
        self.size = size
        self.batch_size = min(batch_size, size)
        self.seed = seed
        self.shuffle = shuffle
        self.sampler = sampler
        whole = size // self.batch_size
        self.per_epoch = whole if drop_last else -(-size // self.batch_size)
        if sampler is not None:
            self.per_epoch = max(len(self._sampled(0)), 1)
        self._epoch = -1
        self._batches: Sequence[Tensor] = ()

    def rows(self, k: int) -> Tensor:
        """The row numbers of batch k, counted from the start of training."""
        epoch, position = divmod(k, self.per_epoch)
        if epoch != self._epoch:
            self._batches = self.epoch(epoch)
            self._epoch = epoch
        return self._batches[position]

    def epoch(self, epoch: int) -> Sequence[Tensor]:
        """The row numbers of all batches of one epoch."""
        if self.sampler is not None:
            return self._sampled(epoch)
        if self.shuffle:
            generator = torch.Generator().manual_seed(stream(self.seed, ORDER, epoch))
            order = torch.randperm(self.size, generator=generator)
        else:
            order = torch.arange(self.size)
        batches: Sequence[Tensor] = order.split(self.batch_size)
        return batches[: self.per_epoch]

    def _sampled(self, epoch: int) -> Sequence[Tensor]:
        """One epoch of the user's own batch sampler, drawn under the epoch's seed; the generators are put back afterwards."""
        seed = stream(self.seed, ORDER, epoch)
        for own in (getattr(self.sampler, "generator", None), getattr(getattr(self.sampler, "sampler", None), "generator", None)):
            if isinstance(own, torch.Generator):  # left as it is, an epoch would depend on how often it was drawn from before
                own.manual_seed(seed)
        with seeded(seed):
            if hasattr(self.sampler, "set_epoch"):
                self.sampler.set_epoch(epoch)
            return [torch.as_tensor(batch) for batch in self.sampler]


class Batches:
    """Batch k of training, moved to the device and unpacked into (inputs, target)."""

    def __init__(
        self, source: Source, order: Order, unpack: Callable[[Any], tuple[Any, Tensor]], device: torch.device, *, own_unpack: bool = False
    ) -> None:
        self.source = source.to(device)
        self.order = order
        self.unpack = unpack
        self._own_unpack = reseeder(device, everywhere=True) if own_unpack else None  # a user's may draw (augmentation)
        self.device = device
        self.per_epoch = order.per_epoch
        self._ahead: Iterator[Any] | None = None
        self._next = -1
        self._on_device = isinstance(self.source, TensorSource)
        small = isinstance(self.source, TensorSource) and self.source.bytes <= GATHERED_BYTES
        self.gathers = small and order.sampler is None
        self._gathered: Sequence[Any] = ()
        self._epoch = -1

    def raw(self, k: int) -> Any:
        """Batch k as the user's own loader would give it."""
        if isinstance(self.source, DatasetSource) and self.source.workers:
            return self._fetched_ahead(k, self.source)
        rows = self.order.rows(k)
        if self.device.type != "cpu" and self._on_device:
            rows = rows.to(self.device)
        return self.source.take(rows, stream(self.order.seed, STEP, k))

    def __call__(self, k: int) -> tuple[Any, Tensor]:
        if self.gathers:
            epoch, position = divmod(k, self.per_epoch)
            if epoch != self._epoch:
                self._gathered, self._epoch = self._gather(epoch), epoch
            batch = self._gathered[position]
            return batch if self._own_unpack is None else self._unpacked(batch, k)
        batch = self.raw(k)
        if self.device.type != "cpu" and not self._on_device:
            batch = tree_map(lambda leaf: leaf.to(self.device, non_blocking=True), batch)
        return self._unpacked(batch, k)

    def _unpacked(self, batch: Any, k: int) -> tuple[Any, Tensor]:
        if self._own_unpack is not None:
            self._own_unpack(stream(self.order.seed, STEP, k))
        return self.unpack(batch)

    def _gather(self, epoch: int) -> Sequence[Any]:
        """All batches of an epoch at once: one gather and views of it cost less than a gather a step, and are the same numbers."""
        batches = self.order.epoch(epoch)
        whole = self.source.take(torch.cat(tuple(batches)).to(self.device), 0)
        sizes = [len(rows) for rows in batches]
        parts = zip(*[leaf.split(sizes) for leaf in leaves(whole)], strict=True)
        raw = [_filled(whole, iter(part)) for part in parts]
        return raw if self._own_unpack is not None else [self.unpack(batch) for batch in raw]

    def _fetched_ahead(self, k: int, source: DatasetSource) -> Any:
        if k != self._next or self._ahead is None:
            end = (k // self.per_epoch + 1) * self.per_epoch
            self._ahead = source.ahead([(self.order.rows(j), stream(self.order.seed, STEP, j)) for j in range(k, end)])
        self._next = k + 1 if (k + 1) % self.per_epoch else -1
        return next(self._ahead)
