"""The profile says what is there: task, kind of outputs, targets, imbalance, label noise, parameters, cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fallline
from fallline._adapt import end_of
from fallline._data import open_data
from fallline._errors import RefusedError
from fallline._fit import infer_task
from fallline._measure import measure
from fallline._outputs import output_kind
from fallline._profile import Profile

CPU = torch.device("cpu")
ROWS = 600


def profile(model: Any, inputs: Any, target: Tensor, **given: Any) -> Profile:
    """The profile of a problem whose three splits are the same rows: no figure depends on a draw."""
    data = (inputs, target)
    problem = fallline.Problem(**{"model": model, "train": data, "valid": data, "audit": data, "batch_size": 50, **given})
    return measure(problem, open_data(problem), CPU)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X = normal(ROWS, 4)
WHOLE = (4 * X[:, 0].abs()).long()  # 0 to 12
CLASSES = (X[:, 0] > 0).long() + (X[:, 1] > 0.5).long()  # 0, 1, 2


# task --------------------------------------------------------------------------------------------------------------------------------

TASKS = {
    "values": (normal(8, 1), normal(8, 1), "regression"),
    "several values": (normal(8, 3), normal(8, 3), "regression"),
    "values with two outputs a target": (normal(8, 2), normal(8, 1), "regression"),
    "values without a second dimension": (normal(8, 1), normal(8), "regression"),
    "an image of values": (normal(8, 1, 5, 5), normal(8, 1, 5, 5), "regression"),
    "counts": (normal(8, 1), torch.tensor([[0], [3], [1], [7], [0], [2], [5], [1]]), "count"),
    "whole numbers below zero": (normal(8, 1), torch.tensor([[0], [-3], [1], [7], [0], [2], [5], [1]]), "regression"),
    "counts as floats are values": (normal(8, 1), torch.tensor([0.0, 3, 1, 7, 0, 2, 5, 1]).unsqueeze(1), "regression"),
    "yes or no as floats": (normal(8, 1), torch.tensor([0.0, 1, 1, 0, 0, 1, 0, 1]).unsqueeze(1), "binary"),
    "yes or no as whole numbers": (normal(8), torch.tensor([0, 1, 1, 0, 0, 1, 0, 1]), "binary"),
    "yes or no as booleans": (normal(8, 1), torch.tensor([[False], [True]] * 4), "binary"),
    "several yes or no": (normal(8, 3), (normal(8, 3) > 0).float(), "multilabel"),
    "several yes or no as whole numbers": (normal(8, 3), (normal(8, 3) > 0).long(), "multilabel"),
    "a mask": (normal(8, 1, 5, 5), (normal(8, 1, 5, 5) > 0).float(), "binary"),
    "classes": (normal(8, 5), torch.tensor([0, 1, 4, 2, 3, 3, 0, 1]), "multiclass"),
    "two classes with two outputs": (normal(8, 2), torch.tensor([0, 1, 1, 0, 0, 1, 0, 1]), "multiclass"),
    "a class a position": (normal(8, 5, 6), torch.zeros(8, 6, dtype=torch.long), "sequence"),
    "a class a pixel": (normal(8, 5, 6, 6), torch.ones(8, 6, 6, dtype=torch.long), "sequence"),
}


@pytest.mark.parametrize("case", TASKS)
def test_the_task_follows_from_outputs_and_targets(case: str) -> None:
    outputs, targets, task = TASKS[case]
    assert infer_task(outputs, targets) == task


def test_the_user_overrules_the_inferred_task() -> None:
    assert profile(lambda: nn.Linear(4, 1), X, WHOLE.unsqueeze(1)).task == "count"
    assert profile(lambda: nn.Linear(4, 1), X, WHOLE.unsqueeze(1), task="regression").task == "regression"
    assert profile(lambda: nn.Linear(4, 1), X, WHOLE.float().unsqueeze(1), task="count").task == "count"


# outputs -----------------------------------------------------------------------------------------------------------------------------


class Ends(nn.Module):
    """A linear layer, whose outputs lie around `start`, and what a user's forward makes of them."""

    def __init__(self, outputs: int, end: Callable[[Tensor], Tensor] | nn.Module, start: float | None = None, positions: int = 0) -> None:
        super().__init__()
        self.layer, self.end, self.shape = nn.Linear(4, outputs * max(positions, 1)), end, (-1, outputs, positions) if positions else ()
        if start is not None:
            with torch.no_grad():
                self.layer.weight.mul_(0.01)
                self.layer.bias.fill_(start)

    def forward(self, x: Tensor) -> Tensor:
        values = self.layer(x)
        return self.end(values.reshape(self.shape) if self.shape else values)


KINDS: dict[str, tuple[nn.Module, str, str]] = {
    "any numbers": (Ends(1, nn.Identity()), "regression", "real"),
    "numbers between zero and one of a regression": (Ends(1, nn.Sigmoid()), "regression", "real"),
    "logits": (Ends(1, nn.Identity()), "binary", "real"),
    "logits that start at the log-odds": (Ends(1, nn.Identity(), start=0.4), "binary", "real"),
    "small positive numbers": (Ends(3, nn.Identity(), start=0.05), "multilabel", "real"),
    "positive numbers without a bound": (Ends(1, nn.functional.softplus, start=-1.0), "binary", "real"),
    "probabilities": (Ends(1, nn.Sigmoid()), "binary", "probability"),
    "probabilities of a forward": (Ends(3, torch.sigmoid), "multilabel", "probability"),
    "numbers cut to probabilities": (Ends(1, lambda x: x.clamp(0, 1), start=0.5), "binary", "probability"),
    "logits of classes": (Ends(3, nn.Identity()), "multiclass", "real"),
    "logits of classes that start at their log-shares": (Ends(3, nn.Identity(), start=-math.log(3)), "multiclass", "real"),
    "ranks": (Ends(3, nn.Softmax(dim=1)), "ordinal", "probability"),
    "probabilities of classes": (Ends(3, lambda x: x.softmax(1)), "multiclass", "probability"),
    "a sigmoid a class": (Ends(3, nn.Sigmoid()), "multiclass", "real"),
    "log-probabilities of classes": (Ends(3, nn.LogSoftmax(dim=-1)), "multiclass", "log-probability"),
    "log-probabilities of positions": (Ends(3, nn.LogSoftmax(dim=1), positions=5), "sequence", "log-probability"),
    "log-probabilities along the wrong dimension": (Ends(3, nn.LogSoftmax(dim=2), positions=5), "sequence", "real"),
}


@pytest.mark.parametrize("case", KINDS)
def test_the_kind_of_outputs_is_read_off_how_the_model_ends(case: str) -> None:
    model, task, kind = KINDS[case]
    model.eval()
    with torch.no_grad():
        outputs = model(X)
    assert output_kind(model, X, outputs, task, end_of(model, X)) == kind


def test_shapes_and_widths() -> None:
    one = profile(lambda: nn.Linear(4, 1), X, X[:, :1])
    assert (one.output_shape, one.target_shape, one.width, one.classes) == ((1,), (1,), 1.0, 0)
    two = profile(lambda: nn.Linear(4, 2), X, X[:, :1])
    assert (two.output_shape, two.target_shape, two.width) == ((2,), (1,), 2.0)
    several = profile(lambda: nn.Linear(4, 3), X, CLASSES)
    assert (several.output_shape, several.target_shape, several.width, several.classes) == ((3,), (), 1.0, 3)
    binary = profile(lambda: nn.Linear(4, 1), X, (X[:, :1] > 0).float())
    assert (binary.width, binary.classes) == (1.0, 2)


# targets -----------------------------------------------------------------------------------------------------------------------------


def test_target_facts_of_a_normal_target() -> None:
    y = 10 + 3 * normal(20_000, 1, seed=2)
    found = profile(lambda: nn.Linear(1, 1), y, y, batch_size=5_000)
    assert found.target_mad == pytest.approx(3, rel=0.03), "the robust spread is the standard deviation of a normal target"
    assert found.target_skew == pytest.approx(0, abs=0.05)
    assert found.excess_kurtosis == pytest.approx(0, abs=0.1)
    assert (found.outlier_share, found.zero_share, found.integers) == (0.0, 0.0, False)
    assert 0 < found.negative_share < 0.002
    assert found.class_counts == ()
    assert found.imbalance == 1


def test_target_facts_of_counts_with_a_tail() -> None:
    y = torch.cat([torch.zeros(300), torch.full((200,), 2.0), torch.full((90,), 5.0), torch.full((10,), 1_000.0)]).long().unsqueeze(1)
    found = profile(lambda: nn.Linear(4, 1), X, y)
    assert found.task == "count"
    assert (found.zero_share, found.negative_share, found.integers) == (0.5, 0.0, True)
    assert found.outlier_share == pytest.approx(10 / 600)
    assert found.target_skew > 5
    mean = y.double().mean()
    assert found.dispersion == pytest.approx(float(y.double().var() / mean), rel=1e-6)


def test_a_target_that_is_mostly_one_value_has_a_spread_all_the_same() -> None:
    y = torch.zeros(ROWS, 1)
    y[:60] = 5.0
    assert profile(lambda: nn.Linear(4, 1), X, y).target_mad == pytest.approx(float(y.std()))


def test_classes_are_counted_and_the_imbalance_is_the_largest_over_the_smallest() -> None:
    y = torch.tensor([0] * 500 + [1] * 80 + [3] * 20)  # no example of class 2
    found = profile(lambda: nn.Linear(4, 4), X, y)
    assert (found.class_counts, found.imbalance) == ((500, 80, 0, 20), 25)
    assert profile(lambda: nn.Linear(4, 6), X, y).class_counts == (500, 80, 0, 20, 0, 0), (
        "one count an output, whichever classes train lacks"
    )
    assert profile(lambda: nn.Linear(4, 1), X, (y > 0).float().unsqueeze(1)).class_counts == (500, 100)
    labels = torch.stack([y > 0, y > 1], dim=1).float()
    assert profile(lambda: nn.Linear(4, 2), X, labels).class_counts == (100, 20)


def test_positions_to_pass_over_are_not_counted() -> None:
    y = torch.tensor([0] * 300 + [1] * 200 + [-100] * 100)
    assert profile(lambda: nn.Linear(4, 2), X, y, ignore_index=-100).class_counts == (300, 200)


# label noise -------------------------------------------------------------------------------------------------------------------------


def blobs(classes: int = 4) -> tuple[Tensor, Tensor]:
    """Classes far apart, ROWS rows in random order."""
    y = torch.arange(ROWS) % classes
    return 20 * normal(classes, 6, seed=3)[y] + normal(ROWS, 6, seed=4), y


def test_clean_labels_have_no_noise_and_permuted_ones_are_at_chance() -> None:
    x, y = blobs()
    clean = profile(lambda: nn.Linear(6, 4), x, y).label_noise
    assert clean == 0.0
    shuffled = profile(lambda: nn.Linear(6, 4), x, y[torch.randperm(ROWS, generator=torch.Generator().manual_seed(5))]).label_noise
    assert shuffled == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_label_noise_grows_with_the_share_of_wrong_labels(share: float) -> None:
    x, y = blobs()
    wrong = torch.rand(ROWS, generator=torch.Generator().manual_seed(6)) < share
    found = profile(lambda: nn.Linear(6, 4), x, torch.where(wrong, (y + 1) % 4, y)).label_noise
    either = 2 * share * (1 - share)  # one of the two neighbours is wrong
    assert found == pytest.approx(either, abs=0.06)


def test_the_noise_of_values_is_their_share_of_the_variance() -> None:
    x = normal(2_000, 1, seed=7)
    smooth, noise = torch.sin(x), normal(2_000, 1, seed=8)
    assert profile(lambda: nn.Linear(1, 1), x, smooth).label_noise == pytest.approx(0, abs=0.01)
    share = float(0.25 / (smooth.var() + 0.25))
    assert profile(lambda: nn.Linear(1, 1), x, smooth + 0.5 * noise).label_noise == pytest.approx(share, rel=0.15)
    assert profile(lambda: nn.Linear(1, 1), x, noise).label_noise == pytest.approx(1, abs=0.1)


def test_label_noise_is_not_guessed_where_inputs_are_not_at_hand() -> None:
    class Rows(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return ROWS

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return X[index], CLASSES[index]

    data = Rows()
    problem = fallline.Problem(model=lambda: nn.Linear(4, 3), train=data, valid=data, audit=data)
    assert measure(problem, open_data(problem), CPU).label_noise is None


# parameters --------------------------------------------------------------------------------------------------------------------------


class Kinds(nn.Module):
    """One of each kind of parameter; the elements of each are in the names."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding_35 = nn.Embedding(7, 5)
        self.convolution_30 = nn.Conv1d(5, 2, 3, bias=False)
        self.norm_4 = nn.BatchNorm1d(2)
        self.matrix_8_bias_4 = nn.Linear(2, 4)
        self.layer_8 = nn.LayerNorm(4)
        self.scale_1 = nn.Parameter(torch.ones(1))
        self.frozen_12 = nn.Linear(4, 3, bias=False).requires_grad_(False)
        self.head_3 = nn.Linear(3, 1, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.norm_4(self.convolution_30(self.embedding_35(tokens).transpose(1, 2))).mean(2)
        return self.head_3(self.frozen_12(self.layer_8(self.matrix_8_bias_4(x)) * self.scale_1))  # type: ignore[no-any-return]


def test_parameters_are_told_apart() -> None:
    tokens = torch.randint(0, 7, (ROWS, 6), generator=torch.Generator().manual_seed(1))
    found = profile(Kinds, tokens, X[:, :1])
    assert (found.embeddings, found.convolutions, found.matrices, found.vectors) == (35, 30, 8 + 3, 4 + 4 + 8 + 1)
    assert found.trainable == 35 + 30 + 11 + 17
    assert found.parameters == found.trainable + 12
    assert found.normalisation == ("batch", "layer")
    assert (found.recurrent, found.attention, found.dropout) == (False, False, False)
    assert found.model_kind == "cnn"


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(1)
        return self.head(self.mix(x, x, x)[0].squeeze(1))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 6)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.cell(x)))  # type: ignore[no-any-return]


def test_kinds_of_layers_are_seen() -> None:
    attending, recurrent = profile(Attending, X, X[:, :1]), profile(Recurrent, X, X[:, :1])
    assert (attending.attention, attending.recurrent, attending.dropout, attending.model_kind) == (True, False, False, "transformer")
    assert (recurrent.attention, recurrent.recurrent, recurrent.dropout, recurrent.model_kind) == (False, True, True, "recurrent")
    silent = profile(lambda: nn.Sequential(nn.Linear(4, 1), nn.Dropout(0.0)), X, X[:, :1])
    assert (silent.dropout, silent.model_kind) == (False, "mlp")


# cost --------------------------------------------------------------------------------------------------------------------------------


def test_the_work_of_a_step_is_counted_not_timed() -> None:
    def net() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 64, bias=False), nn.Linear(64, 1, bias=False))

    found = profile(net, X, X[:, :1])
    forward = 2 * 50 * (4 * 64 + 64)
    first_layer_needs_no_input_gradient = 2 * 50 * 4 * 64
    assert found.flops_per_step == 3 * forward - first_layer_needs_no_input_gradient
    assert profile(net, X, X[:, :1], accumulate=4).flops_per_step == 4 * found.flops_per_step
    assert profile(net, X, X[:, :1], batch_size=100).flops_per_step == 2 * found.flops_per_step


def test_time_and_memory_are_plausible() -> None:
    found = profile(lambda: nn.Sequential(nn.Linear(4, 256), nn.ReLU(), nn.Linear(256, 1)), X, X[:, :1])
    assert 0 < found.step_s < 1
    assert 0 < found.eval_s < 1
    weights = 4 * found.parameters  # bytes of float32
    assert 4 * weights < found.memory < 4 * weights + 4 * 50 * 3 * (256 + 256 + 1)
    assert (found.rows, found.batch_size, found.batches_per_epoch) == (ROWS, 50, ROWS // 50)


def test_measuring_changes_neither_a_given_module_nor_the_figures_of_the_next_measurement() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    first, second = profile(module, X, X[:, :1]), profile(module, X, X[:, :1])
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    timed = ("step_s", "eval_s")
    assert {k: v for k, v in vars(first).items() if k not in timed} == {k: v for k, v in vars(second).items() if k not in timed}


# refusals ----------------------------------------------------------------------------------------------------------------------------


class Logarithm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).log()  # type: ignore[no-any-return]


def with_one(value: float, x: Tensor) -> Tensor:
    """A copy in which the last element is `value`."""
    changed = x.clone()
    changed.view(-1)[-1] = value
    return changed


REFUSED: dict[str, tuple[Any, Any, Tensor, dict[str, Any], tuple[str, ...]]] = {
    "no parameters": (nn.Flatten, X, X[:, :1], {}, ("no parameters", "assigned to self")),
    "all frozen": (lambda: nn.Linear(4, 1).requires_grad_(False), X, X[:, :1], {}, ("no trainable", "requires_grad")),
    "NaN at the start": (Logarithm, X, X[:, :1], {}, ("NaN or inf", "initial weights")),
    "a forward that raises": (lambda: nn.Linear(9, 1), X, X[:, :1], {}, ("model raised RuntimeError", "(256, 4) float32")),
    "several outputs as a tuple": (lambda: nn.RNN(4, 1), X, X[:, :1], {}, ("one tensor", "tuple")),
    "a column against a row": (lambda: nn.Linear(4, 1), X, X[:, 0], {}, ("N x N", "target.unsqueeze(1)")),
    "a row against a column": (lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), X, X[:, :1], {}, ("N x N", "output.squeeze(1)")),
    "too many outputs": (lambda: nn.Linear(4, 3), X, X[:, :1], {}, ("(N, 3)", "(N, 1)", "one output per target")),
    "fewer outputs than classes": (lambda: nn.Linear(4, 2), X, CLASSES, {}, ("2 outputs", "class 2", "give it 3 outputs")),
    "classes as floats": (lambda: nn.Linear(4, 3), X, CLASSES.float(), {}, ("3 outputs", "target.long()", "task='regression'")),
    "two classes as floats": (lambda: nn.Linear(4, 2), X, (X[:, 0] > 0).float(), {}, ("2 outputs", "target.long()")),
    "classes as floats of a task that was said": (
        lambda: nn.Linear(4, 3), X, CLASSES.float(), {"task": "multiclass"}, ("whole numbers", "torch.float32", "target.long()"),
    ),
    "a class below zero": (lambda: nn.Linear(4, 3), X, CLASSES - 1, {}, ("zero or more", "-1", "ignore_index")),
    "classes one-hot": (
        lambda: nn.Linear(4, 3), X, nn.functional.one_hot(CLASSES), {"task": "multiclass"}, ("(N, classes) against (N,)", "(N, 3)"),
    ),
    "a constant target": (lambda: nn.Linear(4, 1), X, torch.full((ROWS, 1), 2.5), {}, ("constant (2.5)", "check the target")),
    "one class": (lambda: nn.Linear(4, 3), X, torch.zeros(ROWS, dtype=torch.long), {}, ("one class", "check the target")),
    "one class of yes and no": (lambda: nn.Linear(4, 1), X, torch.ones(ROWS, 1), {}, ("are 1, one class", "check the target")),
    "classes in the last dimension": (
        lambda: nn.Linear(4, 3), X.reshape(-1, 2, 4), CLASSES.reshape(-1, 2), {}, ("3 outputs", "(N, classes, ...)", "movedim(-1, 1)"),
    ),
    "valid of another width": (lambda: nn.Linear(4, 1), X, X[:, :1], {"valid": (X[:, :3], X[:, :1])}, ("valid: the model", "(256, 3)")),
    "audit with more targets": (lambda: nn.Linear(4, 1), X, X[:, :1], {"audit": (X, X[:, :3])}, ("audit: ", "one output per target")),
    "audit with targets in a row": (lambda: nn.Linear(4, 1), X, X[:, :1], {"audit": (X, X[:, 0])}, ("audit: ", "(N)", "train (N, 1)")),
    "valid with a class too many": (lambda: nn.Linear(4, 3), X, CLASSES, {"valid": (X, CLASSES + 1)}, ("valid: ", "class 3", "4 outputs")),
    "NaN in the last input": (lambda: nn.Linear(4, 1), with_one(math.nan, X), X[:, :1], {}, ("NaN or inf", f"1 of {ROWS}")),
    "inf in the last target": (lambda: nn.Linear(4, 1), X, with_one(math.inf, X[:, :1]), {}, ("NaN or inf", f"1 of {ROWS}")),
    "whole numbers as inputs": (lambda: nn.Linear(4, 1), WHOLE.unsqueeze(1).repeat(1, 4), X[:, :1], {}, ("model raised", "int64")),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_on_is_refused_with_what_to_do(case: str) -> None:
    model, inputs, target, given, words = REFUSED[case]
    with pytest.raises(RefusedError) as caught:
        profile(model, inputs, target, **given)
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_own_loss_may_take_shapes_that_differ_and_torchs_own_may_not() -> None:
    def squeezed(output: Tensor, target: Tensor) -> Tensor:
        return nn.functional.mse_loss(output.squeeze(1), target)

    assert profile(lambda: nn.Linear(4, 1), X, X[:, 0], loss=squeezed).task == "regression"
    for loss in (nn.MSELoss(), nn.functional.mse_loss):
        with pytest.raises(RefusedError, match="N x N"):
            profile(lambda: nn.Linear(4, 1), X, X[:, 0], loss=loss)
