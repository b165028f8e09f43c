"""Head: what a loss changes at the end of a model: how many outputs its last layer gives, and an activation that is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from fallline._errors import UsageError

if TYPE_CHECKING:
    import torch

# What activations at the end of a model do, as a function and as an expression; what is left out in training, the link does afterwards.
ACTIVATIONS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "sigmoid": (lambda output: output.sigmoid(), "output.sigmoid()"),
    "softmax": (lambda output: output.softmax(dim=1), "output.softmax(dim=1)"),
    "log_softmax": (lambda output: output.log_softmax(dim=1), "output.log_softmax(dim=1)"),
}


@dataclass(frozen=True)
class Head:
    """A change at the end of a model. Paths are those of `model.named_modules()`; "" where nothing is changed."""

    layer: str = ""  # the linear layer that is replaced
    outputs: int = 0  # what it gives then
    shared: bool = False  # all outputs are one weighted sum, each with a number of its own added
    without: str = ""  # the activation that is left out
    does: str = ""  # what that is, of ACTIVATIONS

    @classmethod
    def of(cls, table: Any) -> Head:
        """The head in a recipe's table; unknown names and impossible values are refused."""
        wanted = {field.name: type(field.default) for field in fields(cls)}
        if not isinstance(table, Mapping) or any(type(value) is not wanted.get(name) for name, value in table.items()):
            raise UsageError(f"[head] in the recipe needs {', '.join(f'{name} ({kind.__name__})' for name, kind in wanted.items())}")
        made = cls(**table)
        if bool(made.layer) != (made.outputs > 0) or bool(made.without) != (made.does in ACTIVATIONS):
            raise UsageError(
                f"[head] in the recipe needs outputs with layer, and does ({', '.join(ACTIVATIONS)}) with without; got {table}"
            )
        return made

    def said(self, outputs: int | str) -> str:
        """The change in words, of a model whose layer gives `outputs`."""
        parts = []
        if self.without:
            parts.append(f"{self.without} ({self.does}) left out in training and put behind it again")
        if self.layer and self.shared:
            parts.append(f"{self.layer} changed from {outputs} outputs to {self.outputs} that share their weights")
        elif self.layer:
            parts.append(f"{self.layer} widened from {outputs} to {self.outputs} outputs")
        return ", ".join(parts)


@dataclass(frozen=True)
class Then:
    """A link, and behind it the activation that was left out in training."""

    link: Callable[[torch.Tensor], torch.Tensor] | None
    does: str

    def __call__(self, output: torch.Tensor) -> torch.Tensor:
        linked: torch.Tensor = ACTIVATIONS[self.does][0](output if self.link is None else self.link(output))
        return linked
