"""The space of the records: rows, each a set-up and the place of its loss in the task's list; 80, and 40 whose lrs move with the length.

Drawn once, by the seeds in space.toml.
"""

from __future__ import annotations

import math
import random
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fallline import catalogue
from fallline._judge import Judge
from fallline._profile import Profile
from fallline._ranking import ranked_losses, unlike

SPACE = Path(__file__).with_name("space.toml")
LOSSES = 5  # a task: the first that suits it, and four more


def rows() -> list[dict[str, Any]]:
    """The recipes of the records in the order they are trained: rows of a portfolio, with `loss` the place in the task's losses.

    The order is drawn too, so that the first n rows of a block are a fair sample of it. Where a row `moves`, its lr is that at LR_STEPS.
    """
    space = tomllib.loads(SPACE.read_text(encoding="utf-8"))
    generator = random.Random(space["seed"])
    setups = [dict(setup) for setup in space["setup"]]
    for draw in space["draw"]:
        setups += _drawn(draw, space["shared"], generator)
    more = [(setup, place) for setup in setups for place in range(1, setup.get("losses", 0) + 1)]
    every = [(setup, 0) for setup in setups] + more
    generator.shuffle(every)
    fixed = [{**{key: value for key, value in setup.items() if key != "losses"}, "loss": place} for setup, place in every]
    return fixed + _moving(space["moving"])


def _moving(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The second block."""
    generator = random.Random(block["seed"])
    drawn = [setup for draw in block["draw"] for setup in _drawn(draw, block["shared"], generator)]
    generator.shuffle(drawn)
    rows = [{**setup, "name": f"{setup['name']}-moving", "loss": 0, "moves": True} for setup in drawn]
    return rows + [{**row, "loss": place} for row in rows if row["name"] in block["losses"] for place in range(1, LOSSES)]


def _drawn(draw: Mapping[str, Any], shared: Mapping[str, Any], generator: random.Random) -> list[dict[str, Any]]:
    """Set-ups of one optimizer: lr one from each of `count` equal parts of its range in logarithms, the rest drawn."""
    low, high = (math.log10(bound) for bound in draw["lr"])
    count, made = draw["count"], []
    for k in range(count):
        lr = 10 ** (low + (k + generator.random()) / count * (high - low))
        optimizer: dict[str, Any] = {"name": draw["optimizer"], "lr": float(f"{lr:.3g}"), **draw.get("fixed", {})}
        if "beta2" in draw:
            optimizer["beta2"] = generator.choice(draw["beta2"])
        made.append(
            {
                "name": f"{draw['optimizer']}-{k + 1}",
                "optimizer": optimizer,
                "schedule": generator.choice(draw.get("schedule", shared["schedule"])),
                "clip": generator.choice(draw.get("clip", shared["clip"])),
                "shrinkage": generator.choice(shared["shrinkage"]),
            }
        )
    return made


def losses_of(profile: Profile, judge: Judge) -> list[tuple[str, dict[str, Any]]]:
    """The losses of a task, names and settings: the five first of the ranking, the plain one among them.

    Where fewer apply, their settings are drawn for the places that are left, so that loss parameters are recorded too.
    """
    ranked = unlike(ranked_losses(profile, judge))
    plain = next((name for name in ranked if profile.task in catalogue.loss(name).plain_for), None)
    if plain is not None and plain not in ranked[:LOSSES]:
        ranked = [*ranked[: LOSSES - 1], plain]
    named: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in ranked[:LOSSES]]
    generator = random.Random(profile.rows)
    tunable = [name for name, _ in named if any(h.low is not None and h.high is not None for h in catalogue.loss(name).space.values())]
    while len(named) < LOSSES and tunable:
        name = tunable[len(named) % len(tunable)]
        settings = {}
        for key, hyper in catalogue.loss(name).space.items():
            if hyper.low is not None and hyper.high is not None:
                low, high = (math.log(b) if hyper.log else b for b in (hyper.low, hyper.high))
                value = generator.uniform(low, high)
                settings[key] = float(f"{math.exp(value) if hyper.log else value:.3g}")
        named.append((name, settings))
    while len(named) < LOSSES:
        named.append(named[len(named) % len(ranked)])
    return named
