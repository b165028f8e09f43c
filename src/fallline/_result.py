"""Result: what `choose` hands back."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline._decide import Decided
from fallline._document import document_of, headline
from fallline._judge import handed_back
from fallline._race import Race

if TYPE_CHECKING:
    from torch import nn

    from fallline._recipe import Recipe
    from fallline._verdict import Comparison


@dataclass(frozen=True)
class Verdict:
    """What `choose` gives: the recipe, the trained model in the user's units, and how sure it is."""

    recipe: Recipe
    model: nn.Module
    status: str
    baseline_model: nn.Module | None
    comparison: Comparison
    document: dict[str, Any]  # JSON schema 1

    @property
    def difference(self) -> float:
        """Metric of the recipe minus metric of the baseline, on audit."""
        return self.comparison.difference

    @property
    def interval(self) -> tuple[float, float]:
        return self.comparison.interval

    def __str__(self) -> str:
        from fallline.reports import named

        folder, text = Path(self.document["run"]), io.StringIO()
        if not (folder / "verdict.json").exists():  # the folder was moved or deleted
            return "\n".join([headline(self.document), *self.document["reasons"]])
        named("table").write(folder, text)
        return text.getvalue().rstrip()


def verdict_of(race: Race, decided: Decided, problem_facts: dict[str, Any], plain_s: float) -> Verdict:
    """The public verdict, with everything that reports need in its document."""
    recipe, problem = decided.winner.trial.recipe, race.bench.problem
    document = document_of(race, decided, problem_facts, plain_s)
    model = handed_back(race.model(decided.winner), recipe, problem)
    baseline = handed_back(race.model(race.baseline), race.plan.baseline, problem) if race.baseline.status == "finished" else None
    return Verdict(recipe, model, document["verdict"]["status"], baseline, decided.comparison, document)
