"""LightningWatch: the watch as a callback of Lightning.

watching = fallline.LightningWatch()
lightning.Trainer(callbacks=[watching]).fit(module, loader)
print(watching.findings)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline._errors import UsageError
from fallline.callbacks._watching import MISSING, Watching

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:
    try:
        from pytorch_lightning import Callback  # the same package under its older name
    except ModuleNotFoundError as missing:
        raise UsageError(MISSING.format(name="LightningWatch", framework="Lightning", extra="lightning")) from missing

if TYPE_CHECKING:
    from torch import Tensor

SHARDED = ("FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy")  # names: importing them would import what they need


class LightningWatch(Callback):  # type: ignore[misc]  # mypy passes the framework over
    """Watches `fit`; Lightning calls `training_step` and not `forward`, so it is Lightning that says when it goes backward."""

    def __init__(self) -> None:
        self._watching = Watching()

    @property
    def findings(self) -> Any:
        """What was found (`fallline.Findings`), None before a training has ended."""
        return self._watching.findings

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        strategy = type(trainer.strategy).__name__
        sharded = strategy if strategy in SHARDED else ""
        self._watching.begin(pl_module, list(trainer.optimizers), hears=False, sharded=sharded)

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        if self._watching.running is not None:
            self._watching.running.watcher.listens([loss])

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        if self._watching.running is not None:
            self._watching.running.watcher.judges()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._watching.end(speaks=trainer.is_global_zero)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._watching.end(speaks=trainer.is_global_zero)
