"""Batching: the parts of a script that say which examples make up a step, and how a model's outputs for a whole part are read."""

from __future__ import annotations

from fallline import _batches
from fallline.exporters._case import Case
from fallline.exporters._page import Page
from fallline.exporters._source import copied

SEEDS, BATCHES = "Random numbers", "Batches"
PART = "index_select(0, rows)"


def write_batches(page: Page, case: Case) -> None:
    """Seeds, how examples are read, and the training batches."""
    setup = case.setup
    page.need("import torch", "import itertools")
    page.add(SEEDS, copied(_batches.stream, constants=[("fallline._batches", "INIT")]))
    page.setting("BATCH_SIZE", setup["batch_size"])
    if case.datasets:
        seed_everything(page)
        page.need("from torch.utils.data import default_collate")
        page.add(BATCHES, EXAMPLES)
    if case.tensors:
        page.add(BATCHES, _take(case))
    if case.tensors and (case.mixed or not case.pairs):
        page.add(BATCHES, ROWS_IN if case.dicts else ROWS_IN_TUPLES)
    if case.mixed:
        page.add(BATCHES, TENSORS)
    page.add(BATCHES, _epoch_rows(page, case))
    if case.workers and not case.loop:
        page.setting("WORKERS", case.workers, "processes that read examples ahead")
        page.need("from torch.utils.data import DataLoader", "from torch.utils.data import Dataset")
        page.add(BATCHES, SEEDED)
    if not case.on_cpu:
        page.add(BATCHES, TO_DEVICE)
    if not case.loop:
        page.add(BATCHES, _endless(case))


def write_predict(page: Page, case: Case) -> None:
    """`predict(model, data, rows)`: outputs and targets of a part, as the run reads them."""
    sizes = case.setup["eval_batch"]
    page.setting("EVAL_BATCH", sizes["valid"], "examples a forward pass when nothing is learned")
    own, differ = case.setup["unpack"] == "own", sizes["audit"] != sizes["valid"]
    one = "data.read(part, number)" if case.datasets else "take(data, part)"
    if not case.on_cpu:
        one = f"to_device({one})"
    body = []
    if own:
        seed_everything(page)
        body += [
            f"batch = {one}",
            "seed_everything(number)  # what unpack draws is the same at every look",
            "inputs, target = given.unpack(batch)",
        ]
    else:
        body.append(f"inputs, target = {one}")
    back = "" if case.on_cpu else ".cpu()"
    body += [f"outputs.append({forward(case)}{back})", f"targets.append(target{back})"]
    split = "rows.split(batch)" if differ else "rows.split(EVAL_BATCH)"
    parts = f"enumerate({split})" if case.datasets or own else split
    loop = f"for {'number, part' if 'enumerate' in parts else 'part'} in {parts}:"
    every = case.setup["model"]["all_train"]
    lines = [
        "@torch.no_grad()",
        f"def predict(model, data, rows=None{', batch=EVAL_BATCH' if differ else ''}{', given=None' if own else ''}):",
        '    """Outputs and targets of a part, or of some of its rows: dropout is off, and batch norm uses what it has gathered."""',
        *([] if every else ["    modes = [(module, module.training) for module in model.modules()]"]),
        "    model.eval()",
        "    outputs, targets = [], []",
        f"    rows = torch.arange({size_of(case, 'data')}) if rows is None else rows",
        f"    {loop}",
        *(f"        {line}" for line in body),
        *(["    model.train()"] if every else ["    for module, mode in modes:", "        module.training = mode"]),
        "    return torch.cat(outputs), torch.cat(targets)",
    ]
    page.add("Judging", "\n".join(lines))


def forward(case: Case) -> str:
    """The call of the model for one batch of inputs."""
    return f"model({ {'tensor': '', 'tuple': '*', 'dict': '**'}[case.setup['inputs']] }inputs)"


def size_of(case: Case, name: str) -> str:
    """The expression for the number of examples of a part."""
    if case.datasets:
        return f"len({name})"
    return f"len({name}[1])" if case.pairs else f"rows_in({name})"


def seed_everything(page: Page) -> None:
    page.need("import random", "import numpy as np")
    page.add(SEEDS, SEED_EVERYTHING)


def training_rows(case: Case) -> str:
    """What `epoch_rows` is asked with: the number of training examples, or the user's own sampler."""
    if case.setup["sampler"] is not None:
        return "given.train.batch_sampler"
    return size_of(case, "train")


def _take(case: Case) -> str:
    """Variants: with dicts, and with slices where nested batches are cut from an epoch that was gathered whole."""
    slices = case.setup["gathers"] and not case.pairs and not case.loop and not case.reads_dataset("train")
    lines = [
        "def take(tree, rows):",
        f'    """These rows of every tensor{"; a slice gives a view" if slices else ""}."""',
        "    if isinstance(tree, torch.Tensor):",
        "        return " + (f"tree[rows] if isinstance(rows, slice) else tree.{PART}" if slices else f"tree.{PART}"),
    ]
    if case.dicts:
        lines += ["    if isinstance(tree, dict):", "        return {key: take(part, rows) for key, part in tree.items()}"]
    return "\n".join([*lines, "    return tuple(take(part, rows) for part in tree)"])


def _epoch_rows(page: Page, case: Case) -> str:
    """`epoch_rows`: the row numbers of every batch of one epoch."""
    setup = case.setup
    if setup["sampler"] is not None:
        seed_everything(page)
        page.setting("BATCHES_PER_EPOCH", setup["batches_per_epoch"])
        epoch = [f"    sampler.{own}.manual_seed(stream(SEED, ORDER, epoch))" for own in setup["sampler"]["generators"]]
        epoch += ["    sampler.set_epoch(epoch)"] if setup["sampler"]["set_epoch"] else []
        return "\n".join([
            "def epoch_rows(sampler, epoch):",
            '    """The row numbers of each batch of one epoch, as your own sampler draws them."""',
            "    seed_everything(stream(SEED, ORDER, epoch))",
            *epoch,
            "    return [torch.as_tensor(batch) for batch in sampler][:BATCHES_PER_EPOCH]",
        ])  # fmt: skip
    dropped = setup["batches_per_epoch"] * setup["batch_size"] <= case.profile["rows"]
    said = "in a new order" if setup["shuffle"] else "in the order of the data"
    said += "; an incomplete last one is dropped" if dropped else ""
    shuffled = "torch.randperm(count, generator=torch.Generator().manual_seed(stream(SEED, ORDER, epoch)))"
    return "\n".join([
        f"def epoch_rows(count{', epoch' if setup['shuffle'] else ''}):",
        f'    """The row numbers of each batch of one epoch, {said}."""',
        f"    order = {shuffled if setup['shuffle'] else 'torch.arange(count)'}",
        f"    return order.split(BATCH_SIZE){'[: count // BATCH_SIZE]' if dropped else ''}",
    ])  # fmt: skip


def rows_call(case: Case) -> str:
    epoch = ", epoch" if case.setup["shuffle"] or case.setup["sampler"] is not None else ""
    return f"epoch_rows({training_rows(case)}{epoch})"


def _endless(case: Case) -> str:
    """`batches`: training batches without end."""
    rows = rows_call(case)
    given = ", given" if "given." in rows else ""
    if case.reads_dataset("train"):
        lines = [
            f"def batches(train{given}):",
            '    """Training batches without end; batch k is read under its own seed."""',
            "    for epoch in itertools.count():",
            f"        rows_of_epoch = {rows}",
            "        first = epoch * len(rows_of_epoch)",
        ]
        if case.workers:
            return "\n".join([
                *lines,
                "        keys = [[(stream(SEED, STEP, k), row) for row in rows.tolist()] for k, rows in enumerate(rows_of_epoch, first)]",
                "        yield from DataLoader(Seeded(train.dataset), batch_sampler=keys, collate_fn=train.collate, num_workers=WORKERS)",
            ])  # fmt: skip
        return "\n".join([
            *lines,
            "        for k, rows in enumerate(rows_of_epoch, first):",
            "            yield train.read(rows, stream(SEED, STEP, k))",
        ])  # fmt: skip
    tree = "train.tree" if case.mixed else "train"
    start = [f"def batches(train{given}):"]
    count = ["    for epoch in itertools.count():" if "epoch)" in rows else "    while True:"]
    if not case.setup["gathers"]:
        said = '    """Training batches without end."""'
        return "\n".join([*start, said, *count, f"        for rows in {rows}:", f"            yield take({tree}, rows)"])
    said = '    """Training batches without end; the examples of an epoch are gathered once and then cut."""'
    if case.pairs:
        body = [
            *count,
            f"        order = torch.cat({rows})",
            f"        gathered = [leaf.index_select(0, order).split(BATCH_SIZE) for leaf in {tree}]",
            "        yield from zip(*gathered, strict=True)",
        ]
    else:
        body = [
            *count,
            f"        order = torch.cat({rows})",
            f"        gathered = take({tree}, order)",
            "        for first in range(0, len(order), BATCH_SIZE):",
            "            yield take(gathered, slice(first, first + BATCH_SIZE))",
        ]
    return "\n".join([*start, said, *body])


SEED_EVERYTHING = '''
def seed_everything(seed):
    """Seed all generators that reading an example may draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
'''

EXAMPLES = '''
class Examples:
    """A data set read a batch at a time; what it draws at random follows from the seed of the batch."""

    def __init__(self, dataset, collate=default_collate):
        self.dataset = dataset
        self.collate = collate

    def __len__(self):
        return len(self.dataset)

    def read(self, rows, seed):
        seed_everything(seed)
        return self.collate([self.dataset[row] for row in rows.tolist()])
'''

SEEDED = '''
class Seeded(Dataset):
    """A data set whose batches are read by worker processes, each batch under its own seed."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __getitems__(self, keys):
        seed_everything(keys[0][0])
        return [self.dataset[row] for _, row in keys]
'''

TENSORS = '''
class Tensors:
    """Tensors that are read as a data set is."""

    def __init__(self, tree):
        self.tree = tree

    def __len__(self):
        return rows_in(self.tree)

    def read(self, rows, seed):
        return take(self.tree, rows)
'''

ROWS_IN_TUPLES = '''
def rows_in(tree):
    """How many examples nested tensors hold."""
    return len(tree) if isinstance(tree, torch.Tensor) else rows_in(tree[0])
'''

ROWS_IN = '''
def rows_in(tree):
    """How many examples nested tensors hold."""
    if isinstance(tree, torch.Tensor):
        return len(tree)
    return rows_in(next(iter(tree.values() if isinstance(tree, dict) else tree)))
'''

TO_DEVICE = '''
def to_device(tree):
    """A batch where the model is."""
    if isinstance(tree, torch.Tensor):
        return tree.to(DEVICE)
    if isinstance(tree, dict):
        return {key: to_device(part) for key, part in tree.items()}
    return type(tree)(to_device(part) for part in tree)
'''
