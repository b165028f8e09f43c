"""One thread and fixed seeds for every test, the development data where it is at hand, and the modules of benchmarks/price."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch

SEED = 0
ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
PRICE = ("records", "space", "branched", "replayed", "prior", "null", "null_live", "ranged", "cells", "early", "build_prior", "build_guide")

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


@pytest.fixture(scope="module")
def price() -> Iterator[dict[str, ModuleType]]:
    """The modules of benchmarks/price and tools, which are no package."""
    path, folders = list(sys.path), [str(ROOT / "benchmarks" / "price"), str(ROOT / "tools")]
    sys.path[:0] = folders
    yield {name: importlib.import_module(name) for name in PRICE}
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(Path(getattr(module, "__file__", None) or "nowhere").parent) in folders:
            del sys.modules[name]


@pytest.fixture(scope="module")
def records(price: dict[str, ModuleType]) -> dict[str, Any]:
    return price["records"].load()  # type: ignore[no-any-return]  # a module found by its name
