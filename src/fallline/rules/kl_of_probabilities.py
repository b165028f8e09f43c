"""KLDivLoss on probabilities instead of log-probabilities

How it is detected:
The targets are distributions (rows that sum to 1), the loss is affine in the output, as `KLDivLoss` is, and the exponentials of the
outputs do not sum to 1. Or the loss takes the softmax itself and is negative and still falling where output and target agree.

Why it matters:
`KLDivLoss` expects the logarithm of the model's probabilities. On probabilities it becomes minus their dot product with the target: it
can be negative, prefers one certain class to the right distribution, and has no floor on logits.

What to do:
Give `output.log_softmax(dim=1)` as the first argument, `reduction="batchmean"`, and probabilities as the target (or `log_target=True`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, classes, labelled, with_head
from fallline.signals import Window, behaviour, outputs, targets

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    first, loss = window.read(outputs.ENTRY), window.read(behaviour.ENTRY)
    if loss.shift_invariant and loss.agreeing is not None and loss.sharper is not None and loss.sharper < loss.agreeing < -1e-6:
        evidence = (
            f"the loss is {loss.agreeing:.4g} where the output's softmax equals the target and {loss.sharper:.4g} where it is surer: a "
            "divergence is never negative and least where both are equal"
        )
        figures = {"agreeing": loss.agreeing, "sharper": loss.sharper}
        return RULE.finding(evidence, "give KLDivLoss log_softmax of the output, not softmax", place="loss", figures=figures)
    if not first.same_shape or loss.affine is not True or first.log_probabilities or not window.read(targets.ENTRY).train.rows_sum_to_one:
        return None
    total = float(first.output.double().exp().sum(dim=1).mean())
    kind = "probabilities" if first.probabilities else "raw scores"
    evidence = (
        f"targets are distributions and the loss is linear in the output, but outputs are {kind}: their exponentials sum to {total:.2f}"
    )
    return RULE.finding(evidence, "give the loss output.log_softmax(dim=1)", place="loss", figures={"sum": total})


def changes(window: Window, finding: Finding) -> list[Change]:
    given = losses.log_softmax("log-probabilities given to the loss", "output.log_softmax(dim=1) as the first argument")
    inside = "agreeing" in finding.figures  # the loss takes a softmax itself
    return [losses.plain("shares")] if inside else [given, losses.plain("shares")]


RULE = Rule(
    code="FL111",
    name="kl_of_probabilities",
    title="KLDivLoss on probabilities instead of log-probabilities",
    faults=("L11",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL304", "FL415", "FL601"),
)


def _distilled(head: str) -> Problem:
    import torch
    from torch import nn

    def soft(split: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return split[0], nn.functional.one_hot(split[1], 3).float() * 0.85 + 0.05

    made = getattr(nn, head)(dim=1)
    return classes(
        model=lambda: with_head(made), loss=nn.KLDivLoss(reduction="batchmean"), metric=None,
        train=soft(labelled(ROWS, 1)), valid=soft(labelled(VALID_ROWS, 2)),
    )  # fmt: skip


def _inside(name: str) -> Problem:
    from torch import nn

    made = _distilled("Identity")
    divergence = nn.KLDivLoss(reduction="batchmean")
    made.loss = lambda output, target: divergence(getattr(output, name)(dim=1), target)
    return made


FIRES: Cases = {
    "softmax under KLDivLoss": lambda: _distilled("Softmax"),
    "softmax in the loss, before KLDivLoss": lambda: _inside("softmax"),
}
SILENT: Cases = {
    "log_softmax under KLDivLoss": lambda: _distilled("LogSoftmax"),
    "log_softmax in the loss": lambda: _inside("log_softmax"),
    "class indices under cross-entropy": classes,
}
