"""The contract of an optimizer: `code` is `build`, a resumed run is the unbroken one, decay acts where it should, lr is read each step."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fallline._demands import judging
from fallline._kept import load_state
from fallline.catalogue import Optimizer, Settings
from fallline.catalogue._pages import carried
from fallline.catalogue.optimizers import torch_groups
from fallline.testing._bowl import STEPS as STEPS
from fallline.testing._bowl import bowl as bowl
from fallline.testing._bowl import descend as descend
from fallline.testing._bowl import flat as flat
from fallline.testing._bowl import parameters_of as parameters_of
from fallline.testing._bowl import start as start
from fallline.testing._bowl import step_without_gradient as step_without_gradient

if TYPE_CHECKING:
    import torch


def _settings(entry: Optimizer) -> tuple[Settings, Settings]:
    return entry.defaults(), entry.example


def _run(entry: Optimizer, settings: Settings, seed: int, steps: int = STEPS) -> list[torch.Tensor]:
    groups = start(seed)
    optimizer = entry.build(groups, settings)
    descend(entry, optimizer, parameters_of(groups), steps)
    with judging(optimizer):
        return [parameter.detach().clone() for parameter in parameters_of(groups)]


def _trained(entry: Optimizer, seed: int, steps: int) -> list[torch.Tensor]:
    """The weights that are trained, not those to be judged, with the example's settings."""
    groups = start(seed)
    descend(entry, entry.build(groups, entry.example), parameters_of(groups), steps)
    return [parameter.detach() for parameter in parameters_of(groups)]


def _distance(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    return math.sqrt(sum(float((a - b).square().sum()) for a, b in zip(one, other, strict=True)))


def _same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    import torch

    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def check_code(entry: Optimizer, seed: int = 0) -> None:
    """`code` evaluates, with torch alone, to an optimizer that makes the same steps bit for bit; stock ones are of that very class."""
    import torch

    for settings in _settings(entry):
        groups, again = start(seed), start(seed)
        torch.default_generator.manual_seed(seed)
        built = entry.build(groups, settings)
        fast = "".join(f", {name}=True" for name in ("fused", "foreach") if built.defaults.get(name))
        code = entry.code(settings, fast)
        names: dict[str, object] = {"torch": torch}
        if entry.package:
            names[entry.package] = import_module(entry.package)
        exec("from __future__ import annotations\n" + carried(entry, code), names)
        names["groups"] = torch_groups(again, float(settings[entry.decay]) if entry.decay else 0.0, kinds=entry.matrices)
        torch.default_generator.manual_seed(seed + 1)  # what is drawn while it is made is not drawn again after a pause or in a script
        spelled = eval(code, names)
        descend(entry, built, parameters_of(groups), STEPS)
        descend(entry, spelled, parameters_of(again), STEPS)
        assert _same(parameters_of(groups), parameters_of(again)), f"{entry.name}, seed {seed}: build and {code} differ"
        if entry.stock:
            assert type(built) is eval(entry.stock, {"torch": torch}), f"{entry.name}: stock is {entry.stock}, got {type(built).__name__}"


def check_descent(entry: Optimizer, seed: int = 0) -> None:
    """It goes down a quadratic bowl, with its defaults and with its example."""
    for settings in _settings(entry):
        groups = start(seed)
        before = bowl(parameters_of(groups)).item()
        descend(entry, entry.build(groups, settings), parameters_of(groups), 50)
        after = bowl(parameters_of(groups)).item()
        assert after < before, f"{entry.name}, {dict(settings)}, seed {seed}: {before:g} before 50 steps, {after:g} after"


def check_resume(entry: Optimizer, seed: int = 0) -> None:
    """Saved to bytes and loaded into a new optimizer, it goes on bit for bit as if nothing had happened."""
    import torch

    for settings in _settings(entry):
        groups, again = start(seed), start(seed)
        optimizer, resumed = entry.build(groups, settings), entry.build(again, settings)
        descend(entry, optimizer, parameters_of(groups), STEPS)
        file = io.BytesIO()
        torch.save((optimizer.state_dict(), [p.detach() for p in parameters_of(groups)]), file)
        file.seek(0)
        state, weights = torch.load(file)
        for parameter, weight in zip(parameters_of(again), weights, strict=True):
            parameter.data.copy_(weight)
        load_state(resumed, state)
        descend(entry, optimizer, parameters_of(groups), STEPS, first=STEPS)
        descend(entry, resumed, parameters_of(again), STEPS, first=STEPS)
        assert _same(parameters_of(groups), parameters_of(again)), f"{entry.name}, {dict(settings)}, seed {seed}: a resumed run differs"


def check_decay(entry: Optimizer, seed: int = 0) -> None:
    """Without gradients only decay moves weights: decoupled by exactly lr * weight_decay a step, and never in a group without decay.

    Weights that are an average of others only have to shrink.
    """
    import torch

    if entry.drifts:
        assert not entry.decay, f"{entry.name}: moves weights without a gradient, so that nothing shows what its decay does"
        return
    groups = start(seed)
    before = [parameter.detach().clone() for parameter in parameters_of(groups)]
    optimizer = entry.build(groups, entry.example)
    for _ in range(3):
        for parameter in parameters_of(groups):
            parameter.grad = flat(entry, parameter)
        step_without_gradient(entry, optimizer)
    moved = iter(zip(parameters_of(groups), before, strict=True))
    for group in groups:
        for _ in group["params"]:
            parameter, old = next(moved)
            if not group["decay"] or not entry.decay:
                assert torch.equal(parameter, old), f"{entry.name}, seed {seed}: decay in a group that has none"
            elif entry.decay == "weight_decay" and entry.family != "averaged":
                kept = (1.0 - entry.example["lr"] * entry.example["weight_decay"]) ** (2 if entry.measures_first else 3)
                torch.testing.assert_close(
                    parameter.detach(), old * kept, rtol=1e-5, atol=1e-6, msg=f"{entry.name}: decay is not decoupled"
                )
            else:
                assert parameter.norm() < old.norm(), f"{entry.name}, seed {seed}: {entry.decay} does not shrink the weights"


def check_hyperparameters(entry: Optimizer, seed: int = 0) -> None:
    """Every hyperparameter does something: alone, it changes the steps, from the defaults or from the example."""
    for name in entry.space:
        check_acts(entry, name, seed)


def check_acts(entry: Optimizer, name: str, seed: int = 0) -> None:
    """One hyperparameter does something."""
    value = entry.example[name]
    for others in (entry.defaults(), entry.example):  # what only a bound would show may be far from it by default
        plain, changed = (_run(entry, {**others, name: one}, seed) for one in (entry.space[name].default, value))
        if not _same(plain, changed):
            return
    raise AssertionError(f"{entry.name}: {name} = {value} changes nothing in {STEPS} steps")


def check_lr(entry: Optimizer, seed: int = 0) -> None:
    """lr is read from the groups at every step: set to zero by a schedule, nothing moves; one that heeds no schedule goes on as it was."""
    groups = start(seed)
    optimizer = entry.build(groups, entry.example)
    kinds = {parameter: group["kind"] for group in groups for parameter in group["params"]}
    share = entry.example[entry.lr_scale] if entry.lr_scale else 1.0
    for group in optimizer.param_groups:
        peak = entry.example["lr"] * (share if kinds[group["params"][0]] == "other" else 1.0)
        assert group["lr"] == peak, f"{entry.name}: a group's lr is {group['lr']}, its peak is {peak}"
    descend(entry, optimizer, parameters_of(groups), 3)
    before = [parameter.detach().clone() for parameter in parameters_of(groups)]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    descend(entry, optimizer, parameters_of(groups), 3, first=3)
    if entry.lags:
        after = [parameter.detach().clone() for parameter in parameters_of(groups)]
        steady, undisturbed = _trained(entry, seed, 3), _trained(entry, seed, 6)
        slowed, free = _distance(before, after), _distance(steady, undisturbed)
        assert 0.0 < slowed < free, f"{entry.name}, seed {seed}: {slowed:g} of way at lr = 0, {free:g} with its lr; does it lag?"
    elif entry.heeds_schedule:
        assert _same(before, parameters_of(groups)), f"{entry.name}, seed {seed}: weights move at lr = 0"
    else:
        undisturbed = _trained(entry, seed, 6)
        assert _same(undisturbed, parameters_of(groups)), f"{entry.name}, seed {seed}: says that no schedule acts, but lr = 0 did"


def check_untouched(entry: Optimizer, seed: int = 0) -> None:
    """A parameter without a gradient stays as it is, decay or not: it may be frozen or unused in this batch."""

    groups = start(seed)
    optimizer = entry.build(groups, entry.example)
    used, *unused = parameters_of(groups)
    used.grad = flat(entry, used) + 1.0
    before = [parameter.detach().clone() for parameter in unused]
    step_without_gradient(entry, optimizer)
    assert _same(before, unused), f"{entry.name}: moves parameters that have no gradient"


def check_memory(entry: Optimizer, seed: int = 0) -> None:
    """`state_copies` is what it really keeps per parameter with its defaults, rounded up: what belongs to rows is shared by them."""
    groups = start(seed)
    optimizer = entry.build(groups, entry.defaults())
    descend(entry, optimizer, parameters_of(groups), 2)
    sizes = {p: sum(v.numel() for v in _tensors(optimizer.state[p])) for p in parameters_of(groups)}
    if sum(size > 0 for size in sizes.values()) == 1:  # one flat vector for all parameters, still being filled
        kept = sum(sizes.values()) / sum(p.numel() for p in sizes)
        assert kept <= entry.state_copies, f"{entry.name}: keeps {kept:g} floats a parameter, declares {entry.state_copies}"
        return
    most = max(size / p.numel() for p, size in sizes.items())
    assert math.ceil(most) == entry.state_copies, f"{entry.name}: keeps {most:g} floats a parameter, declares {entry.state_copies}"


def _tensors(state: Any) -> list[torch.Tensor]:
    """The tensors in an optimizer's state that are more than one number, in lists too."""
    inside = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    found = [tensor for value in inside for tensor in _tensors(value)]
    return [*found, state] if getattr(state, "ndim", 0) else found


def check_switch(entry: Optimizer, seed: int = 0) -> None:
    """`switches` says whether it has weights of its own to judge: `eval` puts them in place once it has stepped, `train` takes them out."""
    import torch

    groups = start(seed)
    optimizer = entry.build(groups, entry.example)
    assert entry.switches == hasattr(optimizer, "eval"), f"{entry.name}: eval() and the fact that it switches go together"
    if not entry.switches:
        return
    descend(entry, optimizer, parameters_of(groups), STEPS)
    trained = [parameter.detach().clone() for parameter in parameters_of(groups)]
    optimizer.eval()  # type: ignore[attr-defined]  # checked above
    assert not _same(trained, parameters_of(groups)), f"{entry.name}, seed {seed}: eval() changes nothing"
    optimizer.train()  # type: ignore[attr-defined]  # checked above
    for old, parameter in zip(trained, parameters_of(groups), strict=True):
        torch.testing.assert_close(parameter.detach(), old, msg=f"{entry.name}, seed {seed}: train() does not undo eval()")


CHECKS = (
    check_code,
    check_descent,
    check_resume,
    check_decay,
    check_hyperparameters,
    check_lr,
    check_untouched,
    check_memory,
    check_switch,
)
