"""The default model for masks: a small U-Net (Ronneberger et al., 2015, arXiv:1505.04597) on raw pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Convolutions(nn.Sequential):
    """Two 3x3 convolutions, each normalised."""

    def __init__(self, channels_in: int, channels: int) -> None:
        layers: list[nn.Module] = []
        for inner in (channels_in, channels):
            layers += [nn.Conv2d(inner, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        super().__init__(*layers)


class SmallUNet(nn.Module):
    """Stages that halve the resolution and double the channels, and the way back with what each stage saw.

    Args:
        channels: of the images; pixels come as uint8 from 0 to 255.
        outputs: outputs a position; one output is given as (images, height, width), several as (images, outputs, height, width).
        mean, deviation: of each channel over the training images, on the scale from 0 to 1.
        width: channels of the first stage.
        depth: halvings of the resolution.
        start: what the untrained outputs lie around, such as the log-odds of the mask; zeros when left out.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        channels: int,
        outputs: int,
        mean: Sequence[float],
        deviation: Sequence[float],
        width: int = 8,
        depth: int = 3,
        start: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("deviation", torch.as_tensor(deviation).reshape(-1, 1, 1))
        wide = [width * 2**stage for stage in range(depth + 1)]
        self.down = nn.ModuleList(Convolutions(a, b) for a, b in zip([channels, *wide], wide, strict=False))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in zip(wide[-2::-1], wide[:0:-1], strict=True))
        self.up = nn.ModuleList(Convolutions(2 * a, a) for a in wide[-2::-1])
        self.head = nn.Conv2d(width, outputs, 1)
        self.single = outputs == 1
        if start:
            with torch.no_grad():
                self.head.get_parameter("bias").copy_(torch.as_tensor(start))

    def forward(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[2:]
        whole = 2 ** len(self.grow)
        x = (pixels.to(self.mean.dtype) / 255 - self.mean) / self.deviation
        x = nn.functional.pad(x, (0, -width % whole, 0, -height % whole))  # so that it can be halved; cut off again below
        seen: list[Tensor] = []
        for stage in self.down:
            x = stage(x if not seen else nn.functional.max_pool2d(x, 2))
            seen.append(x)
        for grow, stage, beside in zip(self.grow, self.up, seen[-2::-1], strict=True):
            x = stage(torch.cat([grow(x), beside], dim=1))
        output: Tensor = self.head(x)[:, :, :height, :width]
        return output.squeeze(1) if self.single else output
