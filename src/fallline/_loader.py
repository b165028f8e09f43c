"""Loader: what of a user's DataLoader is kept: dataset, collate function and workers always, a sampler where it is a custom one."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset, default_collate

from fallline._batches import DatasetSource, TensorSource
from fallline._errors import UsageError


def from_loader(loader: DataLoader[Any]) -> tuple[DatasetSource | TensorSource, dict[str, Any], list[str]]:
    """A user's DataLoader as a source, what of it governs the order, and notes on what was kept or replaced."""
    notes = []
    dataset, size, drop_last = loader.dataset, loader.batch_size, loader.drop_last
    sampler: Any = loader.sampler
    if isinstance(dataset, torch.utils.data.IterableDataset):
        raise UsageError(
            "an IterableDataset cannot be read again in another order; give a map-style Dataset (with __len__ and __getitem__)"
        )
    if size is None and loader.batch_sampler is None:
        raise UsageError("a DataLoader with batch_size=None reads ready batches, which cannot be mixed; give a Dataset of single examples")
    if size is None:  # batch_sampler=... was given, and `loader.sampler` says nothing
        sampler, size = loader.batch_sampler, getattr(loader.batch_sampler, "batch_size", None)
        if type(sampler) is BatchSampler and _is_plain(sampler.sampler, dataset):
            sampler, drop_last = sampler.sampler, sampler.drop_last
    size = size if isinstance(size, int) and size > 0 else None
    keep: dict[str, Any] = {"batch_size": size, "drop_last": drop_last, "shuffle": True, "sampler": None}
    if type(sampler) is SequentialSampler and _is_plain(sampler, dataset):
        keep["shuffle"] = False
    elif not _is_plain(sampler, dataset):
        keep["sampler"] = loader.batch_sampler
        notes.append(f"the DataLoader's own {type(sampler).__name__} is kept")
    if loader.worker_init_fn is not None:
        notes.append("the DataLoader's worker_init_fn is not called: what examples draw is seeded for each batch, with workers or without")
    source: DatasetSource | TensorSource = DatasetSource(dataset, loader.collate_fn or default_collate, loader.num_workers)
    if type(dataset) is TensorDataset and loader.collate_fn is default_collate:
        source = TensorSource(tuple(dataset.tensors))
    return source, keep, notes


def _is_plain(sampler: Any, dataset: Any) -> bool:
    """Whether a sampler gives each example once an epoch, in order or shuffled, so that `Order` can take its place."""
    if type(sampler) is RandomSampler:
        return not sampler.replacement and sampler.num_samples == len(dataset)
    return type(sampler) is SequentialSampler and len(sampler) == len(dataset)
