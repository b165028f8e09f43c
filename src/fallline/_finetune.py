"""Fine-tuning: whether a model starts from trained weights, what of it is head, and the candidate whose body has a smaller lr."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from fallline._kinds import NORMS, looks_drawn, parameter_kinds
from fallline._model import Given
from fallline._prior import Candidate
from fallline._problem import Problem
from fallline._recipe import BodyLr
from fallline._weights import unfilled

BODY_LR = 0.1  # DETR trains its backbone from ImageNet at a tenth of the rest's lr (Carion et al., arXiv:2005.12872, A.4)


def with_body_lr(entered: list[Candidate], problem: Problem, seed: int) -> list[Candidate]:
    """For a model that starts from trained weights: the portfolio's first once more, with a tenth of its lr for the body; else nothing."""
    head = head_of(problem, seed)
    if not head or not entered or entered[0].recipe.optimizer.own:
        return []
    first = entered[0]
    recipe = replace(first.recipe, body_lr=BodyLr(BODY_LR, head))
    reason = f"{first.name} with a tenth of its lr for the trained body, all but {', '.join(head)}"
    return [Candidate(f"{first.name}-body", recipe, reason, cost=first.cost)]


def head_of(problem: Problem, seed: int) -> tuple[str, ...]:
    """The modules that are trained anew; empty where no weights were trained before, or where all or none of it is head.

    Where a file has no values for some trainable parameters, their modules; of a module given as it is, those whose matrices look drawn by
    torch's own initialisation; else the last matrix and what comes after it.
    """
    given, model = Given.of(problem.model), problem.new_model(seed)
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in model.parameters()):
        return ()
    if given.weights is not None:
        left = set(unfilled(model, given.weights))
        fresh = [name for name in trainable if name in left]
    elif isinstance(given.found(), nn.Module) and looks_trained(model):
        fresh = _drawn(model)
    else:
        return ()
    kinds = parameter_kinds(model)
    matrices = [name for name in trainable if kinds[name] in ("matrix", "convolution")]
    fresh = fresh or (trainable[trainable.index(matrices[-1]) :] if matrices else [])
    head = tuple(dict.fromkeys(name.rpartition(".")[0] or name for name in fresh))
    return head if any(not in_head(name, head) for name in trainable) else ()


def in_head(name: str, head: tuple[str, ...]) -> bool:
    """Whether a parameter belongs to one of the modules."""
    return any(f"{name}.".startswith(f"{part}.") for part in head)


def looks_trained(model: nn.Module) -> bool:
    """Whether a module's weights are others than it was made with: a norm layer's have moved; without such, some matrix is not as drawn."""
    norms = [module.weight for module in model.modules() if isinstance(module, NORMS) and isinstance(module.weight, nn.Parameter)]
    if norms:
        return any(bool((weight != 1).any()) for weight in norms)
    kinds = parameter_kinds(model)
    return any(kinds[name] in ("matrix", "convolution") and not looks_drawn(parameter) for name, parameter in model.named_parameters())


def _drawn(model: nn.Module) -> list[str]:
    """The trainable parameters of the layers whose matrix looks drawn."""
    drawn = {name.rpartition(".")[0] for name, parameter in model.named_parameters() if looks_drawn(parameter)}
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad and name.rpartition(".")[0] in drawn]
