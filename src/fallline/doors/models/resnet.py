"""The default model for images: a small residual network (He et al., 2016, arXiv:1512.03385, as for CIFAR) on raw pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(inner + self.shortcut(x))


class SmallResNet(nn.Module):
    """A stem, three stages that halve the resolution and double the channels, the mean over all positions, one linear layer.

    Args:
        channels: of the images, 1 for grey and 3 for colour; pixels come as uint8 from 0 to 255.
        outputs: outputs an image; one output is given as (images,), several as (images, outputs).
        mean, deviation: of each channel over the training images, on the scale from 0 to 1.
        width: channels of the first stage.
        blocks: residual blocks of each stage.
        stride: of the stem, 1 for images of about 32 pixels, 2 for larger ones: the first stage costs the most.
        start: what the untrained outputs lie around, such as the log-shares of the classes; zeros when left out.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        channels: int,
        outputs: int,
        mean: Sequence[float],
        deviation: Sequence[float],
        width: int = 16,
        blocks: int = 1,
        stride: int = 1,
        start: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("deviation", torch.as_tensor(deviation).reshape(-1, 1, 1))
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        stages: list[nn.Module] = []
        for stage in range(3):
            wide = width * 2**stage
            for block in range(blocks):
                halved = stage > 0 and block == 0
                stages.append(ResidualBlock(wide // 2 if halved else wide, wide, 2 if halved else 1))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(4 * width, outputs)
        self.single = outputs == 1
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al., arXiv:1502.01852: variance is kept through ReLUs
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if start:
            with torch.no_grad():
                self.head.bias.copy_(torch.as_tensor(start))

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.to(self.mean.dtype) / 255 - self.mean) / self.deviation
        output: Tensor = self.head(self.stages(self.stem(x)).mean(dim=(2, 3)))
        return output.squeeze(1) if self.single else output
