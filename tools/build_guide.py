"""Fill the tables of docs/how-to-choose.md and its Chinese twin from the records; the text around them is written by hand.

Run: python tools/build_guide.py [--check]
A table stands between `<!-- table: NAME -->` and `<!-- end -->`; `--check` exits with 1 where a page is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks" / "price"))

from effects import Table, tables  # noqa: E402  (it lies beside the benchmarks)

PAGES = {"how-to-choose.md": False, "how-to-choose.zh-CN.md": True}
MARK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

CHINESE = {  # heads of tables
    "optimizer": "优化器", "set-ups": "配置数", "set-ups a task": "每个任务的配置数",
    "its best set-up elsewhere": "在其他任务上最好的配置",
    "its best in hindsight": "事后看最好的配置",
    "time of a step, in AdamW's": "每步时间(AdamW 为 1)", "lr": "学习率", "all": "全部", "schedule": "学习率调度", "clip": "梯度裁剪",
    "shrinkage": "收缩量", "mean": "平均", "best of them": "其中最好", "regret of averaged minus raw weights": "平均权重减原始权重的遗憾",
    "task": "任务", "metric": "指标", "plain loss": "普通损失", "another": "另一损失", "regret against the plain one": "相对普通损失的遗憾",
}  # fmt: skip


def filled(page: str, found: dict[str, Table], *, chinese: bool) -> str:
    """A page with its tables as the records have them now."""

    def table(match: re.Match[str]) -> str:
        one = found[match.group(2)]
        heads = tuple(CHINESE.get(head, head) for head in one.heads) if chinese else one.heads
        return f"{match.group(1)}{Table(heads, one.rows).markdown()}\n{match.group(3)}"

    return MARK.sub(table, page)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is out of date")
    args = parser.parse_args()
    found, stale = tables(), []
    for name, chinese in PAGES.items():
        path = ROOT / "docs" / name
        text = path.read_text(encoding="utf-8")
        new = filled(text, found, chinese=chinese)
        if new != text:
            stale.append(name)
            if not args.check:
                path.write_text(new, encoding="utf-8")
    print(f"{'out of date' if args.check else 'written'}: {', '.join(stale) or 'nothing'}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
