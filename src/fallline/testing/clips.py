"""The contract of a clip: it bounds, it never lengthens, it leaves small gradients alone, and `code` is `build`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fallline.catalogue import Clip, ClipFunction, Settings
from fallline.catalogue._pages import carried

if TYPE_CHECKING:
    import torch

SHAPES = ((4, 3), (5,), (2, 3, 2))
SEEN = 12  # gradients that a clip which remembers has seen before it is judged, of lengths around those of scale 1


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


def remember(clip: Callable[[list[torch.Tensor]], object], seed: int) -> None:
    """Let a clip that remembers see gradients, longer ones later; the others do not mind."""
    for k in range(SEEN):
        clip(start(seed + k, 1.0 + k / SEEN))


def ready(entry: Clip, settings: Settings, seed: int = 0) -> ClipFunction | None:
    """The clip as it is some steps into a training."""
    clip = entry.build(settings)
    if clip is not None:
        remember(clip, seed)
    return clip


def clipped(clip: Callable[[list[torch.Tensor]], object] | None, seed: int, scale: float) -> torch.Tensor:
    """The gradients after the clip."""
    parameters = start(seed, scale)
    if clip is not None:
        clip(parameters)
    return gradients(parameters)


def check_bounds(entry: Clip, seed: int = 0) -> None:
    """No element grows or turns round; beyond its bound, a gradient a thousand times larger comes out as long."""
    for settings in (entry.defaults(), entry.example):
        for scale in (1e-6, 1.0, 1e3):
            before, after = gradients(start(seed, scale)), clipped(ready(entry, settings, seed), seed, scale)
            case = f"{entry.name}, {dict(settings)}, scale {scale}, seed {seed}"
            assert (after.abs() <= before.abs()).all(), f"{case}: lengthens a gradient"
            assert (after * before >= 0).all(), f"{case}: turns a gradient round"
        if entry.build(settings) is not None:
            long, longer = (float(clipped(ready(entry, settings, seed), seed, scale).norm()) for scale in (1e4, 1e7))
            assert abs(longer / long - 1.0) < 1e-2, f"{entry.name}, {dict(settings)}: not bounded, {long} and {longer}"


def check_small(entry: Clip, seed: int = 0) -> None:
    """Gradients far below the bound pass bit for bit."""
    import torch

    for settings in (entry.defaults(), entry.example):
        same = torch.equal(clipped(ready(entry, settings, seed), seed, 1e-6), gradients(start(seed, 1e-6)))
        assert same, f"{entry.name}, {dict(settings)}: changes gradients of 1e-6"


def check_code(entry: Clip, seed: int = 0) -> None:
    """The statement in `code` does, with torch alone, what `build` does, bit for bit; where nothing is done it is empty."""
    import torch

    for settings in (entry.defaults(), entry.example):
        clip, code, begin = entry.build(settings), entry.code(settings), entry.begin(settings)
        assert (clip is None) == (code == ""), f"{entry.name}: build gives {clip}, code gives {code!r}"
        names: dict[str, object] = {"torch": torch}
        exec("from __future__ import annotations\n" + carried(entry, f"{begin}\n{code}") + "\n" + begin, names)
        for scale in (1.0, 1e3, 1.0, 2.0):
            parameters = start(seed, scale)
            exec(code, {**names, "parameters": parameters})
            assert torch.equal(gradients(parameters), clipped(clip, seed, scale)), f"{entry.name}: build and {code} differ"


def check_hyperparameters(entry: Clip, seed: int = 0) -> None:
    """Every hyperparameter does something to large gradients."""
    import torch

    for name in entry.space:
        plain, changed = (ready(entry, h, seed) for h in (entry.defaults(), {**entry.defaults(), name: entry.example[name]}))
        same = torch.equal(clipped(plain, seed, 1e3), clipped(changed, seed, 1e3))
        assert not same, f"{entry.name}: {name} = {entry.example[name]} changes nothing"


def check_resume(entry: Clip, seed: int = 0) -> None:
    """One that remembers goes on from its saved state, on disk meanwhile, as if nothing had happened; its build is fresh each time."""
    import io

    import torch

    for settings in (entry.defaults(), entry.example):
        fresh, clip, again = entry.build(settings), ready(entry, settings, seed), entry.build(settings)
        if clip is None or again is None or fresh is None:
            continue
        save, load = getattr(clip, "state_dict", None), getattr(again, "load_state_dict", None)
        assert (save is None) == (load is None), f"{entry.name}: state_dict and load_state_dict go together"
        if save is None or load is None:
            same = torch.equal(clipped(clip, seed, 3.0), clipped(again, seed, 3.0))
            assert same, f"{entry.name}: remembers gradients, but has no state_dict to carry them over a pause"
            continue
        file = io.BytesIO()
        torch.save(save(), file)
        file.seek(0)
        remembered = [clipped(clip, seed, scale) for scale in (3.0, 1.0, 2.0)]
        load(torch.load(file))
        for ours, scale in zip(remembered, (3.0, 1.0, 2.0), strict=True):
            assert torch.equal(ours, clipped(again, seed, scale)), f"{entry.name}, {dict(settings)}: a resumed clip differs"
        assert not torch.equal(remembered[0], clipped(fresh, seed, 3.0)), f"{entry.name}: has a state and makes no use of it"


CHECKS = (check_bounds, check_small, check_code, check_hyperparameters, check_resume)
