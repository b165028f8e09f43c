"""Loss: what an entry of a loss declares, for which problems it can be a candidate, and what it changes at the end of a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from fallline._head import Head
from fallline.catalogue._entry import Entry, Settings, Value, anywhere

if TYPE_CHECKING:
    import torch

    from fallline._profile import Profile

LossFunction: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"


def _as_declared(settings: Settings, profile: Profile) -> dict[str, Value]:
    return dict(settings)


@dataclass(frozen=True, kw_only=True)
class Loss(Entry):
    """A training criterion `(output, target) -> scalar`, mean over the batch."""

    tasks: tuple[str, ...]  # of fallline._profile.TASKS
    reads: tuple[str, ...]  # kinds of model output it can read: "real", "probability", "log-probability"
    build: Callable[[Settings], LossFunction]
    code: Callable[[Settings], str]
    stock: str = ""  # "torch.nn.HuberLoss" when build returns exactly that class
    plain_for: tuple[str, ...] = ()  # tasks whose plain loss this is
    width: int = 1  # model outputs it needs per target column (2: mean and variance)
    outputs: Callable[[Profile], int] | None = None  # of a head that shares its weights between outputs (CORAL); None: no such head
    pairs: bool = False  # an example's term depends on the other examples of the batch
    learns: bool = False  # `build` gives a module with parameters, which join the optimizer
    scale_free: bool = True  # the target may be standardised; False: counts and rates stay raw
    link: Callable[[torch.Tensor], torch.Tensor] | None = None  # output -> what the plain loss's model would give; None: as it is
    link_code: str = ""  # the same as an expression in `output`
    suits: Callable[[Profile], float] = lambda profile: 0.0  # how strongly the profile speaks for it, 0 not at all, 1 strongly
    metrics: tuple[str, ...] = ()  # metrics that this loss optimises directly
    ahead_for: tuple[str, ...] = ()  # metrics by which it was ahead of the plain loss on recorded tasks (docs/how-to-choose.md)
    kin: str = ""  # a loss so alike that racing both would waste a candidate
    on_request: str = ""  # why a race tries it only where the user names it: what it assumes no profile can tell; "" otherwise
    told_by: tuple[str, ...] = ()  # tasks that say what it assumes
    held_constant: bool = False  # a part of it counts as a constant in the gradient, which then is not the slope of the value
    refuses: Callable[[Profile], str] = anywhere  # why it cannot take these targets; "" when it can
    settle: Callable[[Settings, Profile], dict[str, Value]] = _as_declared  # relative values (target MAD, class counts) -> absolute ones

    def applies(self, profile: Profile) -> str:
        """Why this loss is no candidate for the problem; an empty string when it is."""
        if profile.task not in self.tasks:
            return f"is for {', '.join(self.tasks)}, the task is {profile.task}"
        if profile.output_kind not in self.reads and not self._strips(profile):
            ends = "" if "real" not in self.reads else ", which come from no activation module at its end that could be left out"
            return f"reads {' or '.join(self.reads)} outputs, the model gives {profile.output_kind} outputs{ends}"
        if reason := self._cannot_widen(profile):
            return reason
        if profile.target_scaled and not self.scale_free:
            return "needs raw counts, the target was standardised"
        return self.refuses(profile)

    def waits(self, profile: Profile) -> str:
        """Why a race tries it only where the user names it; "" where it is tried by itself."""
        return "" if profile.task in self.told_by else self.on_request

    def head(self, profile: Profile) -> Head | None:
        """What this loss changes at the end of the model, where it applies; None where it reads what the model gives."""
        outputs = self._wanted(profile)
        strips = self._strips(profile)
        if not outputs and not strips:
            return None
        return Head(
            layer=profile.last_layer if outputs else "",
            outputs=outputs,
            shared=self.outputs is not None,
            without=profile.last_activation if strips else "",
            does=profile.activation_does if strips else "",
        )

    def _strips(self, profile: Profile) -> bool:
        """Whether the activation at the model's end is left out for it."""
        return profile.output_kind not in self.reads and "real" in self.reads and bool(profile.last_activation)

    def _wanted(self, profile: Profile) -> int:
        """Outputs that the model's last layer has to give instead of its own; 0 where its own serve."""
        if self.outputs is not None:
            return self.outputs(profile)
        return 0 if profile.width == self.width else self.width * max(math.prod(profile.target_shape), 1)

    def _cannot_widen(self, profile: Profile) -> str:
        """Why the model does not give the outputs that this loss needs and cannot be made to; "" where it does or can."""
        wanted = self._wanted(profile)
        if not wanted:
            return ""
        if self.outputs is not None:
            needs = f"needs a last layer of {wanted} outputs with shared weights"
        else:
            needs = f"needs {self.width} model output(s) per target, the model gives {profile.width:g}"
            if profile.width > self.width:
                return needs
        if profile.fixed_end:
            return f"{needs}, and its outputs cannot be changed: the model {profile.fixed_end}"
        if profile.last_activation and not self._strips(profile):
            return f"{needs}, and the model ends in an activation ({profile.last_activation})"
        return ""
