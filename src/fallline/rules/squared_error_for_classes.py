"""Squared error on classes

How it is detected:
The loss is least where the output equals the target and the targets are one-hot rows, or classes 0 and 1 behind a sigmoid. The same
training is then run with cross-entropy on the same outputs, and the share of right answers is compared.

Why it matters:
Behind a softmax or a sigmoid the squared error has its smallest gradients where the model is most wrong, so training crawls. On plain
linear outputs it often works, which is why the comparison decides.

What to do:
`CrossEntropyLoss` on logits with class indices as targets; `BCEWithLogitsLoss` for yes or no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, classes, labelled, network, with_head
from fallline.signals import Window, behaviour, head, outputs, reruns, targets

if TYPE_CHECKING:
    from fallline._problem import Problem
    from fallline.signals._setup import Made


GAIN = 0.1  # of the share of right answers: more than two runs of one set-up differ by


def check(window: Window) -> Outcome:
    import torch
    from torch import Tensor

    first, loss = window.read(outputs.ENTRY), window.read(behaviour.ENTRY)
    values = window.read(targets.ENTRY).train
    binary = set(values.counts) == {0.0, 1.0} and first.output.numel() == first.target.numel() and first.output[0].numel() == 1
    if loss.least_at_target is not True or not (values.one_hot or binary) or first.output.ndim > 2:
        return None
    reach = window.read(head.ENTRY)
    bounded = reach.is_within(0.0, 1.0)
    if binary and not bounded:
        return None
    kind = "behind a head that stays within [0, 1]" if bounded else "on linear outputs"
    named = "one-hot rows" if values.one_hot else "0 and 1"
    evidence = f"targets are {named} and the loss is a squared or absolute error {kind}"
    remedy = "use CrossEntropyLoss on logits with class indices, or BCEWithLogitsLoss for one output"

    def entropy(output: Tensor, target: Tensor) -> Tensor:
        if binary:
            return torch.nn.functional.binary_cross_entropy(output, target.reshape(output.shape).to(output.dtype))
        logs = output.clamp_min(1e-7).log() if first.probabilities else output.log_softmax(dim=1)
        return -(target * logs).sum(dim=1).mean()

    def change(made: Made) -> None:
        made.loss = entropy

    tries = window.read(reruns.ENTRY)
    shares = []
    for run in (tries.own(), tries.of("cross-entropy", change)):
        assert run.made is not None
        said = window.setup.judged(run.made.model, first.inputs)
        right = (said > 0.5) == (first.target.reshape(said.shape) > 0.5) if binary else said.argmax(dim=1) == first.target.argmax(dim=1)
        shares.append(float(right.double().mean()))
    evidence += f"; after {tries.updates} updates {shares[0]:.0%} of train are right, with cross-entropy {shares[1]:.0%}"
    severity = "warn" if shares[1] - shares[0] >= GAIN else "info"
    return RULE.finding(evidence, remedy, place="loss", severity=severity, figures={"right": shares[0], "with cross-entropy": shares[1]})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [losses.plain(losses.kind_of(window.read(outputs.ENTRY), window.read(targets.ENTRY).train))]


RULE = Rule(
    code="FL110",
    name="squared_error_for_classes",
    title="Squared error on classes",
    faults=("L10",),
    severity="warn",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL304", "FL306", "FL415", "FL603", "FL605"),
)


def _one_hot(lr: float, squashed: bool) -> Problem:
    import torch
    from torch import nn

    splits = {"train": labelled(ROWS, 1), "valid": labelled(VALID_ROWS, 2)}
    hot = {name: (x, nn.functional.one_hot(y, 3).float()) for name, (x, y) in splits.items()}
    model = (lambda: with_head(nn.Softmax(dim=1))) if squashed else (lambda: network(3))
    optimizer = lambda model: torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)  # noqa: E731
    return classes(model=model, loss=nn.MSELoss(), metric=None, optimizer=optimizer, **hot)


FIRES: Cases = {"softmax under MSELoss with a small lr": lambda: _one_hot(0.02, True)}
SILENT: Cases = {"class indices under cross-entropy": classes}
