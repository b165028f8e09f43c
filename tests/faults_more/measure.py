"""Tries the rules on every program and prints what came first: `PYTHONPATH=src:tests python -m faults_more.measure [NAME ...]`."""

from __future__ import annotations

import sys

import torch

import fallline
from faults_more import Program, programs

RUN_FOR = 30.0  # seconds of training a program, the default of `check`
ALARMS = ("warn", "stop")


def first(found: fallline.Findings) -> str:
    """The id of the first finding."""
    return next(iter(found[0].faults), "-") if found else "none"


def told(program: Program, found: fallline.Findings) -> tuple[bool, str]:
    """Whether it is judged rightly, and in a line how."""
    if program.faults:
        right = first(found) in program.faults
    else:
        right = not any(finding.severity in ALARMS for finding in found)
    shown = "; ".join(f"{finding.code} {finding.name} {'/'.join(finding.faults)} {finding.severity}" for finding in found[:4])
    return (
        right,
        f"{'ok ' if right else 'BAD'} {'/'.join(program.faults) or 'healthy':10} {program.name:48} {found.seconds:5.1f} s  {shown}",
    )


def main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    counts = {True: [0, 0], False: [0, 0]}
    for program in programs():
        if wanted and not any(word in program.name for word in wanted):
            continue
        right, line = told(program, fallline.check(program.make(), run_for=RUN_FOR))
        counts[bool(program.faults)][0] += right
        counts[bool(program.faults)][1] += 1
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    sys.stdout.write(
        f"named first: {counts[True][0]} of {counts[True][1]}; healthy without alarm: {counts[False][0]} of {counts[False][1]}\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
