"""Losses beyond torch equal their formulas, written out slowly, and those of well-kept libraries in value and gradient."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fallline import catalogue
from fallline._errors import UsageError
from fallline._judge import Judge
from fallline._profile import Profile
from fallline._ranking import ranked_losses, why_not
from fallline.catalogue import SET_ASIDE, LossFunction
from fallline.metrics import named
from fallline.testing.losses import draw, profile, settings_for

SEEDS = st.integers(0, 2**32)


def built(name: str, **settings: object) -> LossFunction:
    """A loss with its defaults and these settings."""
    entry = catalogue.loss(name)
    function = entry.build({**entry.defaults(), **settings})
    return function.double() if isinstance(function, nn.Module) else function


def drawn(name: str, task: str, seed: int) -> tuple[Tensor, Tensor]:
    """The last shape of outputs and targets that a task has, in float64."""
    return list(draw(catalogue.loss(name), task, seed, torch.float64))[-1]


def gradient(loss: LossFunction, output: Tensor, target: Tensor) -> Tensor:
    leaf = output.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf, target), leaf)[0]


def right(output: Tensor, target: Tensor) -> Tensor:
    """The probability of the right class."""
    return output.softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)


# None is forgotten -------------------------------------------------------------------------------------------------------------------


def test_every_loss_of_torch_is_an_entry_or_set_aside_with_the_reason() -> None:
    entries = " ".join(entry.source for entry in catalogue.all_losses().values())
    here = set(re.findall(r"torch\.nn\.(\w+)", entries))
    aside = {known.title.removeprefix("torch.nn.") for known in SET_ASIDE if known.title.startswith("torch.nn.")}
    known = set(torch.nn.modules.loss.__all__)
    assert here | aside >= known, f"neither entry nor set aside: {sorted(known - here - aside)}"
    assert not here & aside
    assert here <= known


def test_what_is_set_aside_is_no_entry_and_says_why_when_it_is_asked_for() -> None:
    taken = {*catalogue.all_losses(), *catalogue.all_optimizers()}
    taken |= {alias for _, entry in catalogue.all_entries() for alias in entry.aliases}
    for known in SET_ASIDE:
        assert known.name not in taken
        with pytest.raises(UsageError, match=re.escape(known.why)):
            (catalogue.loss if known.kind == "loss" else catalogue.optimizer)(known.name)


def test_losses_said_to_be_another_are_that_other() -> None:
    output, target = drawn("bce_with_logits", "multilabel", 0)
    plain = built("bce_with_logits")(output, target)
    torch.testing.assert_close(nn.SoftMarginLoss()(output, 2 * target - 1), plain)
    torch.testing.assert_close(nn.MultiLabelSoftMarginLoss()(output, target), plain)
    output, target = drawn("nll", "multiclass", 0)
    certain = nn.functional.one_hot(target, output.shape[1]).double()
    torch.testing.assert_close(nn.KLDivLoss(reduction="batchmean")(output, certain), built("nll")(output, target))


def test_a_loss_on_request_is_tried_only_where_it_is_named() -> None:
    asked = {name for name, entry in catalogue.all_losses().items() if entry.on_request}
    assert asked
    for name in asked:
        entry = catalogue.loss(name)
        fits = profile(entry, next(task for task in entry.tasks if task not in entry.told_by))
        judge = Judge(named("accuracy"), fits.task, "real")
        assert entry.applies(fits) == ""
        assert name not in {ranked.name for ranked in ranked_losses(fits, judge)}
        assert why_not(fits)[name] == entry.on_request
        for task in entry.told_by:
            assert name in {ranked.name for ranked in ranked_losses(profile(entry, task), judge)}


# Classes -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["multiclass", "sequence"])
@given(seed=SEEDS, ignore=st.sampled_from([-100, 0, 3]))
def test_losses_of_the_right_class_are_their_formulas(task: str, seed: int, ignore: int) -> None:
    formulas = {
        "poly1": lambda p: -p.log() + 1.0 * (1 - p),
        "generalized_ce": lambda p: (1 - p**0.7) / 0.7,
        "symmetric_ce": lambda p: -0.1 * p.log() + 1.0 * 4.0 * (1 - p),
    }
    for name, formula in formulas.items():
        output, target = drawn(name, task, seed)
        wanted = formula(right(output, target)[target != ignore]).mean()
        torch.testing.assert_close(built(name, ignore_index=ignore)(output, target), wanted, rtol=1e-9, atol=1e-12)


@given(seed=SEEDS)
def test_the_reverse_of_symmetric_cross_entropy_is_cross_entropy_with_both_sides_changed(seed: int) -> None:
    output, target = drawn("symmetric_ce", "multiclass", seed)
    truth = nn.functional.one_hot(target, output.shape[1]).double()
    reverse = -(output.softmax(1) * truth.log().clamp(min=-4.0)).sum(1).mean()  # log 0 is taken as -4
    torch.testing.assert_close(built("symmetric_ce", alpha=0.0, beta=1.0)(output, target), reverse)


@given(seed=SEEDS, q=st.floats(1e-6, 1.0))
def test_generalized_cross_entropy_lies_between_cross_entropy_and_the_error(seed: int, q: float) -> None:
    output, target = drawn("generalized_ce", "multiclass", seed)
    p = right(output, target)
    assert (1 - p).mean() - 1e-9 <= built("generalized_ce", q=q)(output, target) <= -p.log().mean() + 1e-9


@given(seed=SEEDS, ignore=st.sampled_from([-100, 2]))
def test_margins_of_torch_and_of_the_paper(seed: int, ignore: int) -> None:
    output, target = drawn("multi_margin", "multiclass", seed)
    kept = target != ignore
    torch.testing.assert_close(built("multi_margin", ignore_index=ignore)(output, target), nn.MultiMarginLoss()(output[kept], target[kept]))
    output, target = drawn("multilabel_margin", "multilabel", seed)
    lists = torch.full_like(target, -1).long()
    for row, line in enumerate(target):
        found = line.nonzero().flatten()
        lists[row, : len(found)] = found
    ours, theirs = built("multilabel_margin"), nn.MultiLabelMarginLoss()
    torch.testing.assert_close(ours(output, target), theirs(output, lists))
    torch.testing.assert_close(gradient(ours, output, target), gradient(theirs, output, lists))


def test_effective_numbers_level_off() -> None:
    entry = catalogue.loss("class_balanced")
    weight = settings_for(entry, "multiclass", {"beta": 0.9, "weight": None})["weight"]
    assert isinstance(weight, list)
    effective = [(1 - 0.9**count) / (1 - 0.9) for count in (50, 30, 15, 5)]
    assert [weight[0] / each for each in weight] == pytest.approx([number / effective[0] for number in effective])


@given(seed=SEEDS)
def test_adjusted_logits_fit_train_by_adding_what_the_shares_say(seed: int) -> None:
    entry = catalogue.loss("logit_adjusted")
    shares = settings_for(entry, "multiclass", {"tau": 1.0, "shares": None, "ignore_index": -100})["shares"]
    assert shares == pytest.approx([0.5, 0.3, 0.15, 0.05])
    for task in ("multiclass", "sequence"):
        output, target = drawn("logit_adjusted", task, seed)
        odds = output.exp() * torch.tensor(shares, dtype=torch.float64).reshape(1, -1, *[1] * (output.ndim - 2))
        wanted = -(odds / odds.sum(1, keepdim=True)).gather(1, target.unsqueeze(1)).log().mean()
        torch.testing.assert_close(built("logit_adjusted", shares=shares)(output, target), wanted)


@given(seed=SEEDS)
def test_corn_asks_whether_the_class_is_higher_only_where_the_question_arises(seed: int) -> None:
    output, target = drawn("corn", "multiclass", seed)
    total, asked = torch.zeros(()).double(), 0
    for row, number in zip(output.tolist(), target.tolist(), strict=True):
        for k in range(min(number + 1, len(row) - 1)):
            p = 1 / (1 + math.exp(-row[k]))
            total, asked = total - math.log(p if number > k else 1 - p), asked + 1
    torch.testing.assert_close(built("corn")(output, target), total / asked)
    link = catalogue.loss("corn").link
    assert link is not None
    torch.testing.assert_close(link(output).exp().sum(1), torch.ones(len(output)).double())
    above = torch.cat([torch.ones(len(output), 1).double(), output[:, :-1].sigmoid().cumprod(1)], dim=1)
    torch.testing.assert_close(link(output).exp().flip(1).cumsum(1).flip(1), above)


@given(seed=SEEDS)
def test_the_squared_distance_is_that_of_the_two_sums(seed: int) -> None:
    output, target = drawn("squared_emd", "multiclass", seed)
    wanted = 0.0
    for row, number in zip(output.softmax(1).numpy(), target.tolist(), strict=True):
        wanted += float(((np.cumsum(row) - (np.arange(len(row)) >= number)) ** 2).sum())
    assert float(built("squared_emd")(output, target)) == pytest.approx(wanted / len(target))


# Yes or no, and overlap --------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, gamma=st.floats(0.0, 3.0))
def test_the_asymmetric_loss_is_its_formula_and_focal_without_its_asymmetry(seed: int, gamma: float) -> None:
    output, target = drawn("asymmetric", "multilabel", seed)
    p = output.sigmoid()
    moved = (p - 0.05).clamp(min=0)
    wanted = -(target * (1 - p) * p.log() + (1 - target) * moved**4 * (1 - moved).log()).mean()
    torch.testing.assert_close(built("asymmetric")(output, target), wanted, rtol=1e-6, atol=1e-9)
    plain = built("asymmetric", gamma_neg=gamma, gamma_pos=gamma, shift=0.0)(output, target)
    torch.testing.assert_close(plain, built("focal", gamma=gamma)(output, target), rtol=1e-6, atol=1e-9)


@given(seed=SEEDS)
def test_dice_is_one_minus_a_soft_f1_of_each_class(seed: int) -> None:
    output, target = drawn("dice", "sequence", seed)
    p = output.softmax(1)
    classes = output.shape[1]
    scores = [2 * p[:, c][target == c].sum() / (p[:, c].sum() + (target == c).sum()) for c in range(classes)]
    torch.testing.assert_close(built("dice", smooth=1e-12)(output, target), 1 - torch.stack(scores).mean())
    both = built("cross_entropy")(output, target) + 2 * built("dice")(output, target)
    torch.testing.assert_close(built("dice_ce", dice_weight=2.0)(output, target), both)
    overlap = built("tversky", false_positives=1.0, false_negatives=1.0, smooth=1e-12)(output, target)
    unions = [p[:, c].sum() + (target == c).sum() - p[:, c][target == c].sum() for c in range(classes)]
    inter = [p[:, c][target == c].sum() for c in range(classes)]
    torch.testing.assert_close(overlap, 1 - torch.stack([i / u for i, u in zip(inter, unions, strict=True)]).mean())


@given(seed=SEEDS)
def test_losses_of_overlap_pass_over_what_is_ignored(seed: int) -> None:
    for name in ("dice", "tversky", "dice_ce", "lovasz"):
        output, target = drawn(name, "sequence", seed)
        hidden = target.where(torch.arange(target.shape[1]) > 0, -1)
        torch.testing.assert_close(
            built(name, ignore_index=-1)(output, hidden), built(name, ignore_index=-1)(output[:, :, 1:], target[:, 1:])
        )


@given(seed=SEEDS)
def test_the_lovasz_loss_is_the_jaccard_index_where_errors_are_whole(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(20, generator=generator) < 0.4).double()
    said = torch.where(torch.rand(20, generator=generator) < 0.3, 1 - target, target)
    if not (target.any() and (said != target).any()):
        return
    jaccard = float((said * target).sum() / (said + target).clamp(max=1).sum())
    # logits of 1 where it is right (hinge 0) and of 0 where it is wrong (hinge 1)
    logits = (2 * target - 1).where(said == target, 0.0)
    assert float(built("lovasz")(logits, target)) == pytest.approx(1 - jaccard)
    sure = torch.stack([1 - said, said], dim=1) * 60 - 30  # softmax errors of zero or one
    inverse = float(((1 - said) * (1 - target)).sum() / (2 - said - target).clamp(max=1).sum())
    assert float(built("lovasz")(sure, target.long())) == pytest.approx(1 - (jaccard + inverse) / 2)


# Values and distributions ------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, scale=st.floats(0.1, 10.0))
def test_log_cosh_is_its_formula(seed: int, scale: float) -> None:
    output, target = drawn("log_cosh", "regression", seed)
    wanted = scale**2 * ((output - target) / scale).cosh().log().mean()
    torch.testing.assert_close(built("log_cosh", scale=scale)(output, target), wanted)


@given(seed=SEEDS, power=st.floats(1.05, 1.95))
def test_tweedie_is_half_the_deviance_up_to_a_constant(seed: int, power: float) -> None:
    output, target = drawn("tweedie", "count", seed)

    def deviance(s: Tensor, y: Tensor) -> Tensor:
        m = s.exp()
        parts = y ** (2 - power) / ((1 - power) * (2 - power)) - y * m ** (1 - power) / (1 - power) + m ** (2 - power) / (2 - power)
        return parts.mean()

    torch.testing.assert_close(
        gradient(built("tweedie", power=power), output, target), gradient(deviance, output, target), rtol=1e-8, atol=1e-12
    )


@given(seed=SEEDS, dispersion=st.floats(0.05, 5.0))
def test_the_negative_binomial_is_a_likelihood_up_to_a_constant(seed: int, dispersion: float) -> None:
    output, target = drawn("negative_binomial", "count", seed)
    loss = built("negative_binomial", dispersion=dispersion)

    def likelihood(s: Tensor) -> float:
        m = s.exp().numpy()
        return -float(scipy.stats.nbinom.logpmf(target.numpy(), 1 / dispersion, 1 / (1 + dispersion * m)).mean())

    moved = output + 0.3
    assert float(loss(output, target) - loss(moved, target)) == pytest.approx(likelihood(output) - likelihood(moved), rel=1e-6, abs=1e-9)


@given(seed=SEEDS, beta=st.floats(0.0, 1.0))
def test_beta_nll_has_the_gradients_of_the_paper(seed: int, beta: float) -> None:
    output, target = drawn("beta_nll", "regression", seed)
    mean, raw = output.chunk(2, dim=-1)
    variance = nn.functional.softplus(raw) + 1e-6
    error = (mean - target) / variance
    on_mean = variance**beta * error  # equation 7
    on_variance = variance**beta * 0.5 * (1 / variance - error**2) * raw.sigmoid()
    wanted = torch.cat([on_mean, on_variance], dim=-1) / target.numel()
    torch.testing.assert_close(gradient(built("beta_nll", beta=beta), output, target), wanted)
    plain = gradient(built("gaussian_nll"), output, target)
    torch.testing.assert_close(gradient(built("beta_nll", beta=0.0), output, target), plain)


@given(mean=st.floats(-3, 3), raw=st.floats(-1, 3), target=st.floats(-5, 5))
def test_the_crps_is_the_area_between_the_distribution_and_the_step(mean: float, raw: float, target: float) -> None:
    deviation = math.log1p(math.exp(raw)) + 1e-3

    def squared(x: float) -> float:
        return float((scipy.stats.norm.cdf(x, mean, deviation) - (x >= target)) ** 2)

    low, high = min(mean - 12 * deviation, target - 1), max(mean + 12 * deviation, target + 1)
    area = scipy.integrate.quad(squared, low, target)[0] + scipy.integrate.quad(squared, target, high)[0]
    ours = built("crps_gaussian")(torch.tensor([[mean, raw]]).double(), torch.tensor([[target]]).double())
    assert float(ours) == pytest.approx(area, abs=1e-6)


def test_losses_of_amounts_refuse_what_their_logarithm_cannot_take() -> None:
    for name in ("tweedie", "negative_binomial"):
        entry = catalogue.loss(name)
        fits = vars(profile(entry, "count"))
        assert "25.0% are negative" in entry.applies(Profile(**{**fits, "negative_share": 0.25}))
        assert "standardised" in entry.applies(Profile(**{**fits, "target_scaled": True}))
    with pytest.raises(UsageError, match=r"power must be above 1, got 1\.0"):
        catalogue.loss("tweedie").check({"power": 1.0})


# Libraries ---------------------------------------------------------------------------------------------------------------------------


def same(ours: LossFunction, theirs: LossFunction, output: Tensor, target: Tensor, tolerance: float = 1e-6) -> None:
    torch.testing.assert_close(ours(output, target), theirs(output, target), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient(ours, output, target), gradient(theirs, output, target), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("seed", range(3))
def test_losses_equal_those_of_pytorch_optimizer(seed: int) -> None:
    theirs = pytest.importorskip("pytorch_optimizer.loss", reason='needs the extra: pip install "fallline[optimizers]"')
    output, target = drawn("tversky", "binary", seed)
    smooth = 1e-6 / len(target)  # theirs counts places, ours shares of them
    same(built("tversky", smooth=smooth), theirs.TverskyLoss(alpha=0.3, beta=0.7), output, target)
    same(built("lovasz"), theirs.LovaszHingeLoss(per_image=False), output, target)
    output, target = drawn("dice", "sequence", seed)
    same(built("dice", smooth=1e-12), theirs.DiceLoss(mode="multiclass"), output, target)
    output, target = drawn("ldam", "multiclass", seed)
    margin = settings_for(catalogue.loss("ldam"), "multiclass", {**catalogue.loss("ldam").defaults()})["margin"]
    same(built("ldam", margin=margin, scale=30.0), theirs.LDAMLoss([50, 30, 15, 5], s=30.0), output, target)


@pytest.mark.filterwarnings("ignore")  # theirs, when it is imported
@pytest.mark.parametrize("seed", range(3))
def test_losses_equal_those_of_monai(seed: int) -> None:
    theirs = pytest.importorskip("monai.losses", reason="MONAI is not installed, against which Dice and Tversky are compared")
    output, target = drawn("dice", "sequence", seed)
    smooth = 1e-5 / target.numel()
    as_theirs = {"to_onehot_y": True, "softmax": True, "batch": True}

    def with_channel(loss: nn.Module) -> LossFunction:
        return lambda o, t: loss(o, t.unsqueeze(1))

    # they add the smoothing to twice the overlap, ours to the overlap itself
    same(built("dice", smooth=smooth / 2), with_channel(theirs.DiceLoss(**as_theirs)), output, target)
    same(built("tversky", smooth=smooth), with_channel(theirs.TverskyLoss(alpha=0.3, beta=0.7, **as_theirs)), output, target)
    same(built("dice_ce", smooth=smooth / 2), with_channel(theirs.DiceCELoss(**as_theirs)), output, target)


@pytest.mark.parametrize("seed", range(3))
def test_corn_equals_that_of_its_authors(seed: int) -> None:
    theirs = pytest.importorskip("coral_pytorch.losses", reason="coral_pytorch is not installed, against which CORN is compared")
    output, target = drawn("corn", "multiclass", seed)
    same(built("corn"), lambda o, t: theirs.corn_loss(o[:, :-1], t, o.shape[1]), output, target)


@pytest.mark.parametrize("name", ["dice", "dice_ce", "tversky", "lovasz"])
@given(seed=SEEDS)
def test_a_mask_counts_alike_with_a_channel_and_without(name: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
    target = (torch.rand(3, 5, 4, generator=generator) < 0.4).double()
    loss = built(name)
    plain = loss(output, target)
    torch.testing.assert_close(loss(output.unsqueeze(1), target.unsqueeze(1)), plain)
    torch.testing.assert_close(loss(output.flatten(), target.flatten()), plain)
    torch.testing.assert_close(gradient(loss, output, target).flatten(), gradient(loss, output.flatten(), target.flatten()))
