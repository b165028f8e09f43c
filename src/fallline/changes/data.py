"""Changes of the data, or of what the model is given and asked for: scales, gaps, pairs, and rows that stand on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fallline.changes import Change

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fallline._problem import Problem
    from fallline.signals._setup import Setup

MOST_ROWS = 20_000  # of train, for means and spreads, as the signal of columns reads them


def standardised_inputs(setup: Setup) -> Change:
    """Each column or channel of the inputs standardised on its way into the model, with the statistics of train."""
    scales = _scales(setup)

    def edit(model: nn.Module) -> None:
        from fallline._batches import leaves, tree_map

        def before(_: nn.Module, inputs: Any, keywords: Any) -> Any:
            floats = [leaf for leaf in leaves((inputs, keywords)) if leaf.is_floating_point()]
            scaled = {id(leaf): _standardised(leaf, scale) for leaf, scale in zip(floats, scales, strict=False)}
            return tree_map(lambda leaf: scaled.get(id(leaf), leaf), inputs), tree_map(lambda leaf: scaled.get(id(leaf), leaf), keywords)

        model.register_forward_pre_hook(before, with_kwargs=True)

    return _model("inputs standardised", "x = (x - mean) / std, with the mean and std of train's columns, on all splits", edit)


def standardised_entry(setup: Setup, path: str) -> Change:
    """What the layer at `path` gets, standardised with what an untrained model gives it."""
    import torch

    model = setup.make().model
    seen: list[Tensor] = []
    handle = model.get_submodule(path).register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    setup.judged(model, setup.sample(rows=512)[0])
    handle.remove()
    scale = _scale(torch.cat(seen))

    def edit(model: nn.Module) -> None:
        model.get_submodule(path).register_forward_pre_hook(lambda _, given: (_standardised(given[0], scale), *given[1:]))

    return _model(
        f"what {path or 'the first layer'} gets, standardised", "normalise once: in the loader or in the model, not in both", edit
    )


def standardised_targets(mean: Tensor, std: Tensor) -> Change:
    """The model learns standardised targets, and what it gives is turned back, so that it speaks the user's units."""

    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_loss, with_model

        def edit(model: nn.Module) -> None:
            model.register_forward_hook(lambda _, __, output: output * _like(std, output) + _like(mean, output))

        def made(own: Any) -> Any:
            def loss(output: Tensor, target: Tensor) -> Any:
                spread, centre = _like(std, output), _like(mean, output)
                return own((output - centre) / spread, (target - _like(mean, target)) / _like(std, target))

            return loss

        return with_loss(with_model(problem, edit), made)

    source = "train on (y - mean) / std, and give predictions * std + mean"
    return Change(words="targets standardised, predictions turned back", source=source, make=make)


def filled() -> Change:
    """NaN and inf among the inputs become 0, on their way into the model; rows whose target is no number are left out."""

    def make(problem: Problem) -> Problem:
        import torch

        from fallline._batches import tree_map
        from fallline.changes._parts import with_model

        def fill(leaf: Tensor) -> Tensor:
            return torch.nan_to_num(leaf, 0.0, 0.0, 0.0) if leaf.is_floating_point() else leaf

        def edit(model: nn.Module) -> None:
            def before(_: nn.Module, inputs: Any, keywords: Any) -> Any:
                return tree_map(fill, inputs), tree_map(fill, keywords)

            model.register_forward_pre_hook(before, with_kwargs=True)

        splits = {name: _with_targets(getattr(problem, name)) for name in ("train", "valid", "audit")}
        return replace(with_model(problem, edit), **splits)

    return Change(
        words="gaps in inputs filled, rows without a target left out", source="fill or drop NaN and inf before training", make=make
    )


def filled_and_standardised(setup: Setup) -> Change:
    """The same, and the inputs standardised first, so that 0 is their mean."""
    fill, scale = filled(), standardised_inputs(setup)
    return Change(
        words="gaps filled with the column's mean, inputs standardised",
        source=f"{fill.source}; {scale.source}",
        make=lambda problem: scale.make(fill.make(problem)),  # a hook that is added later runs later: so the scale is made last
    )


def shuffled() -> Change:
    """The order of examples changes each epoch, also where a DataLoader keeps it."""

    def make(problem: Problem) -> Problem:
        from torch.utils.data import DataLoader

        if not isinstance(problem.train, DataLoader):
            return replace(problem, shuffle=True)
        given = problem.train
        loader: DataLoader[Any] = DataLoader(
            given.dataset, batch_size=given.batch_size, shuffle=True, collate_fn=given.collate_fn, drop_last=given.drop_last
        )
        return replace(problem, train=loader, shuffle=True)

    return Change(words="train shuffled each epoch", source="shuffle=True", make=make, arguments={"shuffle": True})


def moved_targets(rows: int) -> Change:
    """The targets of train moved against the inputs by so many rows."""

    def make(problem: Problem) -> Problem:
        inputs, target = _pair(problem.train)
        return replace(problem, train=(inputs, target.roll(rows, 0)))

    return Change(words=f"train's targets moved by {rows} rows", source=f"y = torch.roll(y, {rows}, 0)", make=make)


def prepared_alike(train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor], columns: Tensor) -> Change:
    """These columns of valid's inputs brought to train's mean and spread, by the inputs alone; of audit too, where it is prepared as valid.

    Args:
        train, valid: mean and spread of all columns.
    """

    def as_train(inputs: Tensor) -> Tensor:
        (mean, spread), (theirs, wide) = train, valid
        scaled = (inputs.movedim(1, -1).double() - theirs) / wide.clamp_min(1e-12) * spread + mean
        return scaled.where(columns, inputs.movedim(1, -1).double()).movedim(-1, 1).to(inputs.dtype)

    def make(problem: Problem) -> Problem:
        changed: dict[str, Any] = {}
        for split in ("valid", "audit"):
            if getattr(problem, split) is None:
                continue
            inputs, target = _pair(getattr(problem, split))
            seen = inputs.movedim(1, -1).reshape(-1, inputs.shape[1]).double().mean(dim=0)
            apart = [float(((seen - mean).abs() / spread.clamp_min(1e-12))[columns].mean()) for mean, spread in (train, valid)]
            if split == "valid" or apart[1] < apart[0]:
                changed[split] = (as_train(inputs), target)
        return replace(problem, **changed)

    words = f"{int(columns.sum())} columns of valid brought to the scale of train"
    return Change(words=words, source="apply to valid the mean and std that were fitted on train", make=make)


def renumbered(offset: int) -> Change:
    """Class labels moved on all splits."""

    def make(problem: Problem) -> Problem:
        given = [(name, getattr(problem, name)) for name in ("train", "valid", "audit")]
        moved: dict[str, Any] = {}
        for name, part in given:
            if part is not None:
                inputs, target = _pair(part)
                moved[name] = (inputs, target + offset)
        return replace(problem, **moved)

    return Change(words=f"labels {offset:+d}", source=f"target = target {'-' if offset < 0 else '+'} {abs(offset)}", make=make)


def without_rows_of_valid() -> Change:
    """Train without the examples that stand in valid too."""

    def make(problem: Problem) -> Problem:
        import torch

        from fallline._batches import leaves, tree_map

        inputs, target = _pair(problem.train)
        judged, _ = _pair(problem.valid)
        sides = [torch.cat([leaf.reshape(len(leaf), -1).double() for leaf in leaves(side)], dim=1) for side in (judged, inputs)]
        _, ids = torch.cat(sides).unique(dim=0, return_inverse=True)
        kept = ~torch.isin(ids[len(sides[0]) :], ids[: len(sides[0])])
        if bool(kept.all()) or int(kept.sum()) < 2:
            raise ValueError("no row of train, or every row, stands exactly in valid too")
        return replace(problem, train=tree_map(lambda leaf: leaf[kept], (inputs, target)))

    words = "train without the rows of valid"
    return Change(words=words, source="take valid's rows out of train before anything else", make=make, beyond_valid=True)


def _pair(given: Any) -> tuple[Any, Tensor]:
    """Inputs and target as tensors."""
    import torch
    from torch.utils.data import TensorDataset

    given = given.tensors if isinstance(given, TensorDataset) and len(given.tensors) == 2 else given
    if isinstance(given, tuple | list) and len(given) == 2 and isinstance(given[1], torch.Tensor):
        return given[0], given[1]
    raise ValueError("its rows can be changed from outside only where they are given as (inputs, target) tensors")


def _with_targets(given: Any) -> Any:
    from fallline._batches import tree_map

    try:
        inputs, target = _pair(given)
    except ValueError:
        return given
    if not target.is_floating_point():
        return given
    kept = target.reshape(len(target), -1).isfinite().all(dim=1)
    return tree_map(lambda leaf: leaf[kept], (inputs, target))


def _scales(setup: Setup) -> Sequence[tuple[Tensor, Tensor]]:
    """(mean, spread) of every floating-point leaf of train's inputs, in their order."""
    import torch

    parts: list[list[Tensor]] = []
    for inputs, _ in setup.whole("train", MOST_ROWS):
        parts.append(setup.floats(inputs))
    return [_scale(torch.cat(leaf)) for leaf in zip(*parts, strict=True)]


def _scale(values: Tensor) -> tuple[Tensor, Tensor]:
    """By columns of a table or channels of images; of anything else, as a whole."""
    import torch

    values = values.double()
    rows = values if values.ndim == 2 else values.movedim(1, -1).reshape(-1, values.shape[1]) if values.ndim == 4 else values.reshape(-1, 1)
    finite = rows.isfinite()
    clean = rows.where(finite, rows.new_full((), torch.nan))
    mean = clean.nanmean(dim=0).nan_to_num()
    spread = (clean - mean).square().nanmean(dim=0).sqrt().nan_to_num()
    spread = spread.where(spread > 1e-12, spread.new_ones(()))
    return (mean[:, None, None], spread[:, None, None]) if values.ndim == 4 else (mean, spread)


def _standardised(leaf: Tensor, scale: tuple[Tensor, Tensor]) -> Tensor:
    """In double precision, which far means need, and back."""
    mean, spread = (part.to(leaf.device) for part in scale)
    return ((leaf.double() - mean) / spread).to(leaf.dtype)


def _like(value: Tensor, like: Tensor) -> Tensor:
    value = value.to(like.device, like.dtype)
    return value.reshape(like.shape[1:]) if value.numel() == like[0].numel() else value.reshape(-1)[0]


def _model(words: str, source: str, edit: Any) -> Change:
    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_model

        return with_model(problem, edit)

    return Change(words=words, source=source, make=make)
