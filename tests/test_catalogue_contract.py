"""Every entry of the catalogue keeps its contract; what the suites in fallline.testing prove, they prove for outside packages too."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fallline import catalogue
from fallline.catalogue import Entry, Optimizer
from fallline.testing.catalogue import COMMON, Check, check_page, checks

ENTRIES = {f"{kind}-{entry.name}": entry for kind, entry in catalogue.all_entries()}
CASES = {f"{key}-{check.__name__}": (entry, check) for key, entry in ENTRIES.items() for check in checks(entry)}


@pytest.mark.parametrize(("entry", "check"), CASES.values(), ids=CASES.keys())
def test_an_entry_keeps_the_contract(entry: Entry, check: Check) -> None:
    if isinstance(entry, Optimizer) and entry.package and check not in COMMON:
        pytest.importorskip(entry.package, reason='needs the extra: pip install "fallline[optimizers]"')
    check(entry, 0)


@pytest.mark.parametrize("name", catalogue.all_topics())
def test_a_topic_has_a_page(name: str) -> None:
    check_page(catalogue.topic(name))


def test_the_catalogue_is_read_without_torch() -> None:
    program = (
        "import sys\nfrom fallline import catalogue\nfrom fallline.catalogue._pages import page\n"
        "entries = [entry for _, entry in catalogue.all_entries()] + list(catalogue.all_topics().values())\n"
        "assert all(page(entry) for entry in entries)\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'polars', 'torchmetrics'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"
