"""The contract suites fire: entries with one fault each are refused by the check that is there for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from fallline import catalogue
from fallline.catalogue import Entry, Hyperparameter
from fallline.catalogue.optimizers import torch_groups
from fallline.testing import catalogue as suite
from fallline.testing import clips, losses, optimizers, schedules

MSE, HUBER, POISSON, ENTROPY = (catalogue.loss(name) for name in ("mse", "huber", "poisson_nll", "cross_entropy"))
SGD, ADAMW = (catalogue.optimizer(name) for name in ("sgd", "adamw"))
COSINE, PLATEAU = (catalogue.schedule(name) for name in ("cosine", "plateau"))
NORM = catalogue.clip("norm")


class Forgetful(torch.optim.SGD):
    """SGD with momentum that does not save its velocity."""

    def state_dict(self) -> dict[str, object]:
        return {**super().state_dict(), "state": {}}


def shrinking(groups: list[dict[str, object]], h: object) -> torch.optim.Optimizer:
    """Decay on every group, `decay=False` or not."""
    plain = [{"params": group["params"]} for group in groups]
    return torch.optim.AdamW(plain, lr=ADAMW.example["lr"], weight_decay=ADAMW.example["weight_decay"])


class Creeping:
    """A clip whose bound falls with every call, and that cannot say where it stands."""

    calls = 0

    def __call__(self, parameters: Sequence[torch.Tensor]) -> None:
        self.calls += 1
        torch.nn.utils.clip_grad_norm_(parameters, 1.0 / self.calls)


def choosy(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over a selection, whose size a traced program takes for a constant."""
    kept = (target != 0).nonzero().flatten()
    return torch.nn.functional.cross_entropy(output[kept], target[kept], reduction="sum") / len(kept)


def looking(groups: list[dict[str, object]], h: object) -> torch.optim.Optimizer:
    """SGD with an `eval` that nobody declared."""
    optimizer = SGD.build(groups, h)
    optimizer.eval = optimizer.train = lambda: None  # type: ignore[attr-defined]
    return optimizer


FAULTS: dict[str, tuple[Entry, Callable[..., None]]] = {
    "the sum in place of the mean": (replace(MSE, build=lambda h: torch.nn.MSELoss(reduction="sum")), losses.check_mean),
    "one value an example": (replace(MSE, build=lambda h: torch.nn.MSELoss(reduction="none")), losses.check_values),
    "code of another loss": (replace(MSE, code=lambda h: "torch.nn.L1Loss()"), losses.check_code),
    "a stock class that it is not": (replace(MSE, stock="torch.nn.L1Loss"), losses.check_code),
    "a delta that is not passed on": (replace(HUBER, build=lambda h: torch.nn.HuberLoss()), losses.check_hyperparameters),
    "a wrong gradient": (replace(MSE, build=lambda h: lambda o, t: ((o - t) * (o - t).detach()).mean()), losses.check_gradient),
    "settings under a new name": (replace(HUBER, settle=lambda h, profile: {"threshold": 1.0}), losses.check_settled),
    "a link that its code is not": (replace(POISSON, link_code="output"), losses.check_link),
    "a share above one": (replace(MSE, suits=lambda profile: 2.0), losses.check_applies),
    "a size that hangs on the data": (replace(ENTROPY, build=lambda h: choosy), losses.check_lanes),
    "a gradient held constant for nothing": (replace(MSE, held_constant=True), losses.check_gradient),
    "weights to judge that are not declared": (replace(SGD, build=looking), optimizers.check_switch),
    "a lag that is none": (replace(SGD, lags=True), optimizers.check_lr),
    "a schedule that acts all the same": (replace(SGD, heeds_schedule=False), optimizers.check_lr),
    "a first step that does not only measure": (replace(ADAMW, measures_first=True), optimizers.check_decay),
    "decay that is forgotten": (
        replace(ADAMW, build=lambda groups, h: ADAMW.build(groups, {**h, "weight_decay": 0.01})),
        optimizers.check_hyperparameters,
    ),
    "decay that spares no group": (replace(ADAMW, build=shrinking), optimizers.check_decay),
    "coupled decay called decoupled": (
        replace(ADAMW, build=lambda groups, h: torch.optim.Adam(torch_groups(groups, h["weight_decay"]), lr=h["lr"])),
        optimizers.check_decay,
    ),
    "an lr of its own": (replace(SGD, build=lambda groups, h: SGD.build(groups, {**h, "lr": 0.01})), optimizers.check_lr),
    "a step uphill": (
        replace(SGD, build=lambda groups, h: torch.optim.SGD(torch_groups(groups, 0.0), lr=h["lr"], maximize=True)),
        optimizers.check_descent,
    ),
    "state that is not saved": (
        replace(SGD, build=lambda groups, h: Forgetful(torch_groups(groups, 0.0), lr=h["lr"], momentum=0.9)),
        optimizers.check_resume,
    ),
    "memory that is not declared": (replace(ADAMW, state_copies=1), optimizers.check_memory),
    "another class in code": (replace(SGD, code=lambda h, fast: f"torch.optim.Adam(groups, lr={h['lr']!r})"), optimizers.check_code),
    "a factor above the peak": (replace(COSINE, factor=lambda step, length, h: 1.5), schedules.check_bounds),
    "a peak that is never reached": (replace(COSINE, factor=lambda step, length, h: 0.5), schedules.check_bounds),
    "a factor of zero": (replace(COSINE, factor=lambda step, length, h: 1.0 - step / max(length - 1, 1)), schedules.check_bounds),
    "no answer for an empty training": (replace(COSINE, factor=lambda step, length, h: step / length), schedules.check_edges),
    "a peak somewhere else": (replace(COSINE, peaks_at=0.5), schedules.check_peak),
    "a curve that is called flat": (replace(COSINE, flat=True), schedules.check_peak),
    "a reaction to progress": (replace(PLATEAU, react=lambda history, h: 0.5), schedules.check_reaction),
    "a clip without a bound": (replace(NORM, build=lambda h: lambda parameters: None), clips.check_bounds),
    "a clip that stretches": (
        replace(NORM, build=lambda h: lambda parameters: [p.grad.mul_(2.0) for p in parameters if p.grad is not None]),
        clips.check_bounds,
    ),
    "a clip of other code": (replace(NORM, code=lambda h: "torch.nn.utils.clip_grad_value_(parameters, 1.0)"), clips.check_code),
    "a memory that is not saved": (replace(NORM, build=lambda h: Creeping()), clips.check_resume),
    "an example that proves nothing": (replace(NORM, example={"max_norm": 1.0}), suite.check_space),
    "an example that is missing": (replace(NORM, example={}), suite.check_space),
    "a default outside its range": (
        replace(NORM, space={"max_norm": Hyperparameter(default=99.0, why="none", low=0.1, high=10.0)}),
        suite.check_space,
    ),
    "a default without a reason": (replace(NORM, space={"max_norm": Hyperparameter(default=1.0, why="")}), suite.check_space),
    "a name that is not its file's": (replace(NORM, name="global_norm"), suite.check_facts),
    "a title that its page has not": (replace(NORM, title="Clipping"), suite.check_page),
    "no source": (replace(NORM, source=""), suite.check_facts),
}


@pytest.mark.parametrize(("entry", "check"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_entry_is_refused(entry: Entry, check: Callable[..., None]) -> None:
    with pytest.raises((AssertionError, RuntimeError, ZeroDivisionError)):
        check(entry)


def test_an_entry_of_another_package_proves_itself_with_one_call() -> None:
    suite.prove(NORM)
    with pytest.raises(AssertionError, match=r"build and .* differ"):
        suite.prove(replace(NORM, code=lambda h: "torch.nn.utils.clip_grad_value_(parameters, 1.0)"))
