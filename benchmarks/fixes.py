"""What `fallline.fix` closes of the gap between a faulty program and its repaired twin, beside a blind sweep of learning rates.

Run: python benchmarks/fixes.py [--cases tests/faults] [--record benchmarks/fixes.jsonl] [--only v17 v07] [--price 40] > benchmarks/fixes.md
A folder of cases holds modules v*.py with FAULT, HARM, faulty() and healthy(). Every program is trained by Fallline's own code from seeds 0
and 1, and from 2 and 3 where those leave it open. The share of the gap is (fixed - faulty) / (healthy - faulty) on what reports: audit
where the case gives one, else valid. A faulty program that diverges, or ends worse than it began, is put at the metric of its untrained
model, so that no share is large for nothing.
Cases are kept in the record as they end; what stands there is not run again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import fallline
from fallline._arm import SEEDS, Arm, Arms

ROOT = Path(__file__).resolve().parents[1]
ENOUGH = 0.8  # of the gap: a repair
LINE = "| {name} | {fault} | {metric} | {faulty} | {healthy} | {fixed} | {interval} | {share} | {sweep} | {status}: {kept} | {seconds} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=Path, default=ROOT / "tests" / "faults")
    parser.add_argument("--record", type=Path, default=ROOT / "benchmarks" / "fixes.jsonl")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--price", type=float, default=40.0)
    parser.add_argument("--run-for", type=float, default=30.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    known = {}
    if args.record.exists():
        known = {row["name"]: row for row in map(json.loads, args.record.read_text().splitlines())}
    sys.path.insert(0, str(args.cases.parent))
    names = sorted(path.stem for path in args.cases.glob("v*.py"))
    wanted = [name for start in args.only for name in names if name.startswith(start)] or names
    for name in wanted:
        case = importlib.import_module(f"{args.cases.name}.{name}")
        if case.HARM is None or name in known:
            continue
        known[name] = measured(name, case, args.price, args.run_for)
        with args.record.open("a") as record:
            record.write(json.dumps(known[name]) + "\n")
    sys.stdout.write(told([known[name] for name in sorted(known)], [name for name in names if name not in known], args))


def measured(name: str, case: ModuleType, price: float, run_for: float) -> dict[str, Any]:
    """One case: what was kept, and what it is worth."""
    began = time.perf_counter()
    repair = fallline.fix(
        case.faulty(), price=price, run_for=run_for, say=lambda line: print(f"  {name}: {line}", file=sys.stderr, flush=True)
    )
    seconds = time.perf_counter() - began
    own_audit = case.faulty().audit is not None
    on_audit = own_audit and "half of audit" in repair.reported_on
    arms = Arms(seed=0, device=None, on_audit=on_audit, reports_audit=own_audit, pulse=lambda: None)
    healthy = arms.train(case.healthy())
    untrained = floor(case, healthy)
    sign = 1.0 if repair.direction == "min" else -1.0
    faulty = repair.before if repair.before is not None and sign * repair.before < sign * untrained else untrained
    right = healthy.value if not own_audit else reported(arms, healthy)
    gap = right - faulty
    swept = [row.after for row in repair.sweep if row.after is not None]
    blind = min(swept, key=lambda value: sign * value) if swept else None
    return {
        "name": name, "fault": case.FAULT, "metric": repair.metric, "status": repair.status, "kept": [c.words for c in repair.kept],
        "before": repair.before, "faulty": faulty, "healthy": right, "fixed": repair.after, "share": share(repair.after, faulty, gap),
        "interval": None if repair.comparison is None else [float(end) for end in repair.comparison.interval],
        "by_seed": [share(value, faulty, gap) for value in repair.by_seed["after"]], "sweep": share(blind, faulty, gap),
        "against": repair.against_sweep, "codes": [finding.code for finding in repair.findings], "cost": dict(repair.cost),
        "tried": [[row.words, row.status] for row in repair.tried], "seconds": round(seconds, 1),
    }  # fmt: skip


def share(value: float | None, faulty: float, gap: float) -> float | None:
    return None if value is None or not math.isfinite(value) else (value - faulty) / gap


def floor(case: ModuleType, healthy: Arm) -> float:
    """The metric of the healthy program before its first step, on what decides."""
    assert healthy.setting is not None
    assert healthy.recipe is not None
    bench = healthy.setting.bench_of(0, 0)
    return bench.look(bench.problem.new_model(SEEDS[0]), healthy.recipe)


def reported(arms: Arms, arm: Arm) -> float:
    comparison = arms.compared(arm, arm, reports=True, seeds=False)
    assert comparison is not None
    return comparison.mine


def told(rows: list[dict[str, Any]], missing: list[str], args: argparse.Namespace) -> str:
    """The table and its sums; cases that are not recorded are named."""
    closed = [row for row in rows if row["status"] != "nothing proven" and (row["share"] or 0) >= ENOUGH]
    lucky = [row for row in closed if row["status"] == "a blind lr"]
    blind = [row for row in rows if (row["sweep"] or 0) >= ENOUGH]
    sums = f"Proven repairs that close {ENOUGH:.0%} of the gap or more: {len(closed)} of {len(rows)}"
    sums += f", {len(lucky)} of them by a learning rate of the blind sweep that did still better." if lucky else "."
    sums += f" The best of the blind sweep closes as much in {len(blind)}."
    setting = f"{len(rows)} cases, price {args.price:g}, torch {torch.__version__}. {sums}"
    if missing:
        setting += f" Not recorded, or without a repaired twin that trains better: {', '.join(name.partition('_')[0] for name in missing)}."
    lines = [
        "# Repairs from outside", "", (__doc__ or "").strip(), "", setting, "",
        "| Case | Fault | Metric | Faulty | Healthy | Fixed | fixed - faulty, 95 % | Share (seeds) | Sweep | Kept | Seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        seeds = ", ".join(f"{value:.2f}" for value in row["by_seed"] if value is not None)
        interval = "-" if row["interval"] is None else f"{row['interval'][0]:+.3g} to {row['interval'][1]:+.3g}"
        numbers = {key: number(row[key]) for key in ("healthy", "fixed", "sweep")}
        lines.append(LINE.format(**{
            **row, **numbers, "faulty": number(row["before"]) if row["before"] is not None else "does not train",
            "interval": interval, "share": f"{number(row['share'])} ({seeds})", "kept": "; ".join(row["kept"]) or "-",
        }))  # fmt: skip
    return "\n".join(lines) + "\n"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    main()
