"""Epsilon or betas out of place

How it is detected:
Epsilon is compared with the root of the optimizer's own second moments after the watched run; where it is the larger for most weights,
the run is repeated with 1e-8. An epsilon below 1e-10 in float32 and a first beta above the second are seen without a run.

Why it matters:
A large epsilon turns Adam into SGD with a tiny step. One near 0 leaves nothing between a vanishing second moment and an enormous step:
trainings then break late. Betas in the wrong order average over the wrong times.

What to do:
eps=1e-8 (1e-7 in half precision), betas=(0.9, 0.999).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, parameters, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


USUAL = 1e-8
TINY = 1e-10


def check(window: Window) -> Outcome:
    groups = [group for group in window.read(parameters.ENTRY).groups if "eps" in group]
    if not groups:
        return NotApplicable("the optimizer has no epsilon")
    small, large = min(float(group["eps"]) for group in groups), max(float(group["eps"]) for group in groups)
    swapped = [group["betas"] for group in groups if len(group.get("betas") or ()) > 1 and group["betas"][0] > group["betas"][1]]
    if swapped:
        evidence = f"betas are {tuple(swapped[0])}: the gradient is averaged over longer than its square"
        return RULE.finding(evidence, "betas=(0.9, 0.999)", place="optimizer", figures={"beta1": swapped[0][0], "beta2": swapped[0][1]})
    if small < TINY and window.setup.problem.precision != "64":
        evidence = f"eps is {small:g}; where a second moment vanishes, nothing bounds the step"
        return RULE.finding(evidence, f"eps={USUAL:g}", place="optimizer", figures={"eps": small})
    if large <= 1e-6:
        return None
    seen = window.read(trace.ENTRY)
    root = _second_moment(seen.made.optimizer)
    if root is None or large < root:
        return None
    tries = window.read(reruns.ENTRY)
    own, usual = tries.own(), tries.of("eps 1e-8", lambda made: reruns.set_options(made, eps=USUAL))
    evidence = (
        f"eps is {large:g}, while the root of the second moments is {root:.2g} at the median: steps are {large / max(root, 1e-12):.0f} "
        f"times smaller than meant; after {own.updates} updates the loss is {own.end:.4g}, with eps={USUAL:g} {usual.end:.4g}, "
        f"from {own.start:.4g}"
    )
    worse = usual.finite and own.gain < 0.6 * usual.gain and usual.gain > 0.1 * abs(usual.start)
    figures = {"eps": large, "second moment": root}
    return RULE.finding(evidence, f"eps={USUAL:g}", place="optimizer", severity="warn" if worse else "info", figures=figures)


def _second_moment(optimizer: object) -> float | None:
    """The median over all weights of the root of the running mean of squared gradients."""
    import torch

    if not isinstance(optimizer, torch.optim.Optimizer):
        return None
    names = ("exp_avg_sq", "square_avg", "sum")
    found = [state[name].reshape(-1)[:10_000] for state in optimizer.state.values() for name in names if name in state]
    return float(torch.cat(found).double().sqrt().median()) if found else None


def changes(window: Window, finding: Finding) -> list[Change]:
    return [optimizers.plain_adam_options()]


RULE = Rule(
    code="FL310",
    name="epsilon_or_betas_out_of_place",
    title="Epsilon or betas out of place",
    faults=("O10",),
    severity="warn",
    stage="optimizer",
    check=check,
    changes=changes,
    explains=("FL303", "FL304", "FL415", "FL601"),
)


def _adam(eps: float) -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=3e-3, eps=eps))


def _swapped() -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.999, 0.9)))


FIRES: Cases = {"eps of 1": lambda: _adam(1.0), "eps of 1e-15": lambda: _adam(1e-15), "betas in the wrong order": _swapped}
SILENT: Cases = {"eps of 1e-8": numbers, "eps of 1e-7": lambda: _adam(1e-7)}
