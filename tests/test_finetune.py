"""Fine-tuning: a model starts from a local file of weights or from a trained module, and its body may have an lr of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import Checker, opened, optimizer, same_weights, schedule
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import fallline
from fallline._budget import Clock
from fallline._constraints import Constraints
from fallline._errors import RefusedError, UsageError
from fallline._finetune import head_of
from fallline._parts import lane_parts
from fallline._planning import make_plan
from fallline._recipe import BodyLr, Part, Recipe
from fallline._setting import prepare
from fallline._step import start


class Net(nn.Module):
    """A body with a norm layer, and a head of so many classes."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU())
        self.fc = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.fc(self.body(x))
        return output


def rows(count: int, seed: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def problem(**given: Any) -> fallline.Problem:
    usual = {"train": rows(480, 1), "valid": rows(260, 2), "audit": rows(260, 3), "metric": "accuracy", "batch_size": 32, "epochs": 4}
    return fallline.Problem(**{"model": Net, **usual, **given})


def trained(classes: int = 5) -> nn.Module:
    """A network after some training on other labels."""
    torch.manual_seed(7)
    model, (x, _) = Net(classes), rows(256, 9)
    steps = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(30):
        steps.zero_grad()
        nn.functional.cross_entropy(model(x), (x.sum(dim=1) > 0).long()).backward()
        steps.step()
    return model


def saved(folder: Path, name: str = "body.safetensors", classes: int = 5) -> Path:
    held, path = trained(classes).state_dict(), folder / name
    if path.suffix == ".safetensors":
        save_file(held, path)
    else:
        torch.save(held if path.stem != "checkpoint" else {"epoch": 3, "state_dict": held}, path)
    return path


# weights from a file --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["body.safetensors", "body.pt", "checkpoint.pth"])
def test_a_model_takes_what_fits_from_a_file_and_draws_the_rest_by_its_seed(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, name)
    made, plain = (problem(model=model) for model in ({"factory": Net, "weights": path}, Net))
    for seed in (0, 1):
        mine, theirs, drawn = made.new_model(seed).state_dict(), trained().state_dict(), plain.new_model(seed).state_dict()
        for key, tensor in mine.items():
            assert torch.equal(tensor, drawn[key] if key.startswith("fc") else theirs[key]), key
    notes = prepare(made).notes
    assert f"weights of {name} for 6 of 8 parameters; as they are made: fc.weight, fc.bias" in notes


def test_weights_go_with_keywords_and_with_a_name(tmp_path: Path) -> None:
    path = tmp_path / "linear.safetensors"
    save_file({"weight": torch.full((3, 5), 2.0)}, path)
    sizes = {"in_features": 5, "out_features": 3}
    made = problem(model={"factory": "torch.nn:Linear", "keywords": sizes, "weights": str(path)}).new_model()
    assert torch.equal(made.state_dict()["weight"], torch.full((3, 5), 2.0))
    module = problem(model={"factory": Net(), "weights": saved(tmp_path)}).new_model()
    assert torch.equal(module.state_dict()["body.0.weight"], trained().state_dict()["body.0.weight"])


class Trap:
    """What runs code when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("sprung").touch, ())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"factory": Net, "weight": "x.pt"}, "unknown key in model 'weight'; did you mean weights"),
        ({"weights": "body.pt"}, "model must be a function"),
        ({"factory": Net, "weights": 3}, "weights must be the path of a file, got int"),
        ({"factory": Net, "weights": "body.ckpt"}, "must be a file that ends in .safetensors, .pt"),
        ({"factory": Net, "weights": "nowhere.pt"}, "no file nowhere.pt with weights"),
        ({"factory": Net, "weights": "trap.pt"}, "to read it could run code; save model.state_dict"),
        ({"factory": Net, "weights": "torn.safetensors"}, "cannot read weights from torn.safetensors"),
        ({"factory": Net, "weights": "torn.pt"}, "cannot read weights from torn.pt"),
        ({"factory": Net, "weights": "list.pt"}, "holds no tensors by name"),
        ({"factory": Net, "weights": "other.pt"}, "fits the model nowhere: it holds module.body.0.weight"),
    ],
    ids=str,
)
def test_weights_that_cannot_be_used_are_refused(model: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(Trap(), "trap.pt")
    Path("torn.safetensors").write_bytes(b"\x00" * 20)
    torch.save(Net().state_dict(), "torn.pt")
    Path("torn.pt").write_bytes(Path("torn.pt").read_bytes()[:700])
    torch.save([torch.ones(2)], "list.pt")
    torch.save({f"module.{name}": tensor for name, tensor in Net().state_dict().items()}, "other.pt")
    with pytest.raises((UsageError, RefusedError)) as caught:
        problem(model=model).new_model()
    assert words in str(caught.value)
    assert not Path("sprung").exists()


def test_a_resumed_race_refuses_other_weights(tmp_path: Path) -> None:
    path, clock = saved(tmp_path), Clock()
    left = iter(range(8))

    def pulse() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    clock.pulse = pulse  # type: ignore[method-assign]  # what a kill does
    with pytest.raises(KeyboardInterrupt):
        fallline.choose(problem(model={"factory": Net, "weights": path}), price=2, out=tmp_path / "run", clock=clock, engine="sequential")
    save_file(Net(5).state_dict(), path)
    with pytest.raises(RefusedError, match="first weights"):
        fallline.resume(tmp_path / "run", problem(model={"factory": Net, "weights": path}))


# what is head ---------------------------------------------------------------------------------------------------------------------------


def test_what_the_file_has_no_values_for_is_the_head(tmp_path: Path) -> None:
    assert head_of(problem(model={"factory": Net, "weights": saved(tmp_path)}), 0) == ("fc",)


def test_where_all_fits_the_last_layer_is_the_head(tmp_path: Path) -> None:
    assert head_of(problem(model={"factory": Net, "weights": saved(tmp_path, classes=3)}), 0) == ("fc",)


def test_of_a_trained_module_what_was_put_in_anew_is_the_head_and_a_fresh_module_has_none() -> None:
    module = trained()
    module.fc = nn.Linear(8, 3)
    assert head_of(problem(model=module), 0) == ("fc",)
    assert head_of(problem(model=trained(3)), 0) == ("fc",)
    assert head_of(problem(model=Net()), 0) == ()
    assert head_of(problem(model=Net), 0) == ()


def test_where_the_body_is_frozen_there_is_nothing_to_slow_down(tmp_path: Path) -> None:
    def frozen() -> nn.Module:
        model = Net()
        model.body.requires_grad_(False)
        return model

    given = problem(model={"factory": frozen, "weights": saved(tmp_path)})
    assert head_of(given, 0) == ()
    before = given.new_model().body.state_dict()
    plan = make_plan(prepare(given), price=2, constraints=Constraints())
    training = start(prepare(given).bench(plan), plan.candidates[0].recipe)
    training.run(3)
    assert all(torch.equal(parameter, before[name]) for name, parameter in training.model.body.named_parameters()), "frozen stays frozen"


# an lr of its own for the body ----------------------------------------------------------------------------------------------------------


def recipe(**given: Any) -> Recipe:
    usual = {
        "loss": Part("cross_entropy", {"ignore_index": -100}),
        "optimizer": optimizer("adamw", lr=0.01),
        "schedule": schedule("cosine", warmup=0.1),
    }
    return Recipe(**{**usual, "steps": 40, "seed": 3, "body_lr": BodyLr(0.1, ("fc",)), **given})


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd", "nesterov", "sam"])
@pytest.mark.parametrize("decay_on", ["matrices", "all"])
def test_body_and_head_have_their_own_lr_under_every_schedule(name: str, decay_on: str) -> None:
    model = Net()
    parts = recipe(optimizer=optimizer(name, lr=0.01), decay_on=decay_on).build(model)
    lrs = {parameter: group["lr"] for group in parts.optimizer.param_groups for parameter in group["params"]}
    assert len(lrs) == len(list(model.parameters()))
    for path, parameter in model.named_parameters():
        assert lrs[parameter] / lrs[model.fc.weight] == pytest.approx(1.0 if path.startswith("fc") else 0.1), path


def test_training_by_a_body_lr_equals_torch_with_groups_written_out() -> None:
    given = problem(precision="64")
    chosen = recipe(schedule=schedule("cosine", warmup=0.0), clip=Part("none"), decay_on="all", keep="last")
    setting = prepare(given)
    training = start(setting.bench_of(0, 3), chosen)
    training.run(40)
    model = given.new_model(3)
    groups = [{"params": list(model.body.parameters()), "lr": 0.01 * 0.1}, {"params": list(model.fc.parameters())}]
    plain = torch.optim.AdamW(groups, lr=0.01, weight_decay=chosen.optimizer.settings["weight_decay"], fused=True)
    curve = torch.optim.lr_scheduler.LambdaLR(plain, chosen.lr_factor)
    batches = setting.data.batches(3, torch.device("cpu"))
    for step in range(40):
        x, y = batches(step)
        plain.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        plain.step()
        curve.step()
    for mine, theirs in zip(training.model.parameters(), model.parameters(), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-12)


def test_a_body_lr_survives_toml_and_shows_in_a_diff() -> None:
    chosen = recipe()
    assert Recipe.from_toml(chosen.to_toml()) == chosen
    assert hash(chosen) == hash(Recipe.from_toml(chosen.to_toml()))
    apart = chosen.diff(recipe(body_lr=None))
    assert (apart["body_lr.factor"], apart["body_lr.head"]) == ((0.1, None), (["fc"], None))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"factor": 0.1}, "needs exactly factor (a number), head (a list of names)"),
        ({"factor": 0.1, "head": "fc"}, "needs exactly"),
        ({"factor": 0.0, "head": ["fc"]}, "must be positive, got 0.0; to keep a body as it is, freeze"),
        ({"factor": 0.1, "head": []}, "must name one module or more"),
    ],
)
def test_an_impossible_body_lr_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.from_dict({**recipe(body_lr=None).to_dict(), "body_lr": table})
    assert words in str(caught.value)


def test_a_head_that_the_model_does_not_have_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="'fcc'; did you mean fc"):
        recipe(body_lr=BodyLr(0.1, ("fcc",))).build(Net())
    with pytest.raises(UsageError, match="body, fc, is all that is trained"):
        recipe(body_lr=BodyLr(0.1, ("body", "fc"))).build(Net())
    with pytest.raises(UsageError, match="lbfgs knows one lr"):
        recipe(optimizer=optimizer("lbfgs")).build(Net())


def test_two_lrs_are_not_fused_and_the_reason_is_said() -> None:
    assert lane_parts(recipe()) == "its body and its head have lrs of their own"


# in the race ----------------------------------------------------------------------------------------------------------------------------


def test_a_body_lr_is_raced_where_the_model_starts_from_trained_weights(tmp_path: Path) -> None:
    given = {"factory": Net, "weights": saved(tmp_path)}
    plan = make_plan(prepare(problem(model=given)), price=3.5, constraints=Constraints())
    apart = [candidate for candidate in plan.candidates if candidate.recipe.body_lr is not None]
    assert [candidate.recipe.body_lr for candidate in apart] == [BodyLr(0.1, ("fc",))]
    assert replace(apart[0].recipe, body_lr=None) == plan.candidates[0].recipe
    assert "a tenth of its lr for the trained body, all but fc" in apart[0].reason
    assert plan.baseline.body_lr is None

    def none(**wanted: Any) -> bool:
        model = wanted.pop("model", given)
        made = make_plan(prepare(problem(model=model)), **{"price": 3.5, "constraints": Constraints(), **wanted})
        return all(candidate.recipe.body_lr is None for candidate in made.candidates)

    assert none(model=Net)
    assert none(constraints=Constraints.of({"lr": 0.01}))
    assert none(price=1)


def test_a_race_with_a_body_lr_hands_back_what_train_gives(tmp_path: Path) -> None:
    given = problem(model={"factory": Net, "weights": saved(tmp_path)})
    plan = make_plan(prepare(given), price=2, constraints=Constraints())
    only = tuple(candidate for candidate in plan.candidates if candidate.recipe.body_lr is not None)
    verdict = fallline.choose(given, plan=replace(plan, candidates=only), out=tmp_path / "run")
    row = next(row for row in verdict.document["candidates"] if row["name"] == only[0].name)
    assert row["status"] == "finished"
    again = fallline.train(given, Recipe.from_dict(row["recipe"]))
    assert again.valid == row["metric"]
    if verdict.document["verdict"]["winner"] == only[0].name:
        assert same_weights(again.network.state_dict(), load_file(tmp_path / "run" / "model.safetensors"))
        assert "times 0.1 for the body, all but fc" in str(verdict)


# as a script ----------------------------------------------------------------------------------------------------------------------------

STARTS = """
import torch
from torch import nn
import fallline

def rows(count, seed):
    x = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()

class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU())
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc(self.body(x))

def problem():
    return fallline.Problem(
        model={"factory": Net, "weights": WEIGHTS}, train=rows(480, 1), metric="accuracy", batch_size=32, epochs=3{more})
"""


@pytest.mark.parametrize("name", ["body.safetensors", "checkpoint.pth"])
def test_the_script_starts_from_the_file_and_keeps_both_lrs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = STARTS.replace("WEIGHTS", repr(str(saved(tmp_path, name))))
    given = opened(tmp_path / "own", text)
    changes = {"body_lr": BodyLr(0.1, ("fc",)), "schedule": schedule("cosine", warmup=0.1)}
    script = Checker(tmp_path, monkeypatch, capsys)(given, changes)
    assert "BODY_LR = 0.1" in script
    assert "weights_only=True" in script or "load_file" in script
