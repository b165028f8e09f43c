"""The best lr of a grid, as benchmarks/price/transferred.py reads it."""

from __future__ import annotations

import importlib
import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

LRS = np.array([5e-4 * 2**k for k in range(7)])


@given(st.floats(-3.0, -1.8), st.floats(0.01, 10.0))
def test_the_vertex_of_a_parabola_in_log_lr_is_found_wherever_it_lies(peak: float, width: float) -> None:
    transferred = _transferred()
    losses = 1.0 + width * (np.log10(LRS) - peak) ** 2
    assert transferred.best_lr(LRS, losses) == pytest.approx(peak, abs=1e-6)


def test_a_least_loss_at_an_end_of_the_grid_says_nothing_and_divergence_beyond_it_no_more_than_itself() -> None:
    transferred = _transferred()
    assert math.isnan(transferred.best_lr(LRS, np.arange(7.0)))
    assert math.isnan(transferred.best_lr(LRS, -np.arange(7.0)))
    losses = np.array([5.0, 4, 3, 2, math.nan, math.nan, math.nan])
    assert transferred.best_lr(LRS, losses) == pytest.approx(math.log10(LRS[3]))


def _transferred() -> ModuleType:
    return importlib.import_module("transferred")


pytestmark = pytest.mark.usefixtures("price")
