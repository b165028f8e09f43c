"""Clips that torch lacks equal their formulas: the bound of each unit, and the percentile of the norms that were seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fallline import catalogue
from fallline.testing.clips import gradients, start

SEEDS = st.integers(0, 2**32)


def built(name: str, **settings: object) -> Callable[[Sequence[torch.Tensor]], object]:
    entry = catalogue.clip(name)
    clip = entry.build({**entry.defaults(), **settings})
    assert clip is not None
    return clip


def weighted(seed: int, scale: float) -> list[torch.Tensor]:
    """Parameters of length about 1 with gradients of about `scale`; the last has none."""
    generator = torch.Generator().manual_seed(seed)
    parameters = start(seed, scale)
    for parameter in parameters:
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return parameters


@given(seed=SEEDS, clipping=st.floats(0.01, 0.5), scale=st.floats(1e-3, 10.0))
def test_no_unit_moves_by_more_than_its_share_and_all_keep_their_direction(seed: int, clipping: float, scale: float) -> None:
    parameters, before = weighted(seed, scale), weighted(seed, scale)
    built("unit", clipping=clipping)(parameters)
    for parameter, old in zip(parameters[:-1], before[:-1], strict=True):
        rows = len(parameter) if parameter.ndim > 1 else 1
        weights, cut, whole = (values.detach().reshape(rows, -1) for values in (parameter, parameter.grad, old.grad))  # type: ignore[union-attr]
        for unit in range(rows):
            bound = clipping * max(float(weights[unit].norm()), 1e-3)
            length = min(float(whole[unit].norm()), bound)
            torch.testing.assert_close(cut[unit], whole[unit] * length / whole[unit].norm())
    assert parameters[-1].grad is None


SCALES = st.lists(st.sampled_from((0.1, 0.5, 1.0, 3.0, 8.0, math.inf)), min_size=10, max_size=14)


@given(seed=SEEDS, percentile=st.floats(5.0, 95.0), window=st.integers(1, 8), scales=SCALES)
def test_gradients_are_cut_to_the_percentile_of_the_last_norms(seed: int, percentile: float, window: int, scales: list[float]) -> None:
    clip = built("percentile", percentile=percentile, window=window)
    norms: list[float] = []
    for step, scale in enumerate(scales):
        parameters = start(seed + step, scale)
        whole = gradients(start(seed + step, scale))
        norms.append(float(whole.norm()) if math.isfinite(scale) else math.nan)
        clip(parameters)
        if not math.isfinite(scale):
            continue  # what overflowed stays so, and fills its step of the window
        bound = np.nanpercentile(norms[-window:], percentile)
        torch.testing.assert_close(gradients(parameters), whole * min(1.0, bound / norms[-1]), rtol=1e-5, atol=1e-7)


def test_a_gradient_that_overflowed_is_not_remembered() -> None:
    clip = built("percentile", percentile=50.0, window=10)
    for scale in (1.0, float("inf"), 1.0):
        clip(start(0, scale))
    parameters = start(0, 2.0)
    clip(parameters)
    assert gradients(parameters).norm() == pytest.approx(float(gradients(start(0, 1.0)).norm()), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_clipping_by_unit_equals_that_of_pytorch_optimizer(seed: int) -> None:
    theirs = pytest.importorskip("pytorch_optimizer.optimizer.agc", reason='needs the extra: pip install "fallline[optimizers]"')
    parameters, others = weighted(seed, 1.0), weighted(seed, 1.0)
    built("unit", clipping=0.05)(parameters)
    for parameter, other in zip(parameters[:-1], others[:-1], strict=True):
        wanted = theirs.agc(other, other.grad, agc_eps=1e-3, agc_clip_val=0.05)
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-4, atol=1e-6)  # theirs adds an eps to the divisor
