"""Muon (with AdamW for the rest)

What it does:
For every weight matrix it keeps a velocity of gradients (momentum 0.95, with Nesterov's look-ahead) and replaces it
by the nearest matrix with all singular values about 1, found by five Newton-Schulz steps (three matrix products
each). So every direction in the matrix is learned at the same speed, the rare ones too, which SGD and Adam leave to a
few dominant ones. The kernel of a convolution counts as a matrix (outputs, everything else). Biases, norms and
embeddings follow AdamW. With adjust = match_rms_adamw a step of a matrix is 0.2 * sqrt(longer side) long, the size of
a typical AdamW step, so one lr serves both.

When it suits:
Networks whose weights are mostly matrices: transformers, where it reached AdamW's loss with about half the compute
(Liu et al. 2025), multilayer perceptrons on tables, ResNets on small images (the CIFAR speed records). Large batches.
One float of state for each element of a matrix, where AdamW keeps two.

When it does not:
The extra products cost 20 to 30 operations times the shorter side for each element and step, against 6 times the
batch for forward and backward: at a width of 512 that is nothing beside a batch of 500,000 tokens, and 50 to 80 times
the step for a batch of 32 rows. Models that are mostly embeddings have no use for it. Fine-tuning what was trained
with AdamW gains little (reported by the same authors). Do not bring an lr of 0.02 from code with adjust = original.
Orthogonalisation runs in the weights' own dtype, where torch.optim.Muon takes bfloat16: the two agree to about 1 %.
With polynomial = polar_express, each step has the polynomial that is best after those before it, and two steps, at two
fifths of the products, train about as well as five (benchmarks/price/muon.md); the portfolio's recipes take these.

Source:
K. Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks (2024); J. Liu et al., Muon is Scalable for
LLM Training (2025). polar_express: N. Amsel et al., The Polar Express, arXiv:2505.16932 (2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, LaneRule, Optimizer, Settings
from fallline.catalogue.optimizers import adam_step, beta1, beta2, eps, lr, torch_groups, weight_decay

if TYPE_CHECKING:
    import torch

MUON = ("lr", "momentum", "nesterov", "ns_steps", "polynomial", "adjust", "eps")

ALIKE = ("nesterov", "ns_steps", "polynomial", "adjust")  # of the lanes whose matrices are orthogonalised together


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    from fallline.catalogue.optimizers._muon import MuonAdamW

    spelled = torch_groups(groups, h["weight_decay"], kinds=True)
    return MuonAdamW(spelled, betas=(h["beta1"], h["beta2"]), **{name: h[name] for name in MUON})


def code(h: Settings, fast: str) -> str:
    # own code, so there is neither a fused nor a foreach form to ask for
    shown = ", ".join(f"{name}={h[name]!r}" for name in MUON)
    return f"MuonAdamW(groups, betas=({h['beta1']!r}, {h['beta2']!r}), {shown})"


def refuses(profile: Profile) -> str:
    if not profile.matrices + profile.convolutions:
        return "needs weight matrices, the model trains none"
    return ""


def update(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    weights.mul_(1 - h["lr"] * h["weight_decay"])
    adam_step(weights, gradients, state, step, h)


def update_matrix(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    from fallline.catalogue.optimizers._muon import muon_scale
    from fallline.catalogue.optimizers._muon_lanes import orthogonalised_lanes

    velocity = state["momentum_buffer"].lerp_(gradients, 1 - h["momentum"])
    direction = gradients.lerp(velocity, h["momentum"]) if h["nesterov"] else velocity
    direction = orthogonalised_lanes(direction.flatten(2), h["ns_steps"], h["polynomial"]).view_as(weights)
    weights.mul_(1 - h["lr"] * h["weight_decay"])
    weights.sub_(direction * (h["lr"] * muon_scale(weights.shape[1:], h["adjust"])))


ENTRY = Optimizer(
    name="muon",
    title="Muon (with AdamW for the rest)",
    source="Jordan et al. (2024); Liu et al. (2025), Muon is Scalable for LLM Training",
    space={
        "lr": lr(1e-3, "torch's default for Muon and AdamW alike", low=1e-4, high=3e-2),
        "momentum": Hyperparameter(default=0.95, why="torch's default and Jordan's", low=0.85, high=0.98, below=1.0),
        "nesterov": Hyperparameter(default=True, why="torch's default and Jordan's, who found it better throughout", choices=(True, False)),
        "ns_steps": Hyperparameter(default=5, why="torch's default: enough for the fixed polynomial", low=2, high=6, whole=True),
        "polynomial": Hyperparameter(
            default="jordan",
            why="torch's; two or three steps of polar_express do as well as five of these (benchmarks/price/muon.md)",
            choices=("jordan", "polar_express"),
        ),
        "adjust": Hyperparameter(
            default="match_rms_adamw",
            why="torch has original; this one makes the same lr right for matrices and the rest",
            choices=("match_rms_adamw", "original"),
        ),
        "beta1": beta1(),
        "beta2": beta2(),
        "eps": eps(),
        "weight_decay": weight_decay(0.1, "torch's default for Muon, and what Liu et al. train with"),
    },
    example={
        "lr": 0.01,
        "momentum": 0.8,
        "nesterov": False,
        "ns_steps": 3,
        "polynomial": "polar_express",
        "adjust": "original",
        "beta1": 0.8,
        "beta2": 0.95,
        "eps": 1e-3,
        "weight_decay": 0.5,
    },
    family="matrix",
    build=build,
    code=code,
    state_copies=2,
    matrices=True,
    refuses=refuses,
    carries="fallline.catalogue.optimizers._muon",
    aliases=("muon_adamw", "muonadamw"),
    lanes=LaneRule(update=update, keeps=lambda h: ("exp_avg", "exp_avg_sq"), alike=ALIKE),
    lanes_of_matrices=LaneRule(update=update_matrix, keeps=lambda h: ("momentum_buffer",), counts=False, alike=ALIKE),
)
