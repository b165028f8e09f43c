"""Logit-adjusted cross-entropy

What it does:
Adds tau * log(share of the class in train) to the logits before cross-entropy, in training only. To fit train the
network then has to earn what the class shares would have given it for nothing, and the plain logits that are judged
answer "which class explains this example best" as if all classes were equally frequent: at tau = 1 the shift is
exactly the one that minimises the balanced error.

When it suits:
Many classes of very different size with a metric that counts classes equally (balanced accuracy, macro F1). Unlike
class weights it also works on a network that fits train without error, because it moves the border and not only the
volume; no class is made so loud that its few examples are learned by heart.

When it does not:
Accuracy and log loss on data with the same class shares as train: the shares are information there, and leaving them out
costs. The probabilities are those of a world with equal classes; add log shares to the logits to come back. Classes of
less than about ten examples are pushed by a logarithm that is itself uncertain.

Source:
A. K. Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, equation 10. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings, Value
from fallline.catalogue.losses._classes import IGNORE

if TYPE_CHECKING:
    import torch


def logit_adjusted(tau: float, shares: list[float] | None, ignore_index: int) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if shares is not None:
            shift = tau * output.new_tensor(shares).log()
            output = output + shift.reshape(1, -1, *[1] * (output.ndim - 2))
        return torch.nn.functional.cross_entropy(output, target, ignore_index=ignore_index)

    return loss


def settle(h: Settings, profile: Profile) -> dict[str, Value]:
    counts = [float(max(count, 1)) for count in profile.class_counts]  # a class without examples is treated as if it had one
    known = h.get("shares") is not None or not sum(profile.class_counts)
    return dict(h) if known else {**h, "shares": [count / sum(counts) for count in counts]}


def suits(profile: Profile) -> float:
    # as cross_entropy_weighted, a little less until records say otherwise
    return 0.8 * min(1.0, max(0.0, (profile.imbalance - 3.0) / 27.0))


ENTRY = Loss(
    name="logit_adjusted",
    title="Logit-adjusted cross-entropy",
    source="Menon et al. (2021), Long-Tail Learning via Logit Adjustment",
    space={
        "tau": Hyperparameter(default=1.0, why="the value for which the paper proves the balanced error", low=0.25, high=1.5),
        "shares": Hyperparameter(default=None, why="one share a class, counted in train", above_zero=True),
        "ignore_index": IGNORE,
    },
    example={"tau": 0.5, "shares": [0.4, 0.3, 0.2, 0.1], "ignore_index": 0},
    tasks=("multiclass", "sequence"),
    reads=("real",),
    build=lambda h: logit_adjusted(tau=h["tau"], shares=h.get("shares"), ignore_index=int(h["ignore_index"])),
    code=lambda h: f"logit_adjusted(tau={h['tau']!r}, shares={h.get('shares')!r}, ignore_index={int(h['ignore_index'])})",
    suits=suits,
    metrics=("balanced_accuracy", "macro_f1"),
    settle=settle,
    aliases=("logit_adjustment",),
)
