"""TrainerWatch: the watch as a callback of the Hugging Face Trainer.

watching = fallline.TrainerWatch()
transformers.Trainer(model, arguments, train_dataset=rows, callbacks=[watching]).train()
print(watching.findings)
"""

from __future__ import annotations

from typing import Any

from fallline._errors import UsageError
from fallline.callbacks._watching import MISSING, Watching

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as missing:
    raise UsageError(MISSING.format(name="TrainerWatch", framework="Hugging Face Transformers", extra="hf")) from missing


class TrainerWatch(TrainerCallback):  # type: ignore[misc]  # mypy passes the framework over
    """Watches `train`; the Trainer calls the model's own forward, where a hook hears it."""

    def __init__(self) -> None:
        self._watching = Watching()

    @property
    def findings(self) -> Any:
        """What was found (`fallline.Findings`), None before a training has ended."""
        return self._watching.findings

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any) -> None:
        self._speaks = state.is_world_process_zero
        sharded = "DeepSpeed" if args.deepspeed else "FSDP" if args.fsdp else ""
        inner = getattr(optimizer, "optimizer", optimizer)  # Accelerate wraps it
        self._watching.begin(model, [] if inner is None else [inner], sharded=sharded)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._watching.end(speaks=self._speaks)
