"""The callbacks watch real trainings of Lightning and of the Hugging Face Trainer, and change no bit of them."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fallline
from fallline.rules._setups import network, rows

# the frameworks' own warnings, of loaders, loggers and numbers of workers
pytestmark = pytest.mark.filterwarnings("ignore")
EXTRA = "comes with the extra {}; installed apart from the tested set, since it brings some hundred megabytes"


def data() -> torch.utils.data.TensorDataset:
    return torch.utils.data.TensorDataset(*rows(320, 1))


def same_bits(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.fixture
def lightning() -> Any:
    return pytest.importorskip("lightning.pytorch", reason=EXTRA.format("lightning"))


def lightning_fit(lightning: Any, *callbacks: Any, fault: str = "", **settings: Any) -> nn.Module:
    class Regression(lightning.LightningModule):  # type: ignore[misc, name-defined]  # the framework is there only where it is installed
        def __init__(self) -> None:
            super().__init__()
            made = network()
            self.net = nn.Sequential(made[0], nn.ReLU(), nn.Dropout(0.1), *list(made)[2:])  # type: ignore[index, call-overload]
            self.automatic_optimization = fault not in ("never emptied", "two optimizers")

        def training_step(self, batch: Any, _: int) -> Tensor:
            if fault == "raises" and self.global_step == 5:
                raise RuntimeError("the reader fell asleep")
            loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
            if fault == "never emptied":
                self.manual_backward(loss)
                self.optimizers().step()
            if fault == "two optimizers":
                for optimizer in self.optimizers():
                    optimizer.zero_grad()
                self.manual_backward(loss)
                for optimizer in self.optimizers():
                    optimizer.step()
            return loss

        def validation_step(self, batch: Any, _: int) -> None:
            self.net(batch[0])

        def on_validation_model_eval(self) -> None:
            self.train(fault == "judged in training")

        def configure_optimizers(self) -> Any:
            parameters = list(self.parameters())
            if fault == "two optimizers":
                return [torch.optim.Adam(part, lr=1e-3) for part in (parameters[:2], parameters[2:])]
            return torch.optim.Adam(parameters, lr=1e-3)

    torch.manual_seed(0)
    module = Regression()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", callbacks=list(callbacks), **quiet, **settings)
    trainer.fit(
        module, torch.utils.data.DataLoader(data(), batch_size=32, shuffle=True), torch.utils.data.DataLoader(data(), batch_size=64)
    )
    return module


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 3, "gradient_clip_val": 0.5}], ids=["plain", "accumulated"])
def test_lightning_trains_to_the_same_bits_and_without_alarm(lightning: Any, settings: dict[str, Any]) -> None:
    watching = fallline.LightningWatch()
    assert watching.findings is None
    assert same_bits(lightning_fit(lightning, **settings), lightning_fit(lightning, watching, **settings))
    assert not [found for found in watching.findings if found.severity != "info"], str(watching.findings)
    assert {"FL401", "FL402", "FL410", "FL411"} <= set(watching.findings.silent)


@pytest.mark.parametrize(("fault", "code"), [("never emptied", "FL401"), ("judged in training", "FL411")])
def test_a_fault_of_a_lightning_module_is_found_and_logged_once(lightning: Any, fault: str, code: str, caplog: Any) -> None:
    watching = fallline.LightningWatch()
    with caplog.at_level(logging.WARNING, logger="fallline"):
        lightning_fit(lightning, watching, fault=fault)
    assert watching.findings[0].code == code, str(watching.findings)
    assert [record.name for record in caplog.records].count("fallline") == 1


def test_a_lightning_training_that_raises_leaves_its_findings_and_no_hook(lightning: Any) -> None:
    watching = fallline.LightningWatch()
    with pytest.raises(RuntimeError, match="fell asleep"):
        lightning_fit(lightning, watching, fault="raises")
    assert watching.findings is not None
    assert watching._watching.running is None


def test_several_optimizers_are_not_watched_and_the_reason_is_given(lightning: Any) -> None:
    watching = fallline.LightningWatch()
    lightning_fit(lightning, watching, fault="two optimizers")
    assert not watching.findings
    assert "has 2" in watching.findings.not_applicable["FL401"]


@pytest.fixture
def transformers() -> Any:
    pytest.importorskip("accelerate", reason=EXTRA.format("hf"))
    return pytest.importorskip("transformers", reason=EXTRA.format("hf"))


class Scored(nn.Module):
    """A model in the manner of the Trainer: loss and scores from keywords; `fault` names what is wrong."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        made = network()
        self.net = nn.Sequential(made[0], nn.ReLU(), nn.Dropout(0.1), *list(made)[2:])  # type: ignore[index, call-overload]
        self.fault = fault

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        scores = self.net(inputs)
        return {"loss": nn.functional.mse_loss(scores, labels), "logits": scores}

    def eval(self) -> Scored:
        return self if self.fault == "judged in training" else super().eval()  # type: ignore[return-value]  # nn.Module's own

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.fault != "never emptied":
            super().zero_grad(set_to_none)


def hf_train(transformers: Any, where: Path, *callbacks: Any, fault: str = "", **settings: Any) -> nn.Module:
    torch.manual_seed(0)
    model = Scored(fault)
    examples = [{"inputs": x, "labels": y} for x, y in data()]
    arguments = transformers.TrainingArguments(
        output_dir=str(where), num_train_epochs=3, per_device_train_batch_size=32, learning_rate=1e-3, report_to="none", disable_tqdm=True,
        save_strategy="no", logging_strategy="no", eval_strategy="epoch", use_cpu=True, seed=0, **settings,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=examples, eval_dataset=examples, callbacks=list(callbacks))
    trainer.train()
    return model


@pytest.mark.parametrize("settings", [{}, {"gradient_accumulation_steps": 2}], ids=["plain", "accumulated"])
def test_the_trainer_trains_to_the_same_bits_and_without_alarm(transformers: Any, tmp_path: Path, settings: dict[str, Any]) -> None:
    watching = fallline.TrainerWatch()
    plain = hf_train(transformers, tmp_path, **settings)
    assert same_bits(plain, hf_train(transformers, tmp_path, watching, **settings))
    assert not [found for found in watching.findings if found.severity != "info"], str(watching.findings)
    assert {"FL401", "FL402", "FL410", "FL411"} <= set(watching.findings.silent)


@pytest.mark.parametrize(("fault", "code"), [("never emptied", "FL401"), ("judged in training", "FL411")])
def test_a_fault_under_the_trainer_is_found(transformers: Any, tmp_path: Path, fault: str, code: str) -> None:
    watching = fallline.TrainerWatch()
    hf_train(transformers, tmp_path, watching, fault=fault)
    assert watching.findings[0].code == code, str(watching.findings)


@pytest.mark.parametrize(
    ("name", "modules", "extra"),
    [("LightningWatch", "'lightning', 'pytorch_lightning'", "lightning"), ("TrainerWatch", "'transformers',", "hf")],
)
def test_without_the_framework_one_message_says_what_to_install(name: str, modules: str, extra: str) -> None:
    program = (
        f"import sys\nfor module in ({modules}):\n    sys.modules[module] = None\nimport fallline\n"
        f"try:\n    fallline.{name}\nexcept fallline.UsageError as error:\n    print(error)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    assert f"pip install 'fallline[{extra}]'" in shown.stdout


def test_the_package_imports_no_framework_of_its_own_accord() -> None:
    program = (
        "import sys\nfrom fallline import *\nimport fallline, fallline.callbacks\n"
        "assert {'LightningWatch', 'TrainerWatch'} <= set(dir(fallline))\n"
        "print(sorted({'lightning', 'pytorch_lightning', 'transformers', 'accelerate'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    assert shown.stdout.strip() == "[]"
