"""Averaged SGD (ASGD)

What it does:
Plain SGD, and beside it the mean of all weights since step `begin`, each of them counting the same. The mean is what is
judged and handed back; training goes on from the weights themselves. torch's own rule for lr is left out (its lambd is
0): the schedule takes its place. With l2, l2 * w joins the gradient first.

When it suits:
Convex problems and the end of long trainings at a constant lr: the mean settles where the weights only circle, and for a
quadratic it is as good as the best decaying lr, without having to know it. Language models of the LSTM age (AWD-LSTM)
ended with it.

When it does not:
Averages of all weights remember the early ones: begin after the fast descent. A schedule that falls to zero makes it
needless. Networks whose weights still travel: the mean lags behind by half of the way. Batch norm's running means are
those of the weights in training, and need not fit the average. A recipe's own average (exponential) is the better known
tool with Adam and AdamW.

Source:
B. T. Polyak and A. B. Juditsky, Acceleration of Stochastic Approximation by Averaging, SIAM Journal on Control and
Optimization 30 (1992). torch.optim.ASGD, which leaves the average in its state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import l2, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    from fallline.catalogue.optimizers._asgd import AveragedSGD

    return AveragedSGD(torch_groups(groups, h["l2"]), lr=h["lr"], begin=int(h["begin"]))


ENTRY = Optimizer(
    name="asgd",
    title="Averaged SGD (ASGD)",
    source="Polyak and Juditsky (1992); torch.optim.ASGD",
    space={
        "lr": lr(1e-2, "torch's default", low=1e-3, high=1.0),
        "begin": Hyperparameter(
            default=500,
            why="torch's million is never reached; 500 steps are behind the fast descent",
            low=10,
            high=10000,
            log=True,
            unit="steps",
            whole=True,
        ),
        "l2": l2(),
    },
    example={"lr": 0.1, "begin": 3, "l2": 0.1},
    family="averaged",
    build=build,
    code=lambda h, fast: f"AveragedSGD(groups, lr={h['lr']!r}, begin={int(h['begin'])})",
    state_copies=1,
    decay="l2",
    switches=True,
    carries="fallline.catalogue.optimizers._asgd",
    aliases=("averaged_sgd", "polyak"),
)
