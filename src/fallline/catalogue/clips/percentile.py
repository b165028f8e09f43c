"""Clipping by percentile of the observed norms (AutoClip)

What it does:
Remembers the global gradient norm of the last `window` steps and shortens each gradient to a percentile of them. At
percentile 10, nine steps of ten are cut to the length of the shortest tenth; at 90, only the longest tenth is cut, and
the bound follows the norm as it changes during training.

When it suits:
Where clipping by norm suits and nobody knows the norm: recurrent networks, transformers, a new model. No number has to be
found by watching a training first, and one value holds for every model. With percentile 10 the step is nearly
normalised, which the paper found to steady the training of audio networks.

When it does not:
At low percentiles SGD becomes normalised SGD: the step no longer shrinks with the gradient near the optimum, so the schedule
has to fall. With Adam a constant shortening is divided out again, and only the spikes matter: take 90 there. In the first
steps there is nothing to compare with, so the very first gradient always passes.

Source:
P. Seetharaman, G. Wichern, B. Pardo and J. Le Roux, AutoClip: Adaptive Gradient Clipping for Source Separation Networks,
MLSP 2020. Asked of torch since 2018 (pytorch#12189), which has none.
"""

from __future__ import annotations

from fallline.catalogue import Clip, ClipFunction, Hyperparameter, Settings


def build(h: Settings) -> ClipFunction:
    from fallline.catalogue.clips._percentile import PercentileClip

    return PercentileClip(float(h["percentile"]), int(h["window"]))


ENTRY = Clip(
    name="percentile",
    title="Clipping by percentile of the observed norms (AutoClip)",
    source="Seetharaman et al. (2020), AutoClip",
    space={
        "percentile": Hyperparameter(default=10.0, why="the paper's best of 0 to 100", low=5.0, high=95.0, below=100.0),
        "window": Hyperparameter(
            default=1000,
            why="the paper keeps all; a thousand give a percentile to within one, and follow the training",
            low=100,
            high=10000,
            log=True,
            whole=True,
            above_zero=True,
        ),
    },
    example={"percentile": 50.0, "window": 5},
    build=build,
    begin=lambda h: f"clip = PercentileClip({float(h['percentile'])!r}, {int(h['window'])})",
    code=lambda h: "clip(parameters)",
    carries="fallline.catalogue.clips._percentile",
    aliases=("autoclip", "quantile_clip"),
)
