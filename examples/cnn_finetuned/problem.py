"""Fine-tuning, as the tutorial does it: a ResNet-18 pre-trained on six kinds of clothes learns to tell four others apart.

The tutorial writes `model = resnet18(pretrained=True)` and gives it a new last layer. Here the weights come from a local file, which is
made when it is not there; the layer `fc` has another shape in it and is drawn anew. Fallline then also races a smaller lr for all but `fc`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import fallline

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "cnn_fashion_mnist"))  # resnet.py lies there

from resnet import ResNet18  # noqa: E402  # from the folder that was just named

DATA = HERE.parent / "data" / "fashion_mnist_subset.npz"
WEIGHTS = HERE / "resnet18_pretrained.safetensors"
BEFORE, NOW = (1, 3, 5, 7, 8, 9), (0, 2, 4, 6)  # trousers, dresses, shoes and bags; then T-shirts, pullovers, coats and shirts
WIDTH = 8  # channels of the first stage, so that a CPU core trains it in seconds; the tutorial's ResNet-18 has 64
PIXEL_MEAN, PIXEL_STD = 0.2860, 0.3530  # of the 60,000 training images


def images(split: str, kinds: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    chosen = np.isin(labels, kinds)
    standardised = (torch.from_numpy(pixels[chosen]).float() / 255 - PIXEL_MEAN) / PIXEL_STD
    return standardised.unsqueeze(1), torch.from_numpy(np.searchsorted(kinds, labels[chosen]))


def network(classes: int) -> nn.Module:
    return ResNet18(num_classes=classes, channels=1, width=WIDTH, small=True)


def pretrain(file: Path, rows: int | None = None, epochs: int = 5) -> None:
    """Train on the six kinds and keep the weights in `file`; a few seconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        x, y = (part[:rows] for part in images("train", BEFORE))
        model = network(len(BEFORE))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(epochs):
            for batch in torch.randperm(len(x)).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
                optimizer.step()
    save_file(model.state_dict(), file)


def problem() -> fallline.Problem:
    if not WEIGHTS.exists():
        print(f"pre-training into {WEIGHTS.name}, once", file=sys.stderr)
        pretrain(WEIGHTS)
    return fallline.Problem(
        model={"factory": lambda: network(len(NOW)), "weights": WEIGHTS},
        train=images("train", NOW),
        audit=images("test", NOW),
        metric="accuracy",
        batch_size=64,
        epochs=8,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1),
    )
