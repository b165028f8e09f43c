"""Loss compares every output with every target

How it is detected:
Output and target have different shapes, such as (N, 1) and (N), and exchanging the targets between the cases of a batch does not change
the loss, while another target does: the loss takes the mean over all pairs.

Why it matters:
The best answer is then the mean of the targets, for every case. The loss falls to the variance of the target and stays there, whatever
the model. torch warns once, and only for its own losses.

What to do:
Give both the same shape: `output.squeeze(1)` or `target.unsqueeze(1)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, numbers, rows
from fallline.signals import Window, behaviour, outputs

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    first, loss = window.read(outputs.ENTRY), window.read(behaviour.ENTRY)
    if first.classes or first.output.shape == first.target.shape or loss.paired is not False or loss.reads_target is not True:
        return None
    shapes = f"{('N', *first.output.shape[1:])} and targets {('N', *first.target.shape[1:])}".replace("'", "").replace(",)", ")")
    evidence = f"outputs are {shapes}, and the loss is the same when targets are exchanged between cases: every output meets every target"
    fix = "output.squeeze(1)" if first.output.ndim > first.target.ndim else "target.squeeze(1)"
    return RULE.finding(evidence, f"make the shapes equal before the loss, here with {fix}", place="loss")


def changes(window: Window, finding: Finding) -> list[Change]:
    return [losses.same_shape()]


RULE = Rule(
    code="FL106",
    name="broadcast_loss",
    title="Loss compares every output with every target",
    faults=("L06",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL112", "FL303", "FL304", "FL415", "FL506"),
)


def _flat(column: bool) -> dict[str, object]:
    splits = {"train": rows(ROWS, 1), "valid": rows(VALID_ROWS, 2)}
    return {name: (x, y if column else y[:, 0]) for name, (x, y) in splits.items()}


def _squeezed_in_the_loss() -> Problem:
    from torch import nn

    return numbers(loss=lambda output, target: nn.functional.mse_loss(output.squeeze(1), target), **_flat(False))


FIRES: Cases = {"outputs (N, 1) against targets (N)": lambda: numbers(**_flat(False))}
SILENT: Cases = {"equal shapes": numbers, "a loss that takes the last axis off": _squeezed_in_the_loss}
