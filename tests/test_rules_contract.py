"""Every rule keeps its contract: it fires in its cases, is silent in the others, and its page is whole and in the document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fallline.rules import Rule, rules
from fallline.rules._pages import chinese_document, document
from fallline.testing.rules import CHECKS, Check

CASES = {f"{rule.code}-{rule.name}-{check.__name__}": (rule, check) for rule in rules().values() for check in CHECKS}


@pytest.mark.parametrize(("rule", "check"), CASES.values(), ids=CASES.keys())
def test_a_rule_keeps_the_contract(rule: Rule, check: Check) -> None:
    check(rule)


def test_the_document_of_common_problems_is_current() -> None:
    path = Path(__file__).resolve().parents[1] / "docs" / "common-problems.md"
    assert path.read_text(encoding="utf-8") == document(), "run python -m fallline.rules._pages > docs/common-problems.md"


def test_the_chinese_document_of_common_problems_is_current() -> None:
    path = Path(__file__).resolve().parents[1] / "docs" / "common-problems.zh-CN.md"
    assert path.read_text(encoding="utf-8") == chinese_document(), "run python -m fallline.rules._pages zh > docs/common-problems.zh-CN.md"


def test_rules_are_listed_without_torch() -> None:
    program = (
        "import sys\nfrom fallline.rules import rules\nfrom fallline.rules._pages import document\nassert rules() and document()\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'polars', 'torchmetrics'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"
