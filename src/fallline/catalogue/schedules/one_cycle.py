"""One cycle

What it does:
lr climbs along half a cosine from peak / div_factor to the peak during the first `pct_start` of the length, then
falls along half a cosine to peak / (div_factor * final_div_factor), in practice zero, at the last step. With the
defaults: from 4 % of the peak up for 30 % of the steps, then down for 70 %. torch's class can cycle momentum against
lr as well; here momentum is left alone, so that every optimizer can take it.

When it suits:
Training in few epochs at a high learning rate ("super-convergence"): image classifiers and tables with batch norm,
where the peak can be 3 to 10 times what a constant rate bears, because the climb leads the weights to flat regions
first. It contains its own warm-up, which Adam and transformers profit from as well.

When it does not:
The length must be known, and stopping in the middle catches lr at its highest: its early results look bad, and a race
that judges at a tenth must not cut it then. Starting from pretrained weights the climb can wreck what they know; use
a low peak or a short pct_start. With a peak that is right for a constant rate, 30 % climbing is partly wasted.

Source:
L. N. Smith and N. Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates (2018).
torch.optim.lr_scheduler.OneCycleLR(cycle_momentum=False).
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Schedule, Settings


def one_cycle(step: int, length: int, h: Settings) -> float:
    import math

    if length <= 1:
        return 1.0
    low = 1.0 / float(h["div_factor"])
    last = low / float(h["final_div_factor"])
    top = max(float(h["pct_start"]) * length - 1.0, 0.0)  # torch's own turning point, which need not be a whole step
    if step < top:
        return 1.0 + (low - 1.0) / 2.0 * (1.0 + math.cos(math.pi * step / top))
    along = min((step - top) / max(length - 1.0 - top, 1e-9), 1.0)  # 1e-9: pct_start = 1 climbs to the very end
    return last + (1.0 - last) / 2.0 * (1.0 + math.cos(math.pi * along))


ENTRY = Schedule(
    name="one_cycle",
    title="One cycle",
    source="Smith and Topin (2018); torch.optim.lr_scheduler.OneCycleLR",
    space={
        "pct_start": Hyperparameter(
            default=0.3, why="torch's default, after fast.ai's experiments", low=0.1, high=0.5, unit="share of the length", below=1.0
        ),
        "div_factor": Hyperparameter(
            default=25.0, why="torch's default: the first step runs at 4 % of the peak", low=5.0, high=100.0, log=True, above_zero=True
        ),
        "final_div_factor": Hyperparameter(
            default=1e4, why="torch's default: the last step is zero for all purposes", low=1e2, high=1e5, log=True, above_zero=True
        ),
    },
    example={"pct_start": 0.4, "div_factor": 10.0, "final_div_factor": 10.0},
    factor=one_cycle,
    peaks_at=0.3,
    aliases=("onecycle", "onecyclelr"),
)
