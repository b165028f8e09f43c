"""The pages of the rules, and the document that they make together: docs/common-problems.md."""

from __future__ import annotations

import inspect
import sys

from fallline.catalogue._pages import sections
from fallline.rules import STAGES, Rule, rules

SECTIONS = ("How it is detected", "Why it matters", "What to do")

HEADINGS = {
    "data": "The data",
    "loss": "The loss",
    "model": "The model",
    "optimizer": "The optimizer and what it holds",
    "schedule": "The loop and the schedule",
    "setting": "Learning rate, decay, length",
    "symptom": "Symptoms",
    "crash": "Errors",
}

TOP = """# Common problems of optimization, and their cures

What `fallline check SOURCE` looks for: one section a rule, made from the rules' own files by `python -m fallline.rules._pages`. A rule's
code and name are what findings carry; `fallline explain CODE` prints its page. Severities: *stop*, the training cannot work; *warn*, it is
likely to suffer; *info*, worth knowing. Where the same words stand under several headings, the earlier heading is nearer to the cause.
"""


def page(rule: Rule) -> str:
    """The docstring of the rule's file: the title, then the sections."""
    return inspect.cleandoc(sys.modules[rule.check.__module__].__doc__ or "")


def document() -> str:
    """The whole document in Markdown, causes before symptoms."""
    parts = [TOP]
    for stage in STAGES:
        of_stage = [rule for rule in rules().values() if rule.stage == stage]
        if not of_stage:
            continue
        parts.append(f"## {HEADINGS[stage]}\n")
        for rule in of_stage:
            told = sections(page(rule), SECTIONS)
            parts.append(f"### {rule.code} {rule.title}\n\n`{rule.name}`, usually *{rule.severity}*.\n")
            parts += [f"**{heading}.** {told[heading]}\n" for heading in SECTIONS]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(document())
