"""Constant learning rate

What it does:
factor = 1 at every step (after the warm-up, if there is one): the learning rate stays at its peak.

When it suits:
Comparisons in which the schedule should not speak, training without a known end, and reinforcement learning or online
learning where the data never settle. Together with an average of the weights it competes with decay: the average
removes the noise that a decay would have removed, and can be read off at any step.

When it does not:
Nearly everywhere else. With gradient noise the weights end in a cloud around the minimum whose squared width grows
with lr; only a falling lr lets them settle. A decay over the last part of the same training costs nothing and nearly
always ends lower. As the baseline of torch it is what most people run without knowing.

Source:
torch.optim without a scheduler; H. Robbins and S. Monro (1951) for why lr has to fall.
"""

from __future__ import annotations

from fallline.catalogue import Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def constant(step: int, length: int, h: Settings) -> float:
    return 1.0


ENTRY = Schedule(
    name="constant",
    title="Constant learning rate",
    source="torch.optim without a scheduler",
    space={"warmup": WARMUP},
    example={"warmup": 0.1},
    factor=constant,
    flat=True,
    aliases=("fixed",),
)
