"""A rare class is never predicted

How it is detected:
Where the commonest class is ten times as frequent as the rarest, and the loss gives both the same weight, the watched run is asked how
many training examples of each class it gets right: the rare one hardly any, and half of all classes hardly any.

Why it matters:
Saying "no" to everything is 97 % accurate when 3 % are yes. The plain loss is content with that for long, and with little data for ever.

What to do:
Weights in the loss (`weight=`, `pos_weight=`), a WeightedRandomSampler, more examples; and a metric that asks for the rare class, such as
balanced accuracy, average precision or macro F1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, rows, yes_no
from fallline.signals import Unavailable, Window, behaviour, outputs, targets, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


RATIO = 10.0
MISSED = 0.1  # recall of the rare class at which it counts as never predicted
FEWEST = 5  # examples of it that are judged


def check(window: Window) -> Outcome:
    first, values = window.read(outputs.ENTRY), window.read(targets.ENTRY).train
    binary = set(values.counts) == {0.0, 1.0} and first.output.numel() == first.target.numel()
    if not (binary or (first.classes and first.target.ndim == 1)) or len(values.counts) < 2 or first.target[0].numel() > 1:
        return None
    rare, common = min(values.counts, key=lambda kind: values.counts[kind]), max(values.counts, key=lambda kind: values.counts[kind])
    ratio = values.counts[common] / values.counts[rare]
    loss = window.read(behaviour.ENTRY)
    if ratio < RATIO or (loss.weighs or 1.0) > 0.3 * ratio:
        return None
    evidence = (
        f"class {common:g} is {ratio:.0f} times as frequent as class {rare:g} ({values.counts[rare]} examples), under a loss without "
        f"weights"
    )
    remedy = f"weigh class {rare:g} in the loss or sample it more often, and judge by a metric that asks for it"
    figures = {"ratio": ratio, "examples": values.counts[rare]}
    quiet = RULE.finding(evidence, remedy, place="target", severity="info", figures=figures)
    try:
        seen = window.read(trace.ENTRY)
        inputs, target = window.setup.sample(rows=4096)
        if window.setup.order.get("sampler") is not None or not seen.run.finite:
            return quiet
    except Unavailable:
        return quiet
    truth = target.reshape(len(target)).double()
    output = window.setup.judged(seen.made.model, inputs)
    middle = 0.5 if bool(((first.output >= 0) & (first.output <= 1)).all()) else 0.0
    said = (output.reshape(len(output)) > middle).double() if binary else output.argmax(dim=1).double()
    kinds = [kind for kind in values.counts if int((truth == kind).sum()) >= FEWEST]
    recalls = {kind: float((said[truth == kind] == kind).double().mean()) for kind in kinds}
    if rare not in recalls:
        return quiet
    lost = [kind for kind, recall in recalls.items() if recall < MISSED]
    figures |= {"recall": recalls[rare], "lost": len(lost)}
    evidence += f"; after {seen.run.updates} updates {recalls[rare]:.0%} of its training examples are recognised"
    # of many classes of uneven size the rarest come late; that half of all are lost at the end is more than that
    grave = recalls[rare] < MISSED and 2 * len(lost) >= len(recalls) and seen.whole
    return RULE.finding(evidence, remedy, place="target", severity="warn" if grave else "info", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    first, values = window.read(outputs.ENTRY), window.read(targets.ENTRY).train
    whole = sum(values.counts.values())
    weight = {int(kind): whole / (len(values.counts) * count) for kind, count in values.counts.items()}
    return [losses.plain(losses.kind_of(first, values), weight=weight)]


RULE = Rule(
    code="FL504",
    name="class_imbalance",
    title="A rare class is never predicted",
    faults=("D04",),
    severity="warn",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL605",),
)


def _rare(weighted: bool) -> Problem:
    import torch
    from torch import nn

    x, y = rows(6 * ROWS, 1)
    noisy = y + 1.2 * torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    target = (noisy > noisy.quantile(0.97)).float()
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([30.0]) if weighted else None)
    return yes_no(train=(x, target), valid=None, loss=loss, epochs=2)


FIRES: Cases = {"3 % positives under a plain loss": lambda: _rare(False)}
SILENT: Cases = {"3 % positives with a weight": lambda: _rare(True), "two classes of equal size": yes_no}
