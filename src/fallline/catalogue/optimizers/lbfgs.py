"""L-BFGS

What it does:
Builds a picture of the curvature from the last `history_size` steps and gradients, goes in Newton's direction by it, and
looks for a good step length along the way (strong Wolfe conditions). One step here is up to `max_iter` such moves and
so about 25 forward and backward passes over all of train, which the price counts. lr is the length that is tried first.

When it suits:
Small models and small data in one batch, with a smooth loss: logistic and other regressions, fitted formulas, physics-informed
networks, where it reaches in tens of steps a precision that Adam does not reach at all.

When it does not:
Mini-batches and dropout: curvature from differences of noisy gradients is noise, so it is refused wherever train is more
than one batch. Losses with corners (l1, hinge). Large networks, whose valid metric rarely asks for that precision: it
fits train to the last digit and overfits as fast. Clipping acts on every gradient it sees and spoils its curvature;
leave it off.

Source:
D. C. Liu and J. Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, Mathematical Programming 45
(1989). torch.optim.LBFGS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import keywords, lr

if TYPE_CHECKING:
    import torch


SEARCHES = {"strong_wolfe": "strong_wolfe", "none": None}  # as torch spells them


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    together = [parameter for group in groups for parameter in group["params"]]  # it knows one group only
    return torch.optim.LBFGS(together, **{**h, "line_search_fn": SEARCHES[h["line_search_fn"]]})


def code(h: Settings, fast: str) -> str:
    shown = keywords({**h, "line_search_fn": SEARCHES[h["line_search_fn"]]})
    return f'torch.optim.LBFGS([parameter for group in groups for parameter in group["params"]], {shown})'


ENTRY = Optimizer(
    name="lbfgs",
    title="L-BFGS",
    source="Liu and Nocedal (1989); torch.optim.LBFGS",
    space={
        "lr": lr(1.0, "torch's default: Newton's own step first", low=0.1, high=1.0),
        "max_iter": Hyperparameter(default=20, why="torch's default", low=4, high=20, whole=True, above_zero=True),
        "history_size": Hyperparameter(
            default=10, why="Liu and Nocedal: 3 to 7 do nearly as well as more; torch has 100", low=3, high=30, whole=True, above_zero=True
        ),
        "line_search_fn": Hyperparameter(
            default="strong_wolfe", why="without it a step can go uphill; torch has none", choices=("strong_wolfe", "none")
        ),
    },
    example={"lr": 0.5, "max_iter": 4, "history_size": 3, "line_search_fn": "none"},
    family="adaptive",
    build=build,
    code=code,
    state_copies=22,  # two vectors for each step remembered, and two more
    decay="",
    passes_per_step=25,
    full_batch=True,
    closure=True,
    stock="torch.optim.LBFGS",
    aliases=("l_bfgs",),
)
