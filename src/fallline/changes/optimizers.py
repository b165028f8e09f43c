"""Changes of the optimizer: its rates, its options, and which parameters it holds."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fallline.changes import Change

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fallline._problem import Problem

USUAL_MOMENTUM = 0.9  # torch's own for Adam, and what SGD is usually given


def scaled_lr(factor: float) -> Change:
    """All learning rates times a factor, and what a schedule remembers of them."""

    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_optimizer, with_scheduler

        if problem.scheduler is None:
            return with_optimizer(problem, lambda optimizer, _: scale(optimizer, None, factor))
        return with_scheduler(problem, lambda scheduler, optimizer: scale(optimizer, scheduler, factor))

    return Change(words=f"lr x {factor:g}", source=f"multiply the optimizer's lr by {factor:g}", make=make, repeats=True)


def scale(optimizer: torch.optim.Optimizer, scheduler: Any, factor: float) -> None:
    from fallline.signals.reruns import scale_lr

    scale_lr(SimpleNamespace(optimizer=optimizer, scheduler=scheduler), factor)  # type: ignore[arg-type]  # two of its parts are read


def with_options(words: str, source: str, **options: float) -> Change:
    """Options of all groups that have them."""

    def edit(optimizer: torch.optim.Optimizer, _: nn.Module) -> None:
        for group in optimizer.param_groups:
            group.update({name: value for name, value in options.items() if name in group})

    return _edited(words, source, edit)


def usual_momentum() -> Change:
    """Momentum, or the first of betas, as it usually is."""

    def edit(optimizer: torch.optim.Optimizer, _: nn.Module) -> None:
        for group in optimizer.param_groups:
            group.update({name: USUAL_MOMENTUM for name in ("momentum",) if name in group})
            if "betas" in group:
                group["betas"] = (USUAL_MOMENTUM, *group["betas"][1:])

    return _edited(f"momentum {USUAL_MOMENTUM:g}", f"momentum={USUAL_MOMENTUM:g}, or betas=({USUAL_MOMENTUM:g}, ...)", edit)


def scaled_option(name: str, factor: float) -> Change:
    """An option of all groups times a factor."""

    def edit(optimizer: torch.optim.Optimizer, _: nn.Module) -> None:
        for group in optimizer.param_groups:
            if isinstance(group.get(name), float | int):
                group[name] *= factor

    return _edited(f"{name} x {factor:g}", f"multiply the optimizer's {name} by {factor:g}", edit)


def plain_adam_options() -> Change:
    """Epsilon and betas as torch has them; those of another optimizer by its own defaults."""

    def edit(optimizer: torch.optim.Optimizer, _: nn.Module) -> None:
        known = inspect.signature(type(optimizer)).parameters
        usual = {name: known[name].default for name in ("eps", "betas", "alpha") if name in known}
        for group in optimizer.param_groups:
            group.update({name: value for name, value in usual.items() if name in group and value is not inspect.Parameter.empty})

    return _edited("epsilon and betas as torch has them", "leave eps and betas out of the optimizer", edit)


def decoupled_decay() -> Change:
    """AdamW in place of Adam, with the same groups and options."""

    def edit(optimizer: torch.optim.Optimizer, _: nn.Module) -> torch.optim.Optimizer:
        import torch

        known = inspect.signature(torch.optim.AdamW).parameters
        groups = [{key: value for key, value in group.items() if key == "params" or key in known} for group in optimizer.param_groups]
        return torch.optim.AdamW(groups)

    return _edited("AdamW in place of Adam", "optimizer = torch.optim.AdamW(...), with the same options", edit)


def adam() -> Change:
    """Adam at torch's own rate in place of an optimizer whose steps wear out, with the same groups."""

    def edit(optimizer: torch.optim.Optimizer, _: nn.Module) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam([{"params": group["params"]} for group in optimizer.param_groups])

    return _edited("Adam at lr 0.001", "optimizer = torch.optim.Adam(model.parameters())", edit)


def holding_all(factor: float = 1.0) -> Change:
    """The trainable parameters that no group holds, in a further group like the last, its lr times a factor."""

    def edit(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        missing = [parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in held]
        if missing:
            like = optimizer.param_groups[-1]
            options = {key: value for key, value in like.items() if key not in ("params", "param_names")}
            optimizer.add_param_group({**options, "lr": like["lr"] * factor, "params": missing})

    rate = "the lr of the others" if factor == 1.0 else f"{factor:g} times the lr of the others"
    return _edited(
        f"the missing parameters as a group, with {rate}",
        f'add {{"params": the missing ones, "lr": {rate}}} to the optimizer\'s groups',
        edit,
    )


def over_the_model() -> Change:
    """The same optimizer with its first group's options, built anew over all trainable parameters of the model that is trained."""

    def edit(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.optim.Optimizer:
        known = inspect.signature(type(optimizer)).parameters
        options = {key: value for key, value in optimizer.param_groups[0].items() if key in known and key != "params"}
        return type(optimizer)([parameter for parameter in model.parameters() if parameter.requires_grad], **options)

    words = "the optimizer built over the model that is trained"
    return _edited(words, "build the optimizer from model.parameters() after the model is complete", edit)


def thawed(names: Sequence[str]) -> Change:
    """Frozen parameters made trainable, and held by the optimizer."""
    wanted = tuple(names)

    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_model

        def edit(model: nn.Module) -> None:
            for name, parameter in model.named_parameters():
                if name in wanted:
                    parameter.requires_grad_()

        return holding_all().make(with_model(problem, edit))

    shown = ", ".join(wanted[:3]) + (f" and {len(wanted) - 3} more" if len(wanted) > 3 else "")
    return Change(words=f"train {shown}", source=f"requires_grad_(True) for {shown}, before the optimizer is built", make=make)


def levelled_groups() -> Change:
    """Groups whose lr is 0, or more than a hundred times below the largest, get the largest."""

    def edit(optimizer: torch.optim.Optimizer, _: nn.Module) -> None:
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        middle = sorted(rate for rate in rates if rate > 0)
        rate = middle[len(middle) // 2] if middle else float(optimizer.defaults.get("lr") or 1e-3)
        for group in optimizer.param_groups:
            if not rate / 100 <= float(group["lr"]) <= rate * 100:
                group["lr"] = rate

    return _edited("one lr for the groups that are far off", "give every group an lr within a factor of 100 of the others", edit)


def descending() -> Change:
    """`maximize` taken off."""
    return with_options("minimise", "leave maximize out of the optimizer", maximize=False)


def _edited(words: str, source: str, edit: Any) -> Change:
    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_optimizer

        return with_optimizer(problem, edit)

    return Change(words=words, source=source, make=make)
