"""D-Adapted Adam

What it does:
Adam that finds its own lr from a lower bound on the distance to the solution, which grows with the evidence and
stands in the place of lr. Prodigy is its successor, with a bound that grows faster. lr = 1 leaves the estimate as it
is. The lr is inside the momentum here, so a change of the schedule acts a few steps late.

When it suits:
As Prodigy: no lr is known and none can be tried. Convex problems, for which its rate is proven to be optimal without
knowing the distance.

When it does not:
Next to Prodigy it is mostly slower. The first steps: the estimate begins at d0 and doubles at best step by step. It
never falls, so early freak gradients harm for good: clip. Short trainings end before it has grown. No decay is
offered here: it would be scaled by the estimate as well.

Source:
A. Defazio and K. Mishchenko, Learning-Rate-Free Learning by D-Adaptation, ICML 2023. pytorch_optimizer.DAdaptAdam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, library, lr

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "d0", "eps")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library("DAdaptAdam", groups, 0.0, betas=(h["beta1"], h["beta2"]), **{name: h[name] for name in PLAIN})


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.DAdaptAdam(groups, betas=({h['beta1']!r}, {h['beta2']!r}), {shown})"


ENTRY = Optimizer(
    name="dadapt_adam",
    title="D-Adapted Adam",
    source="Defazio and Mishchenko (2023), Learning-Rate-Free Learning by D-Adaptation",
    space={
        "lr": lr(1.0, "the paper's: the estimate as it is", low=0.1, high=3.0),
        "beta1": beta1(),
        "beta2": beta2(),
        "d0": Hyperparameter(
            default=1e-6, why="the paper's: smaller than any distance that occurs", low=1e-8, high=1e-4, log=True, above_zero=True
        ),
        "eps": eps(why="the paper's: far below any gradient that matters"),
    },
    example={"lr": 0.5, "beta1": 0.8, "beta2": 0.9, "d0": 0.0001, "eps": 0.001},
    family="parameter-free",
    build=build,
    code=code,
    state_copies=3,
    decay="",
    lags=True,
    package="pytorch_optimizer",
    aliases=("d_adaptation", "dadaptation"),
)
