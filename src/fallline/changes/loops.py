"""Changes of a training loop of the user's own: what it forgets is done around it, or the plain loop runs in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fallline.changes import Change

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fallline._problem import Problem


def plain(**settings: Any) -> Change:
    """The plain loop in place of the user's; what theirs does besides is not done then."""
    more = "".join(f", {name}={value!r}" for name, value in settings.items())
    source = "in the loop: optimizer.zero_grad(), forward, loss.backward(), optimizer.step(), in this order"
    return Change(
        words=f"the plain loop in place of yours{more}", source=source, make=lambda problem: replace(problem, loop=None, **settings)
    )


def emptying() -> Change:
    """Gradients are emptied after each update."""

    def edit(optimizer: torch.optim.Optimizer, _: nn.Module) -> None:
        optimizer.register_step_post_hook(lambda stepped, *_: stepped.zero_grad())

    return _optimizer("gradients emptied after each update", "optimizer.zero_grad() before loss.backward()", edit)


def averaging(passes: int) -> Change:
    """Gradients are divided by the number of passes before each update."""

    def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.div_(passes)

    def edit(optimizer: torch.optim.Optimizer, _: nn.Module) -> None:
        optimizer.register_step_pre_hook(before)

    return _optimizer(f"gradients divided by {passes} before each update", f"(loss / {passes}).backward()", edit)


def training_mode() -> Change:
    """Passes with gradients are made in training mode."""

    def before(module: nn.Module, _: Any) -> None:
        import torch

        if torch.is_grad_enabled() and not module.training:
            module.train()

    def edit(model: nn.Module) -> None:
        model.register_forward_pre_hook(before)

    return _model("training mode for passes with gradients", "model.train() before the batches of each epoch", edit)


def evaluation_mode() -> Change:
    """Passes without gradients are made in eval mode, and every module's own mode is put back."""

    def edit(model: nn.Module) -> None:
        modes: list[tuple[nn.Module, bool]] = []

        def before(module: nn.Module, _: Any) -> None:
            import torch

            if not torch.is_grad_enabled() and module.training:
                modes.extend((part, part.training) for part in module.modules())
                module.eval()

        def after(*_: Any) -> None:
            for part, mode in modes:
                part.training = mode
            modes.clear()

        model.register_forward_pre_hook(before)
        model.register_forward_hook(after, always_call=True)

    return _model("eval mode for passes without gradients", "model.eval() before validation, model.train() after it", edit)


def _optimizer(words: str, source: str, edit: Any) -> Change:
    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_optimizer

        return with_optimizer(problem, edit)

    return Change(words=words, source=source, make=make)


def _model(words: str, source: str, edit: Any) -> Change:
    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_model

        return with_model(problem, edit)

    return Change(words=words, source=source, make=make)
