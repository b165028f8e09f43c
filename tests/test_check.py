"""The diagnosis as a whole: what it leaves alone, what it makes of set-ups that raise, which finding comes first, and its command."""

from __future__ import annotations

import copy
import json
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fallline
from fallline._cli import main
from fallline._setting import prepare
from fallline.rules import Finding, Rule, rules
from fallline.rules._order import ranked
from fallline.rules._setups import ROWS, classes, dropping, looped, network, numbers, rows
from fallline.signals import Window, gradients
from fallline.signals._setup import Setup


def found(problem: fallline.Problem, run_for: float = 20.0) -> list[str]:
    return [finding.code for finding in fallline.check(problem, run_for=run_for)]


def test_a_right_set_up_has_no_finding_above_info() -> None:
    findings = fallline.check(classes())
    assert all(finding.severity == "info" for finding in findings), str(findings)
    assert len(findings.silent) > 20


def test_the_users_objects_and_generators_are_as_before() -> None:
    model = dropping(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    before, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fallline.check(classes(model=model, optimizer=optimizer))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert optimizer.state_dict() == state
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_weights_that_a_loop_reaches_by_another_way_are_put_back() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = copy.deepcopy(model.state_dict())

    def loop(_: Any, loss: Any, given: Any, scheduler: Any, loader: Any) -> None:
        for inputs, target in loader:
            optimizer.zero_grad()
            loss(model(inputs), target).backward()
            optimizer.step()

    fallline.check(numbers(model=model, optimizer=optimizer, loop=loop), run_for=2.0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def raising(*_: Any) -> Any:
    raise ZeroDivisionError("oh")


class Raising(nn.Linear):
    def __init__(self) -> None:
        super().__init__(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        raise ZeroDivisionError("oh")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": raising},
        {"model": Raising},
        {"loss": raising},
        {"optimizer": raising},
        {"scheduler": raising},
        {"clip": raising},
        {"loop": lambda *_: raising()},
        {"unpack": raising},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_the_users_code_raises_is_a_finding(changes: dict[str, Any]) -> None:
    findings = fallline.check(numbers(**changes), run_for=5.0)
    whole = [finding for root in findings for finding in (root, *root.consequences)]
    assert any("ZeroDivisionError: oh" in finding.evidence for finding in whole), str(findings)


def test_parts_that_do_not_belong_together_are_found_by_check_and_refused_by_training() -> None:
    model = network(3)
    problem = classes(model=model, optimizer=torch.optim.Adam(network(3).parameters()))
    assert found(problem, 2.0)[0] == "FL302"
    with pytest.raises(fallline.UsageError, match="none of the model's parameters"):
        prepare(problem)


def test_nothing_is_split_off() -> None:
    x, y = rows(ROWS, 1)
    findings = fallline.check(numbers(train=(x, y), valid=None), run_for=0)
    assert "no valid split" in findings.not_applicable["FL507"]


def test_without_time_nothing_is_trained() -> None:
    steps = 0

    class Counting(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            nonlocal steps
            steps += 1
            return super().step(closure)

    fallline.check(numbers(optimizer=lambda model: Counting(model.parameters(), lr=0.01)), run_for=0)
    assert steps == 0


def finding(code: str, severity: str) -> Finding:
    return rules()[code].finding("seen", "mend", severity=severity)


def test_a_cause_comes_before_what_it_explains_however_grave_that_is() -> None:
    order = ranked([finding("FL601", "stop"), finding("FL303", "stop"), finding("FL501", "warn")], rules())
    assert [root.code for root in order] == ["FL501"]
    assert [below.code for below in order[0].consequences] == ["FL303", "FL601"]


def test_what_is_only_worth_knowing_explains_nothing_graver() -> None:
    order = ranked([finding("FL303", "stop"), finding("FL501", "info")], rules())
    assert [root.code for root in order] == ["FL303", "FL501"]


def test_two_rules_that_explain_each_other_do_not_both_vanish() -> None:
    def rule(code: str, other: str) -> Rule:
        return Rule(code=code, name=code, title=code, faults=(), severity="stop", stage="loss", check=lambda _: None, explains=(other,))

    known = {"FL901": rule("FL901", "FL902"), "FL902": rule("FL902", "FL901")}
    order = ranked([known[code].finding("seen", "mend") for code in ("FL902", "FL901")], known)
    assert [root.code for root in order] == ["FL901"]
    assert [below.code for below in order[0].consequences] == ["FL902"]


PROBLEM = """
    import torch
    from torch import nn

    import fallline


    def problem():
        x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(dim=1))
        return fallline.Problem(
            model=model, train=(x, (x[:, 0] > 0).long()), loss=nn.CrossEntropyLoss(), metric="accuracy", epochs=3,
            optimizer=torch.optim.Adam(model.parameters(), lr=1e-2),
        )
    """


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--fail-on", "stop"], 1), (["--fail-on", "info"], 1)])
def test_the_command_fails_only_where_it_is_asked_to(
    flags: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "problem.py"
    path.write_text(textwrap.dedent(PROBLEM), encoding="utf-8")
    assert main(["check", str(path), "--run-for", "0", *flags]) == code
    assert capsys.readouterr().out.startswith("stop  FL101")


def test_the_command_gives_findings_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "problem.py"
    path.write_text(textwrap.dedent(PROBLEM), encoding="utf-8")
    main(["check", str(path), "--run-for", "0", "--output-format", "json"])
    document = json.loads(capsys.readouterr().out)
    assert document["findings"][0]["faults"] == ["L01"]
    assert "FL303" in document["not_applicable"]


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, empties: bool = True) -> None:
    x, y = rows(ROWS, 1)
    for step in range(steps):
        if empties:
            optimizer.zero_grad()
        chosen = torch.arange(32) + 32 * (step % 10)
        nn.functional.mse_loss(model(x[chosen]), y[chosen]).backward()
        optimizer.step()


def test_a_watched_loop_that_is_right_has_no_finding() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with fallline.watch(model, optimizer) as seen:
        trained(model, optimizer, 60)
    assert not [found for found in seen.findings if found.severity != "info"], str(seen)


def test_a_watched_loop_without_zero_grad_is_found() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    with fallline.watch(model, optimizer) as seen:
        trained(model, optimizer, 60, empties=False)
    assert seen.findings[0].code == "FL401", str(seen)


def test_a_watched_loop_names_the_parameters_that_no_optimizer_holds() -> None:
    model = network()
    optimizer = torch.optim.Adam(list(model.parameters())[:-2], lr=1e-3)
    with fallline.watch(model, optimizer) as seen:
        trained(model, optimizer, 20)
    assert any("4.weight" in found.place for root in seen.findings for found in (root, *root.consequences)), str(seen)


def test_a_rule_that_fails_on_a_watched_loop_takes_no_other_rule_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: Any) -> Any:
        raise ZeroDivisionError("nobody thought of this loop")

    known = rules()
    broken = next(code for code, rule in known.items() if rule.name == "learning_rate_too_high")
    monkeypatch.setattr("fallline._watch.rules", lambda: known | {broken: replace(known[broken], check=fails)})
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    with fallline.watch(model, optimizer) as seen:
        trained(model, optimizer, 60, empties=False)
    assert seen.findings[0].code == "FL401", str(seen)
    assert "nobody thought of this loop" in seen.findings.not_applicable[broken]


def test_of_masks_so_dear_that_no_batch_is_affordable_one_batch_is_read_all_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(96, 1, 64, 64, generator=generator)
    model = nn.Sequential(*[nn.Conv2d(1 if not k else 24, 24, 5, padding=2) for k in range(6)], nn.Conv2d(24, 1, 1))
    problem = fallline.Problem(model=model, train=(images, (images > 0).float()), loss=nn.BCEWithLogitsLoss(), batch_size=64)
    found = Window(Setup(problem)).read(gradients.ENTRY)
    assert len(found.losses) == 1
    assert found.used


def test_watching_changes_no_bit_of_the_training_and_leaves_no_hook() -> None:
    torch.manual_seed(0)
    plain = network()
    watched = copy.deepcopy(plain)
    trained(plain, torch.optim.Adam(plain.parameters(), lr=1e-3), 30)
    optimizer = torch.optim.Adam(watched.parameters(), lr=1e-3)
    with fallline.watch(watched, optimizer):
        trained(watched, optimizer, 30)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters(), strict=True))
    assert not watched._forward_hooks
    assert not optimizer._optimizer_step_pre_hooks


def test_a_loop_that_steps_nothing_is_a_finding_and_no_error() -> None:
    assert found(looped("no step"), 5.0)[0] == "FL403"


def test_a_series_with_a_trend_is_checked_by_its_own_flags_and_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    source = Path(__file__).parents[1] / "examples" / "data" / "mauna_loa_co2_weekly.csv.gz"
    flags = ["--target", "co2", "--time", "date", "--horizon", "26", "--lookback", "104", "--run-for", "0", "--fail-on", "info"]
    assert main(["check", str(source), *flags]) == 0
    assert capsys.readouterr().out.startswith("No findings")
