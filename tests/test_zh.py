"""Chinese pages follow their English ones: same entries, same sections, not stale."""

from __future__ import annotations

from pathlib import Path

import pytest

import fallline.zh
from fallline import catalogue
from fallline.catalogue import Entry
from fallline.catalogue._pages import SECTIONS, page
from fallline.rules import _pages as rule_pages
from fallline.rules import rules
from fallline.zh import FOLDERS, SOURCE, fingerprint

ROOT = Path(fallline.zh.__file__).parent
PAGES = sorted(ROOT.rglob("*.md"))
HEADINGS = ("作用：", "适用：", "不适用：", "出处：")
OF_RULES = tuple(f"{heading}：" for heading in rule_pages.CHINESE)
LEAST = 20  # rules with a Chinese page: the most common ones

# The parts of the tutorial that this library grew from.
TUTORIAL = {
    "optimizer": ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop"),
    "loss": ("mse", "cross_entropy", "bce", "bce_with_logits", "huber"),
    "schedule": ("step", "cyclical", "one_cycle"),
    "clip": ("norm", "value"),
    "topic": ("weight_decay",),
}


def english(path: Path) -> str:
    """The English page of the rule, entry or topic that a Chinese page is about."""
    if path.parent.name == FOLDERS["rule"]:
        return rule_pages.page(next(rule for rule in rules().values() if rule.name == path.stem))
    kind = next(kind for kind, folder in FOLDERS.items() if folder == path.parent.name)
    entries = [*catalogue.all_entries(), *(("topic", topic) for topic in catalogue.all_topics().values())]
    found: Entry = next(entry for its_kind, entry in entries if (its_kind, entry.name) == (kind, path.stem))
    return page(found)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_chinese_page_is_as_new_as_the_english_one(path: Path) -> None:
    wanted = SOURCE.format(fingerprint(english(path)))
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == wanted, (
        f"{path.name}: the English page has changed since; bring the Chinese up to it, then write as its first line: {wanted}"
    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_chinese_page_has_the_sections_of_the_english_one(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    headings = OF_RULES if path.parent.name == FOLDERS["rule"] else HEADINGS
    assert tuple(line for line in lines if line in (*HEADINGS, *OF_RULES)) == headings
    assert (len(HEADINGS), len(OF_RULES)) == (len(SECTIONS), len(rule_pages.SECTIONS))
    assert all(len(line) <= 140 for line in lines), "a Chinese character takes two columns; keep lines short"


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in TUTORIAL.items() for name in names])
def test_the_parts_of_the_tutorial_are_in_chinese(kind: str, name: str) -> None:
    text = fallline.zh.page(kind, name)
    assert text is not None
    assert not text.startswith("<!--")
    assert any("\u4e00" <= character <= "\u9fff" for character in text)


def test_an_entry_without_a_chinese_page_falls_back() -> None:
    assert fallline.zh.page("optimizer", "adagrad") is None


def test_the_most_common_rules_are_in_chinese() -> None:
    assert sum(fallline.zh.page("rule", rule.name) is not None for rule in rules().values()) >= LEAST
