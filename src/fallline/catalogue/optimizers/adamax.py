"""Adamax

What it does:
Adam with the largest recent gradient in place of the root mean square: u <- max(beta2 * u, |g|), and the step is
lr * m / u (m being corrected for its start). Every step therefore is at most about lr in each weight, strictly so for
a constant gradient, and an outlier gradient is remembered at full size and forgotten by 0.1 % a step. With l2, l2 * w
joins the gradient first.

When it suits:
Sparse or bursty gradients (embeddings, word models, normalising flows), where Adam's v forgets a rare large gradient
within its window and then steps too far. As a steadier Adam in long trainings with spikes.

When it does not:
One freak gradient keeps all following steps of that weight small for about 1 / (1 - beta2) = 1,000 steps: clip, or
lower beta2. Since the maximum is always above the root mean square, steps are smaller than Adam's at equal lr, which
is why its default is 0.002. In general comparisons it is close to Adam and rarely in front. Decay is coupled only
(l2); for decoupled decay take AdamW. No fused kernel.

Source:
D. P. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, section 7.1. torch.optim.Adamax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, fastest, l2, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    cls = torch.optim.Adamax
    return cls(torch_groups(groups, h["l2"]), lr=h["lr"], betas=(h["beta1"], h["beta2"]), eps=h["eps"], **fastest(cls, groups))


def code(h: Settings, fast: str) -> str:
    return f"torch.optim.Adamax(groups, lr={h['lr']!r}, betas=({h['beta1']!r}, {h['beta2']!r}), eps={h['eps']!r}{fast})"


ENTRY = Optimizer(
    name="adamax",
    title="Adamax",
    source="Kingma and Ba (2015), section 7.1; torch.optim.Adamax",
    space={
        "lr": lr(2e-3, "torch's default and the paper's", low=1e-5, high=3e-2),
        "beta1": beta1(),
        "beta2": beta2(why="torch's default and the paper's: the largest gradient is forgotten by 0.1 % a step"),
        "eps": eps(),
        "l2": l2(),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.5, "eps": 1e-3, "l2": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=2,
    decay="l2",
    stock="torch.optim.Adamax",
)
