"""Muon for matrices and AdamW for everything else, in one optimizer; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch


def orthogonalised(matrix: torch.Tensor, steps: int) -> torch.Tensor:
    """`matrix` with all its singular values moved to about 1 (between 0.7 and 1.2), by Newton-Schulz in the matrix's own dtype.

    torch.optim.Muon does this in bfloat16; here float32 stays float32, so that engines and machines agree more closely.
    """
    a, b, c = 3.4445, -4.7750, 2.0315  # quintic whose slope at zero is steepest (Jordan 2024), so five steps are enough
    x = matrix.T if matrix.size(0) > matrix.size(1) else matrix  # the shorter side first: the product below is then smallest
    x = x / x.norm().clamp(min=1e-7)  # the spectral norm is at most the Frobenius norm, so it is at most 1 now
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.size(0) > matrix.size(1) else x


def muon_scale(shape: torch.Size, adjust: str) -> float:
    """What multiplies lr for a matrix of this shape: "match_rms_adamw" makes one lr right for both rules."""
    rows, columns = shape[0], math.prod(shape[1:])
    return 0.2 * math.sqrt(max(rows, columns)) if adjust == "match_rms_adamw" else math.sqrt(max(1.0, rows / columns))


def muon_update(gradient: torch.Tensor, velocity: torch.Tensor, momentum: float, nesterov: bool, steps: int) -> torch.Tensor:
    """The direction of one Muon step; `velocity` is changed in place. Kernels of convolutions are read as (outputs, everything else)."""
    velocity.lerp_(gradient, 1.0 - momentum)
    update = gradient.lerp(velocity, momentum) if nesterov else velocity
    return orthogonalised(update.flatten(1), steps).view_as(gradient)


def adamw_update(
    gradient: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, count: float, beta1: float, beta2: float, eps: float
) -> torch.Tensor:
    """The direction of AdamW's step number `count`; `mean` and `square` are changed in place."""
    mean.lerp_(gradient, 1.0 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
    divisor = (square.sqrt() / math.sqrt(1.0 - math.pow(beta2, count))).add_(eps)
    return mean / divisor / (1.0 - math.pow(beta1, count))


class MuonAdamW(torch.optim.Optimizer):
    """Groups of `kind` "matrix" follow Muon, all others AdamW; each group's `algo` says which."""

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        adjust: str = "match_rms_adamw",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
    ) -> None:
        spelled = []
        for group in groups:
            plain = {key: value for key, value in group.items() if key != "kind"}
            spelled.append({"algo": "muon" if group.get("kind") == "matrix" else "adamw", **plain})
        muon = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps, "adjust": adjust}
        super().__init__(spelled, {"algo": "adamw", "lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps, **muon})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch types it by overloads
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            take = self._muon if group["algo"] == "muon" else self._adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    take(parameter, group)
        return loss

    def _muon(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        update = muon_update(parameter.grad, state["momentum_buffer"], group["momentum"], group["nesterov"], group["ns_steps"])
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"] * muon_scale(parameter.shape, group["adjust"]))

    def _adamw(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            # the count is a tensor on the CPU, as in torch's own optimizers, so that every checkpoint format takes the state
            state.update(step=torch.tensor(0.0), exp_avg=torch.zeros_like(parameter), exp_avg_sq=torch.zeros_like(parameter))
        state["step"] += 1.0
        count = state["step"].item()
        assert parameter.grad is not None
        beta1, beta2 = group["betas"]
        update = adamw_update(parameter.grad, state["exp_avg"], state["exp_avg_sq"], count, beta1, beta2, group["eps"])
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"])
