"""Case: what a run's folder says of the training that won, read once and refused with advice where it says too little."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fallline import catalogue
from fallline._demands import graph_every
from fallline._errors import UsageError
from fallline._journal import read
from fallline._parts import lr_curve
from fallline._recipe import Recipe
from fallline.metrics import NUMBERED


@dataclass(frozen=True)
class Case:
    """One finished run: its recipe, and how its problem is read, trained and judged."""

    folder: Path
    recipe: Recipe
    facts: Mapping[str, Any]  # of problem.json: task, metric, direction, numbers of examples
    origin: Mapping[str, Any]
    profile: Mapping[str, Any]
    setup: Mapping[str, Any]
    preparation: Mapping[str, Any] | None
    splits: Mapping[str, Any] | None
    torch: str  # the version that trained

    @classmethod
    def of(cls, folder: Path) -> Case:
        """The case in a run's folder.

        Raises:
            UsageError: the run has no recipe yet, or was written by a version that did not record its set-up.
        """
        if not (folder / "recipe.toml").exists():
            raise UsageError(f"the run {folder} has no recipe yet; let it end first: fallline resume {folder}")
        problem = _json(folder / "problem.json") or {}
        if "setup" not in problem:
            raise UsageError(f"the run {folder} does not say what its problem was like; export a run of `fallline choose` by this version")
        verdict = _json(folder / "verdict.json") or {}
        return cls(
            folder=folder,
            recipe=Recipe.load(folder / "recipe.toml"),
            facts=problem["facts"],
            origin=problem["origin"],
            profile=problem["profile"],
            setup=problem["setup"],
            preparation=_json(folder / "preparation.json"),
            splits=_json(folder / "splits.json"),
            torch=verdict.get("versions", {}).get("torch", ""),
        )

    @property
    def task(self) -> str:
        return str(self.profile["task"])

    @property
    def classes(self) -> bool:
        """Whether targets are class indices, which no loss wants in the dtype of the outputs."""
        return self.task in NUMBERED

    @property
    def loss_learns(self) -> bool:
        """Whether the loss has parameters, which join the optimizer."""
        if self.recipe.loss.own:
            return bool(self.setup["own"].get("loss_learns"))
        return catalogue.loss(self.recipe.loss.name).learns

    @property
    def lower_is_better(self) -> bool:
        return bool(self.facts["direction"] == "min")

    @property
    def device(self) -> str:
        return str(self.setup["device"])

    @property
    def on_cpu(self) -> bool:
        return self.device == "cpu"

    @property
    def loop(self) -> bool:
        """Whether training runs in the user's own loop."""
        return "loop" in self.setup["own"]

    @property
    def sources(self) -> list[Mapping[str, Any]]:
        """What the user gave for train, valid and audit, as far as it was given."""
        return [source for source in self.setup["sources"].values() if source is not None]

    def reads_dataset(self, part: str) -> bool:
        """Whether a part is read from a Dataset; what was split off is read as train is."""
        return bool((self.setup["sources"][part] or self.setup["sources"]["train"])["kind"] == "dataset")

    @property
    def tensors(self) -> bool:
        return any(source["kind"] == "tensors" for source in self.sources)

    @property
    def dicts(self) -> bool:
        """Whether tensors are held by name."""
        return any("{" in str(source.get("tree")) for source in self.sources)

    @property
    def workers(self) -> int:
        """Processes that read training examples ahead."""
        return int(self.setup["sources"]["train"].get("workers", 0))

    @property
    def from_given(self) -> bool:
        """Whether judging needs something of the user's own: how a batch is unpacked, or the metric."""
        return bool(self.setup["unpack"] == "own" or self.setup["metric"] != "named")

    @property
    def datasets(self) -> bool:
        return any(source["kind"] == "dataset" for source in self.sources)

    @property
    def mixed(self) -> bool:
        """Whether some parts are tensors and others Datasets."""
        return len({source["kind"] for source in self.sources}) > 1

    @property
    def pairs(self) -> bool:
        """Whether every part is plainly one tensor of inputs and one of targets."""
        return all(source.get("tree") == ["tensor", "tensor"] for source in self.sources)

    @property
    def own(self) -> tuple[str, ...]:
        """The parts of the recipe that are the user's own."""
        return tuple(kind for kind in ("loss", "optimizer", "schedule", "clip") if getattr(self.recipe, kind).own)

    @cached_property
    def schedule(self) -> catalogue.Schedule | None:
        """The schedule's entry; None where the user's own scheduler runs."""
        return None if self.recipe.schedule.own else catalogue.schedule(self.recipe.schedule.name)

    @property
    def closure(self) -> bool:
        """Whether the optimizer evaluates the loss itself."""
        return not self.recipe.optimizer.own and catalogue.optimizer(self.recipe.optimizer.name).closure

    @property
    def graph_every(self) -> int:
        """Every how many steps the optimizer wants gradients that can be differentiated again; 0: never."""
        return graph_every(self.recipe, self.setup["precision"])

    @property
    def switches(self) -> bool:
        """Whether the optimizer has other weights to judge than those that it trains."""
        if self.recipe.optimizer.own:
            return bool(self.setup["own"].get("optimizer_switches"))
        return catalogue.optimizer(self.recipe.optimizer.name).switches

    @cached_property
    def lr_moves(self) -> bool:
        """Whether the lr is anything but the peak, apart from a reaction to the metric."""
        if self.schedule is None:
            return False
        curve = lr_curve(self.recipe)
        return curve is not None and any(curve(step) != 1.0 for step in range(self.recipe.end))

    @property
    def peaks_differ(self) -> bool:
        """Whether groups of parameters may have lrs of their own."""
        own = self.recipe.optimizer.own
        return own or self.recipe.body_lr is not None or bool(catalogue.optimizer(self.recipe.optimizer.name).lr_scale)

    @property
    def reacts(self) -> bool:
        """Whether the schedule reads the metric; a loop of the user's own has no looks that it could read."""
        return self.schedule is not None and self.schedule.react is not None and self.schedule.reads_metric and not self.loop

    @property
    def averages(self) -> bool:
        return self.recipe.average is not None and not self.loop

    @property
    def looks(self) -> bool:
        """Whether valid is read during training: for the best weights, for the schedule, or to know when to stop."""
        return self.recipe.keep == "best" or self.recipe.patience is not None or self.reacts

    @cached_property
    def outcome(self) -> dict[str, float]:
        """The metric that the run printed for the weights it handed back, by split, as far as it is known."""
        trained = next((event for event in read(self.folder / "journal.jsonl") if event["event"] == "trained"), None)
        if trained is not None:
            return {split: trained[split] for split in ("valid", "audit") if split in trained}
        document = _json(self.folder / "verdict.json") or {}
        verdict = document.get("verdict", {})
        known = {"audit": verdict.get("metric")}
        if verdict.get("compared_at") is not None or verdict.get("splits", 1) > 1:
            known = {}  # that of an earlier step, or a mean over splits
        same = [row for row in document.get("candidates", ()) if row["recipe"] == document.get("recipe")]
        if same and same[0]["status"] == "finished":
            known["valid"] = same[0]["metric"]
        return {split: known[split] for split in ("valid", "audit") if isinstance(known.get(split), float)}


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
