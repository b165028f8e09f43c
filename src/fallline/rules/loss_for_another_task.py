"""Loss for another kind of target

How it is detected:
What the loss is for is found by asking it (see whether it takes a sigmoid or a softmax inside, and where it is least), and held against
the targets: a loss of yes and no on numbers outside [0, 1], a loss of one class on rows with several, a Poisson loss on negative targets.

Why it matters:
Outside [0, 1] a cross-entropy has no minimum: it falls for ever as outputs grow. With several ones in a row a softmax has to share out
what each should have alone.

What to do:
Numbers: squared, absolute or Huber error on a linear output. Several labels a case: `BCEWithLogitsLoss`. One class a case:
`CrossEntropyLoss`. Counts: `PoissonNLLLoss`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, classes, labelled, numbers, rows, yes_no
from fallline.signals import Window, behaviour, outputs, targets

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    first, loss, values = window.read(outputs.ENTRY), window.read(behaviour.ENTRY), window.read(targets.ENTRY).train
    span = f"targets go from {values.low:.4g} to {values.high:.4g}"
    if first.output.numel() == first.target.numel() and (loss.wants_signs or (loss.refuses_outside and not loss.shift_invariant)):
        if values.low < -1e-6 or values.high > 1 + 1e-6:
            evidence = f"{span}, and the loss is one of probabilities: beyond [0, 1] it has no minimum"
            return RULE.finding(evidence, "use a loss of numbers, such as MSELoss or HuberLoss, on a linear output", place="loss")
        amounts = len(values.counts) != 2 and not values.whole and values.shape in ((), (1,))
        if amounts and window.setup.problem.task in (None, "regression"):
            evidence = f"{span} and take many values; a loss of yes and no is right for probabilities and wrong for amounts"
            remedy = "where the target is an amount, use MSELoss or HuberLoss on a linear output"
            return RULE.finding(evidence, remedy, place="loss", severity="warn" if _judged_as_number(window) else "info")
    if first.same_shape and loss.shift_invariant and values.multi_hot:
        evidence = "targets are rows with several ones or none, and the loss takes a softmax, which shares one whole out among all classes"
        return RULE.finding(evidence, "use BCEWithLogitsLoss, which asks about each label by itself", place="loss")
    flipped = loss.truth is not None and loss.lies is not None and loss.truth > loss.lies
    if loss.endless and not flipped and not loss.affine:
        evidence = (
            f"{span}, and for some of them the loss falls for ever as the output goes to one side: it has no minimum, as a Poisson loss "
            "has none for negative targets"
        )
        return RULE.finding(evidence, "use a loss of numbers, such as MSELoss", place="loss")
    return None


def _judged_as_number(window: Window) -> bool:
    """Whether the metric, or the user, says that the target is an amount."""
    metric = window.setup.problem.resolved_metric()
    tasks = getattr(metric, "tasks", ())
    return window.setup.problem.task == "regression" or ("regression" in tasks and "binary" not in tasks)


def changes(window: Window, finding: Finding) -> list[Change]:
    return [losses.plain(losses.kind_of(window.read(outputs.ENTRY), window.read(targets.ENTRY).train))]


RULE = Rule(
    code="FL115",
    name="loss_for_another_task",
    title="Loss for another kind of target",
    faults=("L15",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL102", "FL103", "FL109", "FL113", "FL303", "FL304", "FL415", "FL605"),
)


def _entropy_on_numbers() -> Problem:
    from torch import nn

    return numbers(loss=nn.BCEWithLogitsLoss())


def _counts_below_zero() -> Problem:
    from torch import nn

    return numbers(loss=lambda output, target: nn.functional.poisson_nll_loss(output, target))


def _counts() -> Problem:
    import torch
    from torch import nn

    x, _ = rows(ROWS, 1)
    y = torch.poisson(x[:, :1].exp(), generator=torch.Generator().manual_seed(0))
    return numbers(train=(x, y), valid=None, loss=nn.PoissonNLLLoss(), task="count", metric=None)


def _several_labels() -> Problem:
    import torch

    x, _ = labelled(ROWS, 1)
    y = torch.stack([x[:, 0] > 0, x[:, 1] > 0, x[:, 2] > 0], dim=1).float()
    return classes(train=(x, y), valid=None, metric=None)


FIRES: Cases = {
    "BCEWithLogitsLoss on numbers": _entropy_on_numbers,
    "cross-entropy on several labels a case": _several_labels,
    "a Poisson loss on numbers of both signs": _counts_below_zero,
}
SILENT: Cases = {
    "squared error on numbers": numbers,
    "yes and no": yes_no,
    "one class a case": classes,
    "a Poisson loss on counts": _counts,
}
