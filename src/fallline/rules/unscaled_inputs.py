"""Inputs on very different or very large scales

How it is detected:
Means and spreads of the input's columns or channels are measured. Where they are large, or far apart, and the first layer does not
normalise, the run is repeated with standardised inputs, and the progress compared.

Why it matters:
The curvature follows the square of the scale: with columns of 0.001 and 10,000 side by side no learning rate suits both, and the small
ones are never learned. Large values saturate or kill units in the first steps.

What to do:
Subtract the mean and divide by the standard deviation of train, column by column, on all splits; for skewed columns take the logarithm
first. Or put a normalisation in front.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fallline.changes import Change, data
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, numbers, rows
from fallline.signals import Unavailable, Window, calls, columns, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


FAR, APART = 10.0, 30.0
LITTLE = 0.6  # of the progress made with standardised inputs


def check(window: Window) -> Outcome:
    table = window.read(columns.ENTRY).train
    varying = table.std > 1e-12
    if not bool(varying.any()):
        return NotApplicable("no input varies")
    spreads, means = table.std[varying], table.mean[varying].abs()
    apart = float(spreads.max() / spreads.min())
    far = float((means.square() + spreads.square()).sqrt().max())
    offset = float((means / spreads).max())
    if apart < APART and far < FAR and offset < FAR:
        return None
    first = next((call for call in window.read(calls.ENTRY).calls if call.name != "dropout"), None)
    if _normalises_first(window):
        return None
    evidence = f"columns spread by {float(spreads.min()):.3g} to {float(spreads.max()):.3g}, with means up to {float(means.max()):.3g}"
    remedy = "standardise each column with the mean and standard deviation of train, on all splits"
    figures = {"apart": apart, "largest": far}
    quiet = RULE.finding(evidence, remedy, place=first.place if first else "inputs", severity="info", figures=figures)
    try:
        seen, tries = window.read(trace.ENTRY), window.read(reruns.ENTRY)
        own = tries.own()
        if not seen.diverged and own.gain > 0.9 * abs(own.start):
            return quiet
        scaled = tries.of("standardised inputs", setup=reruns.changed_inputs(window.setup, _scaling(window)))
    except Unavailable:
        return quiet
    # both are held against the smaller start: a first loss in the millions falls far without getting anywhere
    broken = seen.diverged or not own.finite
    if not scaled.finite or scaled.end > (1.0 if broken else 0.8) * scaled.start:
        return quiet
    if not broken and own.end < scaled.end + 0.25 * (scaled.start - scaled.end):
        return quiet
    ended = f"{own.end:.4g}" if own.finite else "NaN or inf"
    evidence += f"; after {own.updates} updates the loss is {ended}, with standardised inputs {scaled.end:.4g}, from {scaled.start:.4g}"
    severity = "stop" if seen.diverged or not own.finite else "warn"
    figures |= {"end": own.end, "end standardised": scaled.end}
    return RULE.finding(evidence, remedy, place="inputs", severity=severity, figures=figures)


def _normalises_first(window: Window) -> bool:
    """Whether what the first layer with a matrix gets is already of an ordinary scale."""
    from fallline.signals import entry

    try:
        seen = window.read(entry.ENTRY)
    except Unavailable:
        return False
    return abs(seen.mean) < 3 and 0.1 < seen.std < 10 and seen.apart < APART


def _scaling(window: Window) -> Callable[[Any], Any]:
    """Standardisation with the statistics of train."""
    from fallline._batches import tree_map

    table = window.read(columns.ENTRY).train
    spread = table.std.where(table.std > 1e-12, table.std.new_ones(()))

    def scale(leaf: Any) -> Any:
        if not leaf.is_floating_point():
            return leaf
        if leaf.ndim == 2 and leaf.shape[1] == len(spread):
            return ((leaf - table.mean) / spread).to(leaf.dtype)
        if leaf.ndim == 4 and leaf.shape[1] == len(spread):
            return ((leaf - table.mean[:, None, None]) / spread[:, None, None]).to(leaf.dtype)
        return (leaf - table.whole_mean) / max(table.whole_std, 1e-12)

    return lambda inputs: tree_map(scale, inputs)


def changes(window: Window, finding: Finding) -> list[Change]:
    return [data.standardised_inputs(window.setup)]


RULE = Rule(
    code="FL501",
    name="unscaled_inputs",
    title="Inputs on very different or very large scales",
    faults=("D01",),
    severity="warn",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL204", "FL303", "FL304", "FL308", "FL309", "FL415", "FL601", "FL603", "FL604", "FL605", "FL606"),
)


def _scaled(factors: tuple[float, ...]) -> Problem:
    import torch

    scale = torch.tensor(factors)
    splits = {"train": rows(ROWS, 1), "valid": rows(VALID_ROWS, 2)}
    optimizer = lambda model: torch.optim.SGD(model.parameters(), lr=1e-2)  # noqa: E731
    return numbers(optimizer=optimizer, **{name: (x * scale, y) for name, (x, y) in splits.items()})


def _normed() -> Problem:
    import torch
    from torch import nn

    made = _scaled((1e-3, 1.0, 1.0, 1e3, 1.0, 1e4))
    made.model = lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 1))
    made.optimizer = lambda model: torch.optim.Adam(model.parameters(), lr=3e-3)
    return made


FIRES: Cases = {"columns of 0.001 and 10,000": lambda: _scaled((1e-3, 1.0, 1.0, 1e3, 1.0, 1e4))}
SILENT: Cases = {"columns of about 1": numbers, "a batch norm in front": _normed}
