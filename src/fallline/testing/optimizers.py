"""The contract of an optimizer: `code` is `build`, a resumed run is the unbroken one, decay acts where it should, lr is read each step."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fallline.catalogue import Optimizer, Settings
from fallline.catalogue._pages import carried
from fallline.catalogue.optimizers import torch_groups

if TYPE_CHECKING:
    import torch

STEPS = 12  # past the first five, in which RAdam takes unscaled steps
SHAPES = {"matrix": ((4, 3), (3, 5), (2, 3, 2, 2)), "other": ((4,), (6, 2))}  # matrices and a kernel; a bias and an embedding


def start(seed: int) -> list[dict[str, Any]]:
    """Fresh parameters in the groups that a recipe makes: decayed matrices, and the rest."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def parameters(kind: str) -> list[torch.nn.Parameter]:
        return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES[kind]]

    return [{"params": parameters(kind), "decay": kind == "matrix", "kind": kind} for kind in SHAPES]


def parameters_of(groups: list[dict[str, Any]]) -> list[torch.nn.Parameter]:
    return [parameter for group in groups for parameter in group["params"]]


def bowl(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    """A quadratic with its minimum at 3 and curvatures from 0.5 to 2."""
    import torch

    parts = [(torch.linspace(0.5, 2.0, p.numel()).view_as(p) * (p - 3.0) ** 2).sum() for p in parameters]
    return torch.stack(parts).sum()


def descend(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], steps: int, first: int = 0) -> None:
    """Steps on the bowl, with noise in the gradient that depends on the number of the step alone."""
    import torch

    for step in range(first, first + steps):
        optimizer.zero_grad()
        bowl(parameters).backward()
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad += 0.5 * torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def _settings(entry: Optimizer) -> tuple[Settings, Settings]:
    return entry.defaults(), entry.example


def _run(entry: Optimizer, settings: Settings, seed: int, steps: int = STEPS) -> list[torch.Tensor]:
    groups = start(seed)
    descend(entry.build(groups, settings), parameters_of(groups), steps)
    return [parameter.detach().clone() for parameter in parameters_of(groups)]


def _same(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    import torch

    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def check_code(entry: Optimizer, seed: int = 0) -> None:
    """`code` evaluates, with torch alone, to an optimizer that makes the same steps bit for bit; stock ones are of that very class."""
    import torch

    for settings in _settings(entry):
        groups, again = start(seed), start(seed)
        built = entry.build(groups, settings)
        fast = "".join(f", {name}=True" for name in ("fused", "foreach") if built.defaults.get(name))
        code = entry.code(settings, fast)
        names: dict[str, object] = {"torch": torch}
        exec("from __future__ import annotations\n" + carried(entry, code), names)
        names["groups"] = torch_groups(again, float(settings[entry.decay]) if entry.decay else 0.0, kinds=entry.matrices)
        descend(built, parameters_of(groups), STEPS)
        descend(eval(code, names), parameters_of(again), STEPS)
        assert _same(parameters_of(groups), parameters_of(again)), f"{entry.name}, seed {seed}: build and {code} differ"
        if entry.stock:
            assert type(built) is eval(entry.stock, {"torch": torch}), f"{entry.name}: stock is {entry.stock}, got {type(built).__name__}"


def check_descent(entry: Optimizer, seed: int = 0) -> None:
    """It goes down a quadratic bowl, with its defaults and with its example."""
    for settings in _settings(entry):
        groups = start(seed)
        before = bowl(parameters_of(groups)).item()
        descend(entry.build(groups, settings), parameters_of(groups), 50)
        after = bowl(parameters_of(groups)).item()
        assert after < before, f"{entry.name}, {dict(settings)}, seed {seed}: {before} before 50 steps, {after} after"


def check_resume(entry: Optimizer, seed: int = 0) -> None:
    """Saved to bytes and loaded into a new optimizer, it goes on bit for bit as if nothing had happened."""
    import torch

    for settings in _settings(entry):
        groups, again = start(seed), start(seed)
        optimizer, resumed = entry.build(groups, settings), entry.build(again, settings)
        descend(optimizer, parameters_of(groups), STEPS)
        file = io.BytesIO()
        torch.save((optimizer.state_dict(), [p.detach() for p in parameters_of(groups)]), file)
        file.seek(0)
        state, weights = torch.load(file)
        for parameter, weight in zip(parameters_of(again), weights, strict=True):
            parameter.data.copy_(weight)
        resumed.load_state_dict(state)
        descend(optimizer, parameters_of(groups), STEPS, first=STEPS)
        descend(resumed, parameters_of(again), STEPS, first=STEPS)
        assert _same(parameters_of(groups), parameters_of(again)), f"{entry.name}, {dict(settings)}, seed {seed}: a resumed run differs"


def check_decay(entry: Optimizer, seed: int = 0) -> None:
    """Without gradients only decay moves weights: decoupled by exactly lr * weight_decay a step, and never in a group without decay."""
    import torch

    groups = start(seed)
    before = [parameter.detach().clone() for parameter in parameters_of(groups)]
    optimizer = entry.build(groups, entry.example)
    for _ in range(3):
        for parameter in parameters_of(groups):
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    moved = iter(zip(parameters_of(groups), before, strict=True))
    for group in groups:
        for _ in group["params"]:
            parameter, old = next(moved)
            if not group["decay"] or not entry.decay:
                assert torch.equal(parameter, old), f"{entry.name}, seed {seed}: decay in a group that has none"
            elif entry.decay == "weight_decay":
                kept = (1.0 - entry.example["lr"] * entry.example["weight_decay"]) ** 3
                torch.testing.assert_close(
                    parameter.detach(), old * kept, rtol=1e-5, atol=1e-6, msg=f"{entry.name}: decay is not decoupled"
                )
            else:
                assert parameter.norm() < old.norm(), f"{entry.name}, seed {seed}: l2 does not shrink the weights"


def check_hyperparameters(entry: Optimizer, seed: int = 0) -> None:
    """Every hyperparameter does something: its example, alone, changes the steps."""
    plain = _run(entry, entry.defaults(), seed)
    for name in entry.space:
        changed = _run(entry, {**entry.defaults(), name: entry.example[name]}, seed)
        assert not _same(plain, changed), f"{entry.name}: {name} = {entry.example[name]} changes nothing in {STEPS} steps"


def check_lr(entry: Optimizer, seed: int = 0) -> None:
    """lr is read from the groups at every step: set to zero by a schedule, nothing moves."""
    groups = start(seed)
    optimizer = entry.build(groups, entry.example)
    assert all(group["lr"] == entry.example["lr"] for group in optimizer.param_groups), f"{entry.name}: the groups' lr is not the peak"
    descend(optimizer, parameters_of(groups), 3)
    before = [parameter.detach().clone() for parameter in parameters_of(groups)]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    descend(optimizer, parameters_of(groups), 3)
    assert _same(before, parameters_of(groups)), f"{entry.name}, seed {seed}: weights move at lr = 0"


def check_untouched(entry: Optimizer, seed: int = 0) -> None:
    """A parameter without a gradient stays as it is, decay or not: it may be frozen or unused in this batch."""
    groups = start(seed)
    optimizer = entry.build(groups, entry.example)
    before = [parameter.detach().clone() for parameter in parameters_of(groups)]
    optimizer.step()
    assert _same(before, parameters_of(groups)), f"{entry.name}: moves parameters that have no gradient"


def check_memory(entry: Optimizer, seed: int = 0) -> None:
    """`state_copies` is what it really keeps per parameter with its defaults."""
    groups = start(seed)
    optimizer = entry.build(groups, entry.defaults())
    descend(optimizer, parameters_of(groups), 2)
    kept = [sum(v.numel() for v in optimizer.state[p].values() if getattr(v, "ndim", 0)) / p.numel() for p in parameters_of(groups)]
    assert max(kept) == entry.state_copies, f"{entry.name}: keeps {max(kept):g} floats a parameter, declares {entry.state_copies}"


CHECKS = (
    check_code,
    check_descent,
    check_resume,
    check_decay,
    check_hyperparameters,
    check_lr,
    check_untouched,
    check_memory,
)
