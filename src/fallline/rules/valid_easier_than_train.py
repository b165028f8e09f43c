"""Valid is easier than train

How it is detected:
After the watched run the loss is taken in eval mode on 16 groups of train and 16 of valid examples. The finding needs that valid lies below
train by a third, and by five standard errors of the two means: dropout and a falling loss are no part of it.

Why it matters:
A model cannot do better on new examples of the same kind than on those that it was fitted to. Valid is then no sample of what train is:
easier cases, no augmentation, another preparation, wrong labels in train only, or copies.

What to do:
Draw valid at random from the same rows where that is right. Where train is augmented or weighted on purpose, nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import ROWS, numbers, rows
from fallline.signals import Unavailable, Window, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

GROUPS = 16
LESS, ERRORS = 0.67, 5.0


def check(window: Window) -> Outcome:
    import torch

    seen = window.read(trace.ENTRY)
    if window.setup.valid is None or not seen.run.finite or not seen.run.updates:
        return NotApplicable("there is no valid split, or the watched run did not stay finite")
    figures: dict[str, float] = {}
    for split in ("train", "valid"):
        inputs, target = window.setup.sample(split)
        if len(target) < 4 * GROUPS:
            return NotApplicable(f"{len(target)} examples of {split} are too few for a standard error")
        output = window.setup.judged(seen.made.model, inputs)
        if len(output) != len(target):
            return NotApplicable("output and target differ in their first dimension")
        order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0)).tensor_split(GROUPS)
        values = torch.tensor([_loss(window, output[part], target[part]) for part in order], dtype=torch.float64)
        figures |= {split: float(values.mean()), f"{split} error": float(values.std()) / math.sqrt(GROUPS)}
    train, valid = figures["train"], figures["valid"]
    error = math.hypot(figures["train error"], figures["valid error"])
    if not math.isfinite(train + valid) or train <= 0 or valid > LESS * train or train - valid < ERRORS * error:
        return None
    evidence = (
        f"after {seen.run.updates} updates the loss in eval mode is {valid:.4g} on valid and {train:.4g} on train, "
        f"{(train - valid) / error:.0f} "
        "standard errors apart"
    )
    return RULE.finding(evidence, "look whether valid is a random sample of what train is", place="valid", figures=figures)


def _loss(window: Window, output: object, target: object) -> float:
    import torch

    try:
        with torch.no_grad():
            loss = window.read(trace.ENTRY).made.loss(output, target)  # type: ignore[arg-type]  # the user's
            return float(torch.as_tensor(loss).float().mean())
    except Exception as error:  # whatever the user's loss raises on a small batch
        raise Unavailable(str(window.setup.told("the loss", error))) from error


RULE = Rule(
    code="FL614",
    name="valid_easier_than_train",
    title="Valid is easier than train",
    faults=("R14",),
    severity="info",
    stage="symptom",
    check=check,
)


def _noise_in_train(deviation: float) -> Problem:
    import torch

    x, y = rows(ROWS, 1)
    return numbers(train=(x, y + deviation * torch.randn(y.shape, generator=torch.Generator().manual_seed(4))))


FIRES: Cases = {"targets of train alone are noisy": lambda: _noise_in_train(1.0)}
SILENT: Cases = {"splits of one kind": lambda: _noise_in_train(0.0)}
