"""The pages of the rules, and the documents that they make together: docs/common-problems.md and its Chinese twin."""

from __future__ import annotations

import inspect
import sys

from fallline import zh
from fallline.catalogue._pages import sections
from fallline.rules import STAGES, Rule, rules

SECTIONS = ("How it is detected", "Why it matters", "What to do")

CHINESE = ("如何发现", "为何要紧", "怎样处理")  # the same in Chinese

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

CHINESE_HEADINGS = {
    "data": "数据",
    "loss": "损失函数",
    "model": "模型",
    "optimizer": "优化器和它持有的参数",
    "schedule": "训练循环与学习率调度",
    "setting": "学习率、衰减、训练长度",
    "symptom": "症状",
    "crash": "报错",
}

TOP = """# Common problems of optimization, and their cures

English | [简体中文](common-problems.zh-CN.md)

What `fallline check SOURCE` looks for: one section a rule, made from the rules' own files by `python -m fallline.rules._pages`. A rule's
code and name are what findings carry; `fallline explain CODE` prints its page. Severities: *stop*, the training cannot work; *warn*, it is
likely to suffer; *info*, worth knowing. Where the same words stand under several headings, the earlier heading is nearer to the cause.
"""

CHINESE_TOP = """# 训练中的常见问题

[English](common-problems.md) | 简体中文

`fallline check SOURCE` 会查什么：每条规则一节，由规则自己的文件经 `python -m fallline.rules._pages zh` 生成。规则的编号和名字
就是每条发现所带的编号和名字，`fallline explain 编号 --lang zh` 打印它的说明页。严重程度：*stop*，训练不可能正常；
*warn*，多半会受损；*info*，值得知道。同样的话出现在几个标题之下时，靠前的更接近原因。最常见的规则有中文说明，其余暂为英文。
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


def chinese_document() -> str:
    """The same in Chinese: rules in the same order, those without a Chinese page in English."""
    parts = [CHINESE_TOP]
    for stage in STAGES:
        of_stage = [rule for rule in rules().values() if rule.stage == stage]
        if not of_stage:
            continue
        parts.append(f"## {CHINESE_HEADINGS[stage]}\n")
        for rule in of_stage:
            translated = zh.page("rule", rule.name)
            text, headings = (page(rule), SECTIONS) if translated is None else (translated.replace("：\n", ":\n"), CHINESE)
            told = sections(text, headings)
            parts.append(f"### {rule.code} {text.splitlines()[0]}\n\n`{rule.name}`，通常为 *{rule.severity}*。\n")
            parts += [f"**{heading}{'：' if translated else '.'}** {told[heading]}\n" for heading in headings]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(chinese_document() if sys.argv[1:] == ["zh"] else document())
