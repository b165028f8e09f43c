"""Data: the three splits of a problem as sources of batches, made once for a seed; what was split off is said in notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from fallline._batches import (
    EVAL_BATCH,
    IN_FLIGHT_BYTES,
    LAYER_BYTES,
    Batches,
    DatasetSource,
    Order,
    Source,
    TensorSource,
    leaves,
    reseeder,
    rows_of,
    tree_map,
)
from fallline._counted import counted
from fallline._errors import RefusedError, UsageError
from fallline._loader import from_loader
from fallline._problem import Problem, pair, told
from fallline._splits import HALF_KEEPS, Rows, Split, duplicate_groups, split_rows

FLOAT_BYTES = 4
LABELS_READ = 50_000  # examples of a Dataset whose targets are read for stratifying: at most seconds for decoded images


@dataclass(frozen=True)
class Data:
    """The splits of one problem at one seed."""

    train: Source
    valid: Source
    audit: Source
    batch_size: int
    order: dict[str, Any]  # shuffle, drop_last, sampler of the user's own loader
    unpack: Callable[[Any], tuple[Any, Tensor]]
    notes: tuple[str, ...]
    valid_units: np.ndarray[Any, Any] | None = None  # ids of what is resampled; None: each example is its own
    audit_units: np.ndarray[Any, Any] | None = None
    split: Split | None = None  # which rows of what the user gave are which part; None: all three were given
    output_numbers: int = 0  # numbers that the model gives for one example; 0 until it was asked
    layer_bytes: int = 0  # that its layers give for one example; 0 until it was asked

    def batches(self, seed: int, device: torch.device) -> Batches:
        """Training batches under `seed`."""
        order = Order(self.train.size, self.batch_size, seed=seed, **self.order)
        return Batches(self.train, order, self.unpack, device, own_unpack=self.unpack is not pair)

    def sweep(self, split: str, device: torch.device, rows: Tensor | None = None) -> Iterator[tuple[Any, Tensor]]:
        """A split in order, in large batches; `rows` restricts it to some examples."""
        source: Source = getattr(self, split)
        chosen = torch.arange(source.size) if rows is None else rows
        reseed = reseeder(device, everywhere=True) if self.unpack is not pair else None
        for i, part in enumerate(chosen.split(self.eval_batch(split))):
            got = source.take(part, i)
            if device.type != "cpu":
                got = tree_map(lambda leaf: leaf.to(device, non_blocking=True), got)
            if reseed is not None:
                reseed(i)  # a user's unpack may draw (augmentation): every look must see the same
            yield self.unpack(got)

    def eval_batch(self, split: str) -> int:
        """Examples a forward pass when a split is only judged."""
        source: Source = getattr(self, split)
        one = bytes_of_one(source) + FLOAT_BYTES * self.output_numbers
        batch = max(1, min(EVAL_BATCH, IN_FLIGHT_BYTES // max(one, 1), max(LAYER_BYTES // max(self.layer_bytes, 1), self.batch_size)))
        # items may grow when they are decoded or padded
        return batch if isinstance(source, TensorSource) else min(batch, 4 * self.batch_size)

    def targets(self, split: str, most: int | None = None) -> Tensor:
        """The targets of a split, concatenated on the CPU; the first `most` of them where that is given."""
        source: Source = getattr(self, split)
        rows = torch.arange(source.size if most is None else min(most, source.size))
        return joined([target.cpu() for _, target in self.sweep(split, torch.device("cpu"), rows)], "targets")


def joined(batches: list[Tensor], what: str) -> Tensor:
    """Batches of a split one after another, as metrics read them; refuses those that were padded to different lengths."""
    shapes = list(dict.fromkeys(tuple(batch.shape[1:]) for batch in batches))
    if len(shapes) > 1:
        one, other = (f"(N, {', '.join(map(str, shape))})" for shape in shapes[:2])
        advice = "pad all to one length, with a target of ignore_index where there is nothing to predict"
        raise RefusedError(f"{what} have shape {one} in one batch and {other} in another; {advice}")
    return torch.cat(batches)


def bytes_of_one(source: Source) -> int:
    if not source.size:
        return 0
    one = source.take(torch.zeros(1, dtype=torch.long), 0)
    return sum(leaf.element_size() * leaf.numel() for leaf in leaves(one))


def open_data(problem: Problem, seed: int = 0) -> Data:
    """The problem's splits; what is missing is carved off train by the written rule, the same for the same seed."""
    unpack = problem.unpack or pair
    train, loader, notes = source_of("train", problem.train, problem)
    valid, _, _ = source_of("valid", problem.valid, problem) if problem.valid is not None else (None, {}, [])
    audit, _, _ = source_of("audit", problem.audit, problem) if problem.audit is not None else (None, {}, [])
    _check_readable(train, problem.unpack)
    own_batch = loader.pop("batch_size", None)
    if loader.get("sampler") is not None and (valid is None or audit is None):
        raise UsageError("a custom sampler or batch sampler cannot be split; give valid and audit yourself, or a plain DataLoader")
    groups, split = problem.origin.train_groups, None
    if valid is None or audit is None:
        split = split_rows(
            train.size,
            n_valid=None if valid is None else valid.size,
            n_audit=None if audit is None else audit.size,
            seed=seed,
            labels=_labels(train, unpack, problem),
            groups=_groups(train) if groups is None else groups,
            valid=_described(valid, unpack, problem) if valid is not None and audit is None else None,
        )
        notes += split.notes
        whole, given = train, valid
        train = rows_of(whole, torch.from_numpy(split.train))
        if valid is None:
            valid = rows_of(whole, torch.from_numpy(split.valid))
        if audit is None:
            from_valid = given is not None and split.audit_from_valid
            audit = rows_of(given if from_valid and given is not None else whole, torch.from_numpy(split.audit))
            if from_valid and given is not None:
                valid = rows_of(given, torch.from_numpy(split.valid))
    assert valid is not None and audit is not None
    for name, part in (("valid", valid), ("audit", audit)):
        if part.size < 2:
            raise RefusedError(f"{name} has {counted(part.size, 'example')}; at least 2 are needed, better hundreds")
    batch_size = problem.batch_size or own_batch or default_batch_size(train.size)
    if not problem.batch_size and not loader.get("sampler"):  # not set for what the split has left of the rows: it gives way to few
        batch_size = min(batch_size, max(train.size // problem.accumulate, 1))
    there = f"the {counted(train.size, 'training example')}"
    if problem.batch_size and problem.batch_size > train.size:
        raise UsageError(f"batch_size {problem.batch_size} is larger than {there}; give at most {train.size}")
    if train.size // batch_size < problem.accumulate and not loader.get("sampler"):
        raise UsageError(f"accumulate {problem.accumulate} x batch_size {batch_size} is more than {there}")
    order = {**loader, "shuffle": loader.get("shuffle", True) and problem.shuffle}
    if order.get("drop_last") is False and not order["sampler"] and train.size > batch_size and train.size % batch_size == 1:
        order["drop_last"] = True
        notes.append("the last batch of an epoch would hold a single example, on which batch norm fails; it is dropped")
    origin = problem.origin
    of_valid, of_audit = origin.valid_groups, origin.audit_groups
    if split is not None:  # a part that was carved off keeps the groups of the rows that it came from
        if problem.audit is None:
            of_audit = _at(of_valid, split.audit) if split.audit_from_valid else _at(origin.train_groups, split.audit)
        if problem.valid is None:
            of_valid = _at(origin.train_groups, split.valid)
        elif split.audit_from_valid:
            of_valid = _at(of_valid, split.valid)
    units = _units(of_valid, valid), _units(of_audit, audit)
    return Data(train, valid, audit, batch_size, order, unpack, tuple(notes), *units, split)


def default_batch_size(rows: int) -> int:
    """About a hundredth of the rows as a power of two, from 32 to 256: some 100 steps an epoch, gradient noise still useful."""
    size = 32
    while size < 256 and size * 100 < rows:
        size *= 2
    return size


def default_epochs(rows: int, batch_size: int, kind: str) -> float:
    """The length when none is given, from rows and model kind, never from time.

    MLPs on tables: plain AdamW gains 2 % or less from 3,000 updates to 4,000 (California housing, protein), and small tables have lost what
    they gained after 40 passes. Convolutional and recurrent models cost more a step and see augmented or longer inputs, so they are given
    fewer updates and more passes. Never fewer than 5 passes.
    """
    updates, most = {"mlp": (3_000, 40), "transformer": (3_000, 100)}.get(kind, (2_000, 100))
    return float(min(max(round(updates * batch_size / rows), 5), most))


def source_of(name: str, given: Any, problem: Problem) -> tuple[Source, dict[str, Any], list[str]]:
    """What was given as a split, as a source; what of a user's loader governs batches and order; notes on what was replaced."""
    if isinstance(given, DataLoader):
        source, keep, notes = from_loader(given)
        return _precise(source, problem), keep, notes if name == "train" else []
    if isinstance(given, str | Path):
        raise UsageError(
            f"{name} must be (inputs, target) tensors, a Dataset or a DataLoader, got a path; fallline.open_problem({given!r}) reads files"
        )
    examples = isinstance(given, list) and len(given) > 0 and all(isinstance(example, tuple) for example in given)  # a Dataset as it stands
    if isinstance(given, tuple | list | dict) and not examples:
        tree = _tensors(name, given)
        source = TensorSource(tree)
        if source.size == 0:
            raise RefusedError(f"{name} is empty; at least a few dozen examples are needed")
        return _precise(source, problem), {}, []
    if isinstance(given, TensorDataset):
        return _precise(TensorSource(_tensors(name, given.tensors)), problem), {}, []
    if isinstance(given, torch.utils.data.IterableDataset):
        raise UsageError(f"{name}: an IterableDataset cannot be read in another order; give a map-style Dataset")
    if not hasattr(given, "__getitem__") or not hasattr(given, "__len__"):
        raise UsageError(f"{name} must be (inputs, target) tensors, a Dataset or a DataLoader, got {type(given).__name__}")
    if len(given) == 0:
        raise RefusedError(f"{name} is empty; at least a few dozen examples are needed")
    return DatasetSource(given), {}, []


def _tensors(name: str, given: Any) -> Any:
    """Nested tensors; numpy arrays are taken over, everything else is refused."""
    if isinstance(given, torch.Tensor):
        if given.is_meta:
            raise RefusedError(f"{name} lies on the meta device, where tensors have shapes and no numbers; give tensors of the CPU")
        return given.detach().cpu()  # batches are moved to the device; gradients of inputs are of no use
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "biuf":
            raise UsageError(f"{name} must hold numbers, got an array of {given.dtype}; encode words and dates as numbers first")
        return torch.from_numpy(given)
    if isinstance(given, dict):
        return {key: _tensors(name, value) for key, value in given.items()}
    if isinstance(given, tuple | list):
        return tuple(_tensors(name, value) for value in given)
    raise UsageError(
        f"{name} must hold tensors or numpy arrays, got {type(given).__name__}; give (inputs, target), a Dataset or a DataLoader"
    )


def _precise(source: Source, problem: Problem) -> Source:
    """float64 arrays are what numpy gives, not what a float32 model takes; converted once here, as every tutorial does by hand."""
    if not isinstance(source, TensorSource):
        return source
    wanted = torch.float64 if problem.precision == "64" else torch.float32
    return TensorSource(tree_map(lambda leaf: leaf.to(wanted) if leaf.is_floating_point() and leaf.dtype != wanted else leaf, source.tree))


def _check_readable(source: Source, unpack: Callable[[Any], tuple[Any, Tensor]] | None) -> None:
    """Read the first two examples, so that what a user's Dataset or `unpack` raises is said once and plainly."""
    try:
        batch = source.take(torch.arange(min(2, source.size)), 0)
    except Exception as error:  # whatever the user's Dataset or collate function raises
        raise RefusedError(f"train raised {type(error).__name__} when its first examples were read: {error}") from error
    if unpack is None:
        return
    try:
        got = unpack(batch)
    except Exception as error:
        raise UsageError(f"unpack raised {type(error).__name__} on {told(batch)}: {error}") from error
    if not (isinstance(got, tuple | list) and len(got) == 2 and isinstance(got[1], Tensor)):
        came = told(got) if isinstance(got, tuple | list | dict) else f"a {type(got).__name__}"
        raise UsageError(f"unpack must return (inputs, target), where target is a tensor; it returned {came} for {told(batch)}")


def _labels(source: Source, unpack: Callable[[Any], tuple[Any, Tensor]], problem: Problem) -> np.ndarray[Any, Any] | None:
    """Class labels for stratifying: whole-number targets of one value an example with few distinct values; else None."""
    if not isinstance(source, TensorSource) and source.size > LABELS_READ:
        return None
    targets = torch.cat([unpack(source.take(rows, 0))[1].reshape(len(rows), -1) for rows in torch.arange(source.size).split(EVAL_BATCH)])
    if targets.shape[1] != 1 or problem.task in ("regression", "count"):
        return None
    values = targets[:, 0]
    if values.is_floating_point() and not bool(((values == 0) | (values == 1)).all()):
        return None
    kinds, labels = values.unique(return_inverse=True)
    return labels.numpy() if len(kinds) <= max(2, source.size // 20) else None  # finer labels than 20 rows each are no classes


def _groups(source: Source) -> np.ndarray[Any, Any] | None:
    """Ids of equal inputs, so that no duplicate row crosses a split; only where rows are at hand as tensors."""
    if not isinstance(source, TensorSource) or not isinstance(source.tree, tuple) or len(source.tree) < 2:
        return None
    columns = [leaf.reshape(source.size, -1).numpy() for leaf in leaves(source.tree[0])]
    if any(not column.shape[1] for column in columns):
        return None
    ids = [duplicate_groups(column) for column in columns]
    together = ids[0] if len(ids) == 1 else duplicate_groups(np.stack(ids, axis=1))
    _, first, named = np.unique(together, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[named]  # numbered as they appear


def _described(valid: Source, unpack: Callable[[Any], tuple[Any, Tensor]], problem: Problem) -> Rows:
    """A valid set that was given, with classes and groups where it is large enough to be halved."""
    if valid.size < 2 * HALF_KEEPS:
        return Rows(count=valid.size)
    groups = problem.origin.valid_groups
    return Rows(count=valid.size, labels=_labels(valid, unpack, problem), groups=_groups(valid) if groups is None else np.asarray(groups))


def _at(groups: Any, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    return None if groups is None else np.asarray(groups)[rows]


def _units(groups: Any, source: Source) -> np.ndarray[Any, Any] | None:
    if groups is not None and len(groups) == source.size:
        return np.asarray(groups)
    ids = _groups(source)
    return ids if ids is not None and len(np.unique(ids)) < source.size else None
