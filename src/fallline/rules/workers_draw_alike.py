"""Workers of the loader draw the same random numbers

How it is detected:
The loader has several workers, and the dataset gives another example each time that it is asked for the same row. Two copies of it, as
two workers have them, are asked for that row while the common generators of torch, numpy and Python stand at different seeds: they give
the same, bit for bit.

Why it matters:
The dataset draws from a generator of its own, which each worker gets a copy of, and every worker anew each epoch. Examples are then
augmented in the same few ways over and over.

What to do:
Draw from torch's, numpy's or Python's common generator, which the loader seeds apart in each worker; or reseed the own one in
`worker_init_fn` from `torch.initial_seed()`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import ROWS, numbers, rows
from fallline.signals import Unavailable, Window

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    from torch.utils.data import DataLoader, IterableDataset

    loader = window.setup.problem.train
    if not isinstance(loader, DataLoader) or loader.num_workers < 2 or isinstance(loader.dataset, IterableDataset):
        return NotApplicable("there is no loader with several workers")
    if loader.worker_init_fn is not None:
        return NotApplicable("worker_init_fn may reseed what the dataset draws from")
    try:
        one, other = copy.deepcopy(loader.dataset), copy.deepcopy(loader.dataset)
        first, again, theirs = _drawn(one, 1), _drawn(one, 2), _drawn(other, 3)
    except Exception as error:  # whatever the user's dataset raises
        raise Unavailable(str(window.setup.told("reading an example", error))) from error
    if _same(first, again) or not _same(first, theirs):
        return None
    evidence = (
        f"the loader has {loader.num_workers} workers; two copies of its dataset give the same random example, bit for bit, "
        f"whatever the common "
        "generators stand at, while one copy gives another each time"
    )
    remedy = "draw from torch's common generator, or reseed the dataset's own in worker_init_fn"
    return RULE.finding(evidence, remedy, place="train", figures={"workers": loader.num_workers})


def _drawn(dataset: Any, seed: int) -> Any:
    """Row 0, with the common generators at this seed."""
    from fallline._batches import seeded

    with seeded(seed):
        return dataset[0]


def _same(one: Any, other: Any) -> bool:
    import torch

    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return all(_same(a, b) for a, b in zip(one, other, strict=True))
    return bool((one == other).all()) if hasattr(one, "all") else bool(one == other)


RULE = Rule(
    code="FL510",
    name="workers_draw_alike",
    title="Workers of the loader draw the same random numbers",
    faults=("D10",),
    severity="warn",
    stage="data",
    check=check,
)


def _augmented(own: bool, workers: int) -> Problem:
    import torch
    from torch.utils.data import DataLoader, Dataset

    x, y = rows(ROWS, 1)

    class Jittered(Dataset[Any]):
        def __init__(self) -> None:
            self.draws = torch.Generator().manual_seed(0) if own else None

        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, row: int) -> Any:
            return x[row] + 0.05 * torch.randn(x.shape[1], generator=self.draws), y[row]

    return numbers(train=DataLoader(Jittered(), batch_size=32, shuffle=True, num_workers=workers), batch_size=None)


FIRES: Cases = {"a generator of the dataset's own, two workers": lambda: _augmented(own=True, workers=2)}
SILENT: Cases = {
    "torch's common generator": lambda: _augmented(own=False, workers=2),
    "no workers": lambda: _augmented(own=True, workers=0),
    "tensors": numbers,
}
