"""Adan

What it does:
Adam with Nesterov's look-ahead written as a difference of gradients: it averages the gradient (beta1), its change
since the last step (beta2) and the square of both together (beta3), and steps by (m + beta2 * change) / sqrt(n).
Three moments and the last gradient, four floats a weight. weight_decay is decoupled.

When it suits:
Vision transformers and ConvNeXt from scratch at large batches and large lr, where the paper needs half of AdamW's
epochs; diffusion and reinforcement learning have taken it up.

When it does not:
Memory: twice AdamW's state. Small batches: a difference of two noisy gradients is noisier than either. Do not bring
AdamW's betas; here each says how much is kept, and 0.98, 0.92, 0.99 is the paper's setting.

Source:
X. Xie, P. Zhou, H. Li, Z. Lin and S. Yan, Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep
Models, IEEE Transactions on Pattern Analysis and Machine Intelligence (2024). pytorch_optimizer.Adan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, library, lr, weight_decay

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "eps")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library(
        "Adan",
        groups,
        h["weight_decay"],
        betas=(h["beta1"], h["beta2"], h["beta3"]),
        **{name: h[name] for name in PLAIN},
        weight_decouple=True,
    )


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.Adan(groups, betas=({h['beta1']!r}, {h['beta2']!r}, {h['beta3']!r}), {shown}, weight_decouple=True)"


ENTRY = Optimizer(
    name="adan",
    title="Adan",
    source="Xie et al. (2024), Adan",
    space={
        "lr": lr(1e-3, "the library's default; the paper goes to ten times AdamW's", low=1e-4, high=3e-2),
        "beta1": beta1(0.98, "the paper's"),
        "beta2": beta2(0.92, "the paper's: the change of the gradient is forgotten soonest"),
        "beta3": beta2(0.99, "the paper's"),
        "eps": eps(why="the paper's: far below any gradient that matters"),
        "weight_decay": weight_decay(0.02, "the paper's for vision"),
    },
    example={"lr": 0.01, "beta1": 0.9, "beta2": 0.8, "beta3": 0.9, "eps": 0.001, "weight_decay": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=4,
    package="pytorch_optimizer",
)
