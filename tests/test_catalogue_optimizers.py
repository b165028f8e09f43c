"""None of torch is forgotten; Muon equals torch's own at bfloat16's precision, its other half equals AdamW, and clips keep their bounds."""

from __future__ import annotations

import re
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fallline import catalogue
from fallline._errors import UsageError
from fallline.catalogue import SET_ASIDE
from fallline.catalogue.optimizers import fastest, torch_groups
from fallline.catalogue.optimizers._muon import POLYNOMIALS, MuonAdamW, muon_scale, orthogonalised
from fallline.catalogue.optimizers._muon_lanes import orthogonalised_lanes
from fallline.testing import losses
from fallline.testing.clips import gradients, start

BFLOAT16 = 2**-8  # its relative precision; five Newton-Schulz steps multiply it by a few


def trained(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], steps: int = 10) -> None:
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        optimizer.step()


def matrices(dtype: torch.dtype = torch.float32) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for shape in ((16, 8), (8, 16), (12, 12))]


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_equals_the_one_of_torch_at_the_precision_of_bfloat16(adjust: str, nesterov: bool) -> None:
    ours, theirs, before = matrices(), matrices(), matrices()
    trained(MuonAdamW([{"params": ours, "kind": "matrix"}], lr=0.01, weight_decay=0.1, nesterov=nesterov, adjust=adjust), ours)
    trained(torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, nesterov=nesterov, adjust_lr_fn=adjust), theirs)
    for one, other, old in zip(ours, theirs, before, strict=True):
        assert (one - other).norm() / (one - old).norm() < 10 * BFLOAT16


def test_what_is_no_matrix_follows_adamw() -> None:
    ours, theirs = matrices(torch.float64), matrices(torch.float64)
    trained(MuonAdamW([{"params": ours, "kind": "other"}], lr=0.01, weight_decay=0.1, betas=(0.8, 0.95), eps=1e-3), ours)
    trained(torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.1, betas=(0.8, 0.95), eps=1e-3), theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_groups_say_which_rule_they_follow_and_keep_it_through_a_checkpoint() -> None:
    weight, bias = torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.ones(3))
    groups = [{"params": [weight], "decay": True, "kind": "matrix"}, {"params": [bias], "decay": False, "kind": "other"}]
    entry = catalogue.optimizer("muon")
    optimizer, resumed = entry.build(groups, entry.defaults()), entry.build(groups, entry.defaults())
    trained(optimizer, [weight, bias], steps=2)
    resumed.load_state_dict(optimizer.state_dict())
    assert [group["algo"] for group in resumed.param_groups] == ["muon", "adamw"]
    assert [group["weight_decay"] for group in resumed.param_groups] == [0.1, 0.0]
    assert {len(resumed.state[weight]), len(resumed.state[bias])} == {1, 3}


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_orthogonalised_keeps_the_directions_and_evens_out_their_lengths(seed: int, rows: int, columns: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    result = orthogonalised(matrix, 5)
    assert result.shape == matrix.shape
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ result @ v.T
    lengths = inside.diagonal()
    torch.testing.assert_close(inside, torch.diag(lengths), rtol=0, atol=1e-7)  # the same singular vectors
    large = values > 0.02 * values.norm()  # five steps lift a direction of 2 % of the whole; smaller ones are still on their way
    assert ((lengths[large] > 0.5) & (lengths[large] < 1.3)).all()


@pytest.mark.parametrize("polynomial", sorted(POLYNOMIALS))
def test_lanes_are_orthogonalised_as_each_alone(polynomial: str) -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((5, 3), (3, 5), (4, 4), (1, 6), (6, 1)):
        lanes = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
        alone = torch.stack([orthogonalised(matrix, 3, polynomial) for matrix in lanes])
        torch.testing.assert_close(orthogonalised_lanes(lanes, 3, polynomial), alone, rtol=1e-10, atol=1e-12)


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_polar_express_keeps_the_directions_lifts_the_small_ones_at_once_and_ends_at_one(seed: int, rows: int, columns: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ orthogonalised(matrix, 2, "polar_express") @ v.T
    lengths = inside.diagonal()
    torch.testing.assert_close(inside, torch.diag(lengths), rtol=0, atol=1e-7)  # the same singular vectors
    assert ((lengths > 0) & (lengths < 2)).all()  # on their way: within twice what they shall be
    before = values / values.pow(4).sum().pow(0.25)
    small = before < 0.02
    assert (lengths[small] > 25 * before[small]).all()  # the slope of two steps is 34, that of two of Jordan's 12
    done = torch.linalg.svdvals(orthogonalised(matrix, 10, "polar_express"))
    assert (done[before > 1e-3] - 1).abs().max() < 1e-6


@pytest.mark.parametrize("polynomial", sorted(POLYNOMIALS))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_no_size_of_gradient_and_no_short_dtype_makes_a_step_of_muon_blow_up(dtype: torch.dtype, polynomial: str) -> None:
    draw = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    for scale in (0.0, 1e-4, 1.0, 20.0, 1e9 if dtype is torch.float32 else 100.0):
        lengths = torch.linalg.svdvals(orthogonalised((draw * scale).to(dtype), 6, polynomial).float())
        assert lengths.isfinite().all()
        assert lengths.max() < 1.4
        assert scale == 0.0 or lengths.max() > 0.6


def test_a_checkpoint_from_before_there_were_two_polynomials_goes_on_with_the_one_it_had() -> None:
    weight, bias = torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.ones(3))
    groups = [{"params": [weight], "kind": "matrix"}, {"params": [bias], "kind": "other"}]
    optimizer, resumed = MuonAdamW(groups), MuonAdamW(groups)
    trained(optimizer, [weight, bias], steps=2)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        del group["polynomial"]
    state["state"][1]["step"] = state["state"][1]["step"].double()
    resumed.load_state_dict(state)
    trained(resumed, [weight, bias], steps=1)
    assert {group["polynomial"] for group in resumed.param_groups} == {"jordan"}
    assert resumed.state[bias]["step"] == 3


def test_a_convolution_is_read_as_outputs_times_everything_else() -> None:
    kernel, flat = torch.nn.Parameter(torch.randn(6, 3, 2, 2)), torch.nn.Parameter(torch.empty(6, 12))
    flat.data.copy_(kernel.detach().flatten(1))
    for parameter in (kernel, flat):
        optimizer = MuonAdamW([{"params": [parameter], "kind": "matrix"}], lr=0.1)
        for step in range(3):
            parameter.grad = torch.randn(6, 12, generator=torch.Generator().manual_seed(step)).view_as(parameter)
            optimizer.step()
    assert torch.equal(kernel.detach().flatten(1), flat.detach())
    assert muon_scale(kernel.shape, "match_rms_adamw") == muon_scale(flat.shape, "match_rms_adamw")


def test_a_cautious_step_waits_where_it_disagrees_with_the_gradient_and_is_adamw_where_none_does() -> None:
    entry = catalogue.optimizer("cautious_adamw")
    settings = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1}
    (ours,), (theirs,) = ([torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0, 4.0]).double())] for _ in range(2))
    cautious = entry.build([{"params": [ours], "decay": True}], settings)
    plain = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.1)
    for gradient in ([1.0, -1.0, 2.0, 0.5], [2.0, -1.0, 1.0, 0.25]):
        for parameter, optimizer in ((ours, cautious), (theirs, plain)):
            parameter.grad = torch.tensor(gradient).double()
            optimizer.step()
        torch.testing.assert_close(ours, theirs)
    before = theirs.detach().clone()
    for parameter, optimizer in ((ours, cautious), (theirs, plain)):
        parameter.grad = torch.tensor([-0.1, -1.0, 1.0, 1.0]).double()  # the first has turned, its momentum has not
        optimizer.step()
    kept = before * (1 - 0.01 * 0.1)
    wanted = kept + (theirs.detach() - kept) * torch.tensor([0.0, 4 / 3, 4 / 3, 4 / 3])
    torch.testing.assert_close(ours.detach(), wanted)


def test_every_optimizer_of_torch_is_an_entry_or_set_aside_with_the_reason() -> None:
    known = {
        name
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
    }
    entries = " ".join(f"{entry.source} {entry.title}" for entry in catalogue.all_optimizers().values())
    here = {name for name in known if re.search(rf"\b{name}\b", entries)}
    aside = {entry.title.removeprefix("torch.optim.") for entry in SET_ASIDE if entry.kind == "optimizer"}
    assert here | aside >= known, f"neither entry nor set aside: {sorted(known - here - aside)}"


@pytest.mark.parametrize("name", [name for name, entry in catalogue.all_optimizers().items() if entry.package])
def test_an_optimizer_of_an_absent_package_says_how_to_get_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = catalogue.optimizer(name)
    monkeypatch.setitem(sys.modules, entry.package, None)
    with pytest.raises(UsageError, match=re.escape('pip install "fallline[optimizers]"')):
        entry.build([{"params": matrices(), "decay": True, "kind": "matrix"}], entry.defaults())
    monkeypatch.setattr(catalogue, "find_spec", lambda package: None)
    profile = losses.profile(catalogue.loss("mse"), "regression")
    assert 'pip install "fallline[optimizers]"' in entry.applies(profile)


def test_the_fastest_form_is_asked_for_where_the_class_has_it() -> None:
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(2))]}]
    assert fastest(torch.optim.AdamW, parameters) == {"fused": True}
    assert fastest(torch.optim.Adamax, parameters) == {"foreach": True}
    assert fastest(torch.optim.Muon, parameters) == {}
    assert fastest(torch.optim.AdamW, [{"params": [torch.nn.Parameter(torch.zeros(2, dtype=torch.complex64))]}]) == {"foreach": True}


def test_groups_without_decay_get_none_and_lose_our_own_words() -> None:
    groups = torch_groups([{"params": [], "decay": True, "kind": "matrix"}, {"params": [], "decay": False, "kind": "other"}], 0.1)
    assert groups == [{"params": [], "weight_decay": 0.1}, {"params": [], "weight_decay": 0.0}]


def test_a_plain_adamw_is_exactly_the_one_of_torch() -> None:
    entry = catalogue.optimizer("adamw")
    ours = entry.build([{"params": matrices(), "decay": True, "kind": "other"}], entry.defaults())
    theirs = torch.optim.AdamW(matrices(), fused=True)
    assert ours.defaults == {**theirs.defaults}


@pytest.mark.parametrize(
    ("name", "setting", "value"), [("adamw", "lr", 0.0), ("adamw", "lr", -0.1), ("muon", "adjust", "rms"), ("muon", "nesterov", 1)]
)
def test_impossible_settings_are_refused(name: str, setting: str, value: object) -> None:
    with pytest.raises(UsageError, match=setting):
        catalogue.optimizer(name).check({setting: value})


@given(seed=st.integers(0, 2**32), scale=st.floats(1e-3, 1e6), bound=st.floats(1e-3, 1e3))
def test_clips_hold_their_bounds(seed: int, scale: float, bound: float) -> None:
    parameters = start(seed, scale)
    by_norm = catalogue.clip("norm").build({"max_norm": bound})
    assert by_norm is not None
    by_norm(parameters)
    assert gradients(parameters).norm() <= bound * (1 + 1e-5)
    parameters = start(seed, scale)
    by_value = catalogue.clip("value").build({"clip_value": bound})
    assert by_value is not None
    by_value(parameters)
    assert gradients(parameters).abs().max() <= bound * (1 + 1e-6)


@given(seed=st.integers(0, 2**32), bound=st.floats(1e-3, 1.0))
def test_clipping_by_norm_keeps_the_direction(seed: int, bound: float) -> None:
    parameters = start(seed, 10.0)
    clip = catalogue.clip("norm").build({"max_norm": bound})
    assert clip is not None
    clip(parameters)
    assert torch.cosine_similarity(gradients(parameters), gradients(start(seed, 10.0)), dim=0) > 1 - 1e-5


def test_shampoo_s_root_is_the_inverse_fourth_root_and_bounds_what_was_not_seen() -> None:
    from fallline.catalogue.optimizers._shampoo import inverse_fourth_root

    half = torch.randn(5, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    product = half @ half.T
    root = inverse_fourth_root(product, 1e-12)
    whole = root @ root @ root @ root @ product
    torch.testing.assert_close(whole / whole[0, 0], torch.eye(5, dtype=torch.float64))
    flat = inverse_fourth_root(torch.diag(torch.tensor([1.0, 1e-30])), 1e-8)
    assert float(flat[1, 1] / flat[0, 0]) == pytest.approx(100.0), "an eigenvalue of nothing counts as 1e-8 of the largest"


def test_a_step_of_shampoo_is_as_long_as_adam_s() -> None:
    from fallline.catalogue.optimizers._shampoo import Shampoo

    weights = torch.zeros(4, 6)
    mine, adams = (torch.nn.Parameter(weights.clone()) for _ in range(2))
    shampoo = Shampoo([{"params": [mine]}], lr=0.1, betas=(0.9, 0.99), precondition_frequency=1, eps=1e-8)
    adam = torch.optim.Adam([adams], lr=0.1, betas=(0.9, 0.99), eps=1e-8)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        before = [parameter.detach().clone() for parameter in (mine, adams)]
        mine.grad = torch.randn(4, 6, generator=generator)
        adams.grad = mine.grad.clone()
        shampoo.step()
        adam.step()
        lengths = [float((parameter.detach() - was).norm()) for parameter, was in zip((mine, adams), before, strict=True)]
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-4)
        assert not torch.allclose(mine, adams)
