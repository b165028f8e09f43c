"""`fallline train`: one straight training by a recipe."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fallline._budget import Clock
from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._session import session

if TYPE_CHECKING:
    from fallline._recipe import Recipe
    from fallline._run import Run
    from fallline._train import Trained


def train(
    source: flags.Source,
    recipe: Annotated[str, typer.Option("--recipe", help="A recipe.toml, or a run whose recipe it is.", show_default=False)],
    target: flags.Target = None,
    metric: flags.MetricName = None,
    direction: flags.Direction = None,
    task: flags.Task = None,
    time: flags.Time = None,
    group: flags.Group = None,
    text: flags.Text = None,
    horizon: flags.Horizon = None,
    lookback: flags.Lookback = None,
    covariates: flags.Covariates = None,
    positive: flags.Positive = None,
    epochs: flags.Epochs = None,
    batch_size: flags.BatchSize = None,
    device: flags.Device = None,
    out: flags.Out = None,
    output_format: flags.Format = flags.OutputFormat.TABLE,
    quiet: flags.Quiet = False,
) -> None:
    """Train by one recipe, once; with the flags of the race it gives the weights that the race gave."""
    chosen = _recipe(recipe)
    clock = Clock()
    with session(clock, quiet=quiet) as progress:
        from fallline._run import Run
        from fallline._train import train as trained_by
        from fallline.doors import open_problem

        problem = open_problem(
            source, seed=chosen.seed, target=target, metric=metric, direction=direction, task=task, time=time, group=group,
            text=text, horizon=horizon, lookback=lookback, covariates=covariates, positive=positive, epochs=epochs, batch_size=batch_size,
        )  # fmt: skip
        for note in problem.origin.notes:
            progress.say(note)
        there = out is not None and Path(out).is_dir()
        run = Run.create(f"{Path(source).name.split('.')[0]}-train", out)  # now: that it cannot be written is said before training
        try:
            run.journal.write("train", source=str(Path(source).resolve()), recipe=chosen.to_dict())
            progress.say(f"training by {recipe}")
            result = trained_by(problem, chosen, device=device)
            _keep(run, result, clock.spent_s)
        except BaseException:
            run.discard(keep_folder=there)
            raise
        if problem.origin.preparation is not None:
            run.write_json("preparation.json", problem.origin.preparation)
    _report(run, result, output_format)


def _recipe(text: str) -> Recipe:
    """The recipe in a TOML file, or of a run."""
    from fallline._recipe import Recipe
    from fallline._run import find

    path = Path(text)
    return Recipe.load(path if path.is_file() or path.suffix == ".toml" else find(text) / "recipe.toml")


def _keep(run: Run, result: Trained, seconds: float) -> None:
    """Weights and recipe on disk, then the journal's line that says so."""
    from fallline._choose import keep_weights
    from fallline._journal import write_text

    (run.folder / "checkpoints").rmdir()  # one straight training has none
    keep_weights(result.network, run.folder / "model.safetensors")
    write_text(run.folder / "recipe.toml", result.recipe.to_toml())
    run.journal.write("trained", metric=result.metric, valid=result.valid, audit=result.audit, steps=result.recipe.end, spent_s=seconds)


def _report(run: Run, result: Trained, output_format: flags.OutputFormat) -> None:
    from fallline.reports._layout import pairs
    from fallline.reports._words import here, number, recipe_lines

    artifacts = {"model": "model.safetensors", "recipe": "recipe.toml", "journal": "journal.jsonl"}
    if output_format is not flags.OutputFormat.TABLE:
        document = {
            "schema": 1, "run": str(run.folder), "metric": result.metric, "valid": result.valid, "audit": result.audit,
            "recipe": result.recipe.to_dict(), "artifacts": artifacts,
        }  # fmt: skip
        sys.stdout.write(json.dumps(document, indent=2 if output_format is flags.OutputFormat.JSON else None, ensure_ascii=False) + "\n")
        return
    lines = [f"Trained: {result.metric} {number(result.valid)} on valid, {number(result.audit)} on audit.", "", "Recipe"]
    lines += pairs(recipe_lines(result.recipe.to_dict()))
    lines += ["", f"Files in {here(run.folder)}"]
    lines += pairs([(artifacts["recipe"], "the recipe"), (artifacts["model"], "the trained weights")])
    sys.stdout.write("\n".join(lines) + "\n")


EXAMPLE = "fallline train houses.csv --target price --recipe runs/20260101-120000-houses/recipe.toml"
ENTRY = Verb(name="train", run=train, place=20, example=EXAMPLE)
