"""Every real table goes through the door without special care, fast, and the default model is worth having on it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fallline._data import default_batch_size, default_epochs
from fallline._errors import RefusedError
from fallline._problem import Problem
from fallline.doors import _prepare, open_problem
from fallline.metrics import named

pytestmark = pytest.mark.slow

OPENED_WITHIN = 2.0  # seconds of this process, for at most 54,000 rows
LOSSES = {"regression": nn.MSELoss, "count": nn.PoissonNLLLoss, "binary": nn.BCEWithLogitsLoss, "multiclass": nn.CrossEntropyLoss}


@dataclass(frozen=True)
class Table:
    """One data set: how it is asked for, the task it makes, and the metric on audit that plain AdamW must reach at the default length."""

    path: str
    target: str
    metric: str
    task: str
    reached: float  # below the quick check of the data's README by what a plain network loses to boosted trees there, and some noise
    options: dict[str, Any] = field(default_factory=dict)


TABLES = [
    Table("tabular/california_housing", "median_house_value", "mae", "regression", 36_000),
    Table("tabular/bike_sharing_hourly", "cnt", "rmse", "count", 47),
    Table("tabular/abalone", "rings", "rmse", "regression", 2.4),
    Table("tabular/wine_quality", "quality", "rmse", "regression", 0.76),
    Table("tabular/diamonds", "price", "mae", "regression", 420),
    Table("tabular/forest_fires", "area", "mae", "regression", 60),
    Table("tabular/protein_casp", "RMSD", "rmse", "regression", 4.2),
    Table("tabular/adult", "income", "accuracy", "binary", 0.848),
    Table("tabular/credit_default", "default", "auroc", "binary", 0.76),
    Table("tabular/htru2_pulsar", "pulsar", "average_precision", "binary", 0.89),
    Table("tabular/online_shoppers", "Revenue", "auroc", "binary", 0.90),
    Table("tabular/letter_recognition", "letter", "accuracy", "multiclass", 0.93),
    Table("tabular/rand_doctor_visits", "mdvis", "poisson_deviance", "count", 4.6),
    Table("series/metro_traffic_hourly", "traffic_volume", "mae", "count", 600),
    Table("series/ETTh1", "OT", "mae", "regression", 12, {"time": "date"}),  # it drifts, and a row of a table sees no earlier row
    Table("series/mauna_loa_co2_weekly", "co2", "mae", "regression", 2),
    Table("series/sunspots_yearly", "sunspots", "mae", "regression", 60),
    Table("series/airline_passengers", "passengers", "mae", "regression", 80),
    Table("text/names_nationality", "nationality", "accuracy", "multiclass", 0.4),
]


def trained(problem: Problem, seed: int = 0) -> nn.Module:
    """The default model after plain AdamW at the default length."""
    (numeric, categories), target = problem.train
    batch = default_batch_size(len(target))
    per_epoch = len(target) // batch
    model, loss = problem.new_model(seed), LOSSES[str(problem.task)]()
    optimizer = torch.optim.AdamW(model.parameters())
    torch.manual_seed(seed)
    for _ in range(int(default_epochs(len(target), batch, "mlp"))):
        for rows in torch.randperm(len(target))[: per_epoch * batch].split(batch):
            optimizer.zero_grad()
            loss(model(numeric[rows], categories[rows]), target[rows]).backward()
            optimizer.step()
    return model


def judged(problem: Problem, model: nn.Module, metric: str) -> float:
    (numeric, categories), target = problem.audit
    with torch.no_grad():
        output = model.eval()(numeric, categories).double()
    if problem.task == "regression":
        location, scale = problem.origin.scale
        output, target = output * scale + location, target.double() * scale + location
    elif problem.task == "count":
        output, target = output.exp(), target.double()
    elif problem.task == "binary":
        output = output.sigmoid()
    else:
        output = output.softmax(1)
    return named(metric).value(output, target)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.path)
def test_set(table: Table, shared_data: Path) -> None:
    path = shared_data / f"{table.path}.csv.gz"
    began = time.process_time()
    problem = open_problem(path, target=table.target, metric=table.metric, **table.options)
    took = time.process_time() - began
    assert took < OPENED_WITHIN * 2, f"{took:.1f} s on both cores"
    assert problem.task == table.task
    preparation = json.loads(json.dumps(problem.origin.preparation, allow_nan=False))
    parts = _prepare.parts(_prepare.read_frame(path, preparation["reading"]), preparation)
    for name, part in parts.items():
        for made, kept in zip((*part[0], part[1]), (*getattr(problem, name)[0], getattr(problem, name)[1]), strict=True):
            assert torch.equal(made, kept), name
        assert torch.isfinite(part[0][0]).all(), name
    value = judged(problem, trained(problem), table.metric)
    better = value <= table.reached if named(table.metric).direction == "min" else value >= table.reached
    assert better, f"{table.metric} {value:.4g} on audit, wanted {table.reached:g}"


@pytest.mark.parametrize(("name", "target"), [("sms_spam", "label"), ("banking77", "category"), ("goemotions", "joy,anger")])
def test_free_text_is_refused(name: str, target: str, shared_data: Path) -> None:
    with pytest.raises(RefusedError, match="column 'text' is free text"):
        open_problem(shared_data / "text" / f"{name}.csv.gz", target=target)
