"""Every engine keeps the contract, and keeps the race's promises when workers die, hang or run out of memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fallline.engines import EngineEntry, all_engines
from fallline.testing import engines as contract


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", all_engines())
def test_an_engine_keeps_the_contract(name: str, check: Callable[[EngineEntry], None]) -> None:
    check(all_engines()[name])
