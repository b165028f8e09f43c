"""Frozen: which parameters are frozen, and which of them look drawn at random rather than trained."""

from __future__ import annotations

from dataclasses import dataclass

from fallline.signals import Signal, Unavailable, Window


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Names in the model's order."""

    frozen: tuple[str, ...]
    trainable: tuple[str, ...]
    drawn: tuple[str, ...]  # frozen matrices that look drawn
    drawn_numbers: int
    numbers: int
    trainable_numbers: int
    last_drawn: bool  # the model's last matrix is among them


def drawn_names(window: Window, names: tuple[str, ...]) -> tuple[str, ...]:
    """Of these parameters, the matrices that look drawn: other values at another seed, or just the range of torch's initialisation."""
    from torch import nn

    from fallline._kinds import looks_drawn

    setup = window.setup
    model = setup.make().model
    parameters = dict(model.named_parameters())
    matrices = [name for name in names if parameters[name].ndim > 1]
    if not isinstance(setup.problem.model, nn.Module):
        try:
            other = dict(setup.make(seed=setup.seed + 1).model.named_parameters())
        except Unavailable:
            other = {}
        return tuple(name for name in matrices if name in other and bool((other[name] != parameters[name]).any()))
    return tuple(name for name in matrices if looks_drawn(parameters[name]))


def measure(window: Window) -> Frozen:
    model = window.setup.make().model
    named = dict(model.named_parameters())
    frozen = tuple(name for name, parameter in named.items() if not parameter.requires_grad)
    drawn = drawn_names(window, frozen)
    matrices = [name for name, parameter in named.items() if parameter.ndim > 1]
    sizes = {name: parameter.numel() for name, parameter in named.items()}
    return Frozen(
        frozen=frozen,
        trainable=tuple(name for name in named if name not in frozen),
        drawn=drawn,
        drawn_numbers=sum(sizes[name] for name in drawn),
        numbers=sum(sizes.values()),
        trainable_numbers=sum(size for name, size in sizes.items() if name not in frozen),
        last_drawn=bool(matrices) and matrices[-1] in drawn,
    )


ENTRY = Signal(name="frozen", title="Frozen parameters", cost="free", measure=measure)
