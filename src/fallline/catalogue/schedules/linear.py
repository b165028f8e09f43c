"""Linear decay

What it does:
factor = 1 - (1 - final) * step / length: a straight line from the peak to `final`, which is zero unless you say
otherwise. torch calls it LinearLR(start_factor=1, end_factor=final, total_iters=length).

When it suits:
Whenever the length is known. Under the classical bounds for SGD's last iterate, linear decay to zero is the best
schedule there is, and in large comparisons (Defazio et al. 2023) it matched or beat cosine on most of ten problems.
Fine-tuning of language models has used it with a warm-up of 6 to 10 % since BERT.

When it does not:
When training may go on beyond the length, or be read off earlier: half-way through, lr is half the peak and the
weights are still noisy. Where a network needs long exploration at the peak (small images, hundreds of epochs) step or
wsd hold it longer. Next to cosine the difference is mostly below the spread of seeds, so trying both rarely pays.

Source:
A. Defazio, A. Cutkosky, H. Mehta and K. Mishchenko, Optimal Linear Decay Learning Rate Schedules and Further
Refinements (2023). torch.optim.lr_scheduler.LinearLR.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def linear(step: int, length: int, h: Settings) -> float:
    return float(1.0 - (1.0 - h["final"]) * min(step / max(length, 1), 1.0))


ENTRY = Schedule(
    name="linear",
    title="Linear decay",
    source="Defazio et al. (2023); torch.optim.lr_scheduler.LinearLR",
    space={
        "warmup": WARMUP,
        "final": Hyperparameter(
            default=0.0, why="decay to zero is what the bounds and the comparisons favour", low=0.0, high=0.2, unit="share of the peak"
        ),
    },
    example={"warmup": 0.1, "final": 0.1},
    factor=linear,
    aliases=("linearlr", "linear_decay"),
)
