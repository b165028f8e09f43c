"""The second set of programs: the rules name the fault first in most, and raise no alarm on the healthy ones."""

from __future__ import annotations

import functools

import pytest
from faults_more import Program, programs
from faults_more.measure import RUN_FOR, told

import fallline

PROGRAMS = programs()
FAULTY = [program for program in PROGRAMS if program.faults]
HEALTHY = [program for program in PROGRAMS if not program.faults]
FIRST_CONTACT = 65  # named first before anything was mended; see README.md


@functools.cache
def judged(program: Program) -> tuple[bool, str]:
    return told(program, fallline.check(program.make(), run_for=RUN_FOR))


def test_there_are_enough_programs_of_both_kinds_and_each_says_what_it_is() -> None:
    assert len(FAULTY) >= 24
    assert len(HEALTHY) >= 16
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)
    assert all((program.make.__doc__ or "").strip() for program in PROGRAMS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # one program asks for more workers than a small machine has cores
@pytest.mark.timeout(7_200)  # some ninety watched runs
def test_more_faults_are_named_first_than_at_first_contact() -> None:
    missed = [judged(program)[1] for program in FAULTY if not judged(program)[0]]
    assert len(FAULTY) - len(missed) > FIRST_CONTACT, "\n".join(missed)


@pytest.mark.slow
@pytest.mark.parametrize("program", HEALTHY, ids=lambda program: program.name)
def test_no_alarm_on_a_healthy_program(program: Program) -> None:
    right, line = judged(program)
    assert right, line
