"""Muon for matrices and AdamW for everything else, in one optimizer; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.adamw import adamw

# What a step makes of a singular value v: a v + b v^3 + c v^5; the last row also serves all later steps.
POLYNOMIALS = {
    "jordan": ((3.4445, -4.7750, 2.0315),),  # steepest at zero, the same in every step (Jordan 2024), so five are enough
    "polar_express": (  # each the best after those before it, for values from 0.001 to 1 (Amsel et al. 2025), so two or three are
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
        (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
        (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
        (1.875, -1.25, 0.375),
    ),
}


def orthogonalised(matrix: torch.Tensor, steps: int, polynomial: str = "jordan") -> torch.Tensor:
    """`matrix` with its singular values moved towards 1 by Newton-Schulz, in its own dtype, or in float32 where that is shorter.

    The steps begin from singular values of at most 1. "jordan" gets them by dividing by the Frobenius norm, as torch.optim.Muon does, which
    then goes on in bfloat16; here float32 stays float32, so that engines and machines agree more closely. "polar_express" divides by the
    root of the Frobenius norm of the Gram matrix, which is needed anyway; for n equal singular values it is tighter by n^(1/4).
    """
    if matrix.dtype in (torch.float16, torch.bfloat16):  # the steep polynomials pass rounding errors of half precision on, many times over
        return orthogonalised(matrix.float(), steps, polynomial).to(matrix.dtype)
    x = matrix.T if matrix.size(0) > matrix.size(1) else matrix  # the shorter side first: the product below is then smallest
    rows = POLYNOMIALS[polynomial]
    if x.size(0) == 1:  # a single direction: its one value is 1 from the start, and the steps are numbers
        value = 1.0
        for step in range(steps):
            a, b, c = rows[min(step, len(rows) - 1)]
            value *= a + b * value**2 + c * value**4
        only: torch.Tensor = matrix * (value / matrix.norm().clamp(min=1e-7))
        return only
    x = x / x.norm().clamp(min=1e-7)  # before any product, which could overflow
    gram = x @ x.T
    if polynomial == "polar_express":
        bound = gram.norm().clamp(min=1e-14)  # 0 for a gradient of zeros
        x, gram = x / bound.sqrt(), gram / bound
    for step in range(steps):
        a, b, c = rows[min(step, len(rows) - 1)]
        gram = gram if step == 0 else x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.size(0) > matrix.size(1) else x


def muon_scale(shape: torch.Size, adjust: str) -> float:
    """What multiplies lr for a matrix of this shape: "match_rms_adamw" makes one lr right for both rules."""
    rows, columns = shape[0], math.prod(shape[1:])
    return 0.2 * math.sqrt(max(rows, columns)) if adjust == "match_rms_adamw" else math.sqrt(max(1.0, rows / columns))


class MuonAdamW(torch.optim.Optimizer):
    """Groups of `kind` "matrix" follow Muon, all others AdamW; each group's `algo` says which."""

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        polynomial: str = "jordan",
        adjust: str = "match_rms_adamw",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
    ) -> None:
        spelled = []
        for group in groups:
            plain = {key: value for key, value in group.items() if key != "kind"}
            spelled.append({"algo": "muon" if group.get("kind") == "matrix" else "adamw", **plain})
        muon = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps, "polynomial": polynomial, "adjust": adjust}
        super().__init__(spelled, {"algo": "adamw", "lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps, **muon})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("polynomial", "jordan")  # checkpoints from before there was a choice

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch types it by overloads
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["algo"] == "adamw":
                self._adamw(parameters, group)
            elif parameters:
                self._muon(parameters, group)
        return loss

    def _muon(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> None:
        """One Muon step of all matrices of a group. Kernels of convolutions are read as (outputs, everything else)."""
        gradients, velocities = [], []
        for parameter in parameters:
            assert parameter.grad is not None
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
            velocities.append(state["momentum_buffer"])
        torch._foreach_lerp_(velocities, gradients, 1.0 - group["momentum"])
        torch._foreach_mul_(parameters, 1.0 - group["lr"] * group["weight_decay"])
        for parameter, gradient, velocity in zip(parameters, gradients, velocities, strict=True):  # one copy of one matrix at a time
            update = gradient.lerp(velocity, group["momentum"]) if group["nesterov"] else velocity
            direction = orthogonalised(update.flatten(1), group["ns_steps"], group["polynomial"]).view_as(parameter)
            parameter.add_(direction, alpha=-group["lr"] * muon_scale(parameter.shape, group["adjust"]))

    def _adamw(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> None:
        fused = all(parameter.is_floating_point() and parameter.device.type in ("cpu", "cuda") for parameter in parameters)
        for parameter in parameters:
            state, where = self.state[parameter], parameter.device if fused else torch.device("cpu")  # torch's fused kernel wants it there
            if not state:
                state.update(step=torch.tensor(0.0), exp_avg=torch.zeros_like(parameter), exp_avg_sq=torch.zeros_like(parameter))
            state["step"] = state["step"].to(where, torch.float32)  # a checkpoint may hold it elsewhere
        states = [self.state[parameter] for parameter in parameters]
        beta1, beta2 = group["betas"]
        adamw(
            parameters, [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states], [], [state["step"] for state in states],
            fused=fused, amsgrad=False, beta1=beta1, beta2=beta2, lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"],
            maximize=False,
        )  # fmt: skip
