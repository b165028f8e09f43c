"""The contract of a clip: it bounds, it never lengthens, it leaves small gradients alone, and `code` is `build`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fallline.catalogue import Clip

if TYPE_CHECKING:
    import torch

SHAPES = ((4, 3), (5,), (2, 3, 2))


def start(seed: int, scale: float) -> list[torch.Tensor]:
    """Parameters with gradients of about `scale`; the last has none, as a frozen one."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    parameters = [torch.zeros(shape, requires_grad=True) for shape in (*SHAPES, (2,))]
    for parameter in parameters[:-1]:
        parameter.grad = scale * torch.randn(parameter.shape, generator=generator)
    return parameters


def gradients(parameters: Sequence[torch.Tensor]) -> torch.Tensor:
    """All gradients as one vector."""
    import torch

    return torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])


def clipped(clip: Callable[[list[torch.Tensor]], object] | None, seed: int, scale: float) -> torch.Tensor:
    """The gradients after the clip."""
    parameters = start(seed, scale)
    if clip is not None:
        clip(parameters)
    return gradients(parameters)


def check_bounds(entry: Clip, seed: int = 0) -> None:
    """No element grows or turns round; beyond its bound, a gradient a thousand times larger comes out as long."""
    for settings in (entry.defaults(), entry.example):
        clip = entry.build(settings)
        for scale in (1e-6, 1.0, 1e3):
            before, after = gradients(start(seed, scale)), clipped(clip, seed, scale)
            case = f"{entry.name}, {dict(settings)}, scale {scale}, seed {seed}"
            assert (after.abs() <= before.abs()).all(), f"{case}: lengthens a gradient"
            assert (after * before >= 0).all(), f"{case}: turns a gradient round"
        if clip is not None:
            long, longer = (float(clipped(clip, seed, scale).norm()) for scale in (1e4, 1e7))
            assert abs(longer / long - 1.0) < 1e-2, f"{entry.name}, {dict(settings)}: not bounded, {long} and {longer}"


def check_small(entry: Clip, seed: int = 0) -> None:
    """Gradients far below the bound pass bit for bit."""
    import torch

    for settings in (entry.defaults(), entry.example):
        same = torch.equal(clipped(entry.build(settings), seed, 1e-6), gradients(start(seed, 1e-6)))
        assert same, f"{entry.name}, {dict(settings)}: changes gradients of 1e-6"


def check_code(entry: Clip, seed: int = 0) -> None:
    """The statement in `code` does, with torch alone, what `build` does, bit for bit; where nothing is done it is empty."""
    import torch

    for settings in (entry.defaults(), entry.example):
        clip, code = entry.build(settings), entry.code(settings)
        assert (clip is None) == (code == ""), f"{entry.name}: build gives {clip}, code gives {code!r}"
        for scale in (1.0, 1e3):
            parameters = start(seed, scale)
            exec(code, {"torch": torch, "parameters": parameters})
            assert torch.equal(gradients(parameters), clipped(clip, seed, scale)), f"{entry.name}: build and {code} differ"


def check_hyperparameters(entry: Clip, seed: int = 0) -> None:
    """Every hyperparameter does something to large gradients."""
    import torch

    for name in entry.space:
        plain, changed = (entry.build(h) for h in (entry.defaults(), {**entry.defaults(), name: entry.example[name]}))
        same = torch.equal(clipped(plain, seed, 1e3), clipped(changed, seed, 1e3))
        assert not same, f"{entry.name}: {name} = {entry.example[name]} changes nothing"


CHECKS = (check_bounds, check_small, check_code, check_hyperparameters)
