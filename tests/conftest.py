"""One thread and fixed seeds for every test, and the development data where it is at hand."""

from __future__ import annotations

import random
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

SEED = 0
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

pytest.register_assert_rewrite("fallline.testing")  # the contract suites explain their failures as the tests here do

# no deadline: a slow moment of the machine is no failure; derandomised: a run fails again when it is repeated
hypothesis.settings.register_profile("fallline", deadline=None, derandomize=True)
hypothesis.settings.load_profile("fallline")


def pytest_configure() -> None:
    torch.set_num_threads(1)  # promises of equal bits hold at one thread


def pytest_report_header() -> str:
    return f"torch {torch.__version__}, {torch.get_num_threads()} thread, seed {SEED}"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets that development uses; a checkout on its own does without."""
    if not DATA.is_dir():
        pytest.skip("the development data sets are not beside this checkout")
    return DATA
