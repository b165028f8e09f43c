"""Gradients are clipped before they are unscaled

How it is detected:
In the user's own loop the gradient that arrives at the loss gives the factor by which it was scaled. Where it is large, the norm of all
gradients at the step, multiplied by it, is the same number at most steps: they were cut to that norm while they were still scaled, and made
smaller by the factor afterwards.

Why it matters:
A clip at 1 becomes one at 1 / 65,536. With SGD hardly anything moves; Adam, which divides by the size of the gradient, hides it until
gradients are as small as its epsilon.

What to do:
Call `scaler.unscale_(optimizer)` between `backward()` and `clip_grad_norm_`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import looped, numbers
from fallline.rules.accumulation_not_averaged import _follows_size
from fallline.signals import Window, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

SCALED = 16.0  # a loss is hardly ever weighed so much by hand; GradScaler begins at 65,536
SAME = 0.02  # of the norm, between the middle half of all steps
SHARE = 0.1  # of the unscaled gradient, that is left at the step


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    events, scales = seen.events, [abs(scale) for scale in seen.run.scales if scale]
    if window.setup.problem.loop is None or not scales or len(events.whole_norms) < 8:
        return NotApplicable("scaling and clipping are the user's own only in a loop of their own")
    scale = sorted(scales)[len(scales) // 2]
    if scale < SCALED:
        return None
    norms = sorted(norm for norm in events.whole_norms.values() if 0 < norm < float("inf"))
    kept = sorted(share for share in events.kept.values() if share > 0)
    if len(norms) < 8 or len(kept) < 8:
        return None
    low, middle, high = (norms[int(len(norms) * share)] for share in (0.25, 0.5, 0.75))
    left = kept[len(kept) // 2] * scale  # of the gradient less its scale: 1 where nothing was cut
    if high - low > SAME * middle or left > SHARE or scale * middle < 1e-3:
        return None
    evidence = (
        f"the loss is scaled by {scale:g}; at most steps the gradients' norm is {middle:.3g}, which is {scale * middle:.3g} "
        f"before unscaling, "
        f"and {left:.1g} of what the unscaled gradient would be"
    )
    matters = _follows_size(seen.made.optimizer)
    figures = {"scale": scale, "norm": middle, "left": left}
    remedy = "call scaler.unscale_(optimizer) before clipping"
    return RULE.finding(evidence, remedy, place="loop", severity="stop" if matters else "info", figures=figures)


RULE = Rule(
    code="FL313",
    name="clipped_before_unscaling",
    title="Gradients are clipped before they are unscaled",
    faults=("O13",),
    severity="stop",
    stage="schedule",
    check=check,
    explains=("FL304", "FL415"),
)


def _scaled(unscales: bool, clips: bool = True) -> Problem:
    import torch

    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def loop(model: Any, loss: Any, optimizer: Any, scheduler: Any, loader: Any) -> None:
        for inputs, target in loader:
            optimizer.zero_grad()
            scaler.scale(loss(model(inputs), target)).backward()
            if unscales:
                scaler.unscale_(optimizer)
            if clips:
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()

    return numbers(loop=loop, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.05))


FIRES: Cases = {"a clip at 1 of gradients 1024 times too large": lambda: _scaled(unscales=False)}
SILENT: Cases = {
    "a clip after unscale_": lambda: _scaled(unscales=True),
    "scaling without a clip": lambda: _scaled(unscales=False, clips=False),
    "no scaling": looped,
    "no loop": numbers,
}
