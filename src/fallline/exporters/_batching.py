"""Batching: the parts of a script that say which examples make up a step, and how a model's outputs for a whole part are read."""

from __future__ import annotations

from fallline import _batches
from fallline.exporters._case import Case
from fallline.exporters._opening import mixed
from fallline.exporters._page import Page
from fallline.exporters._source import copied

SEEDS, BATCHES, JUDGING = "Random numbers", "Batches", "Judging"
PAIR = ["tensor", "tensor"]


def write_batches(page: Page, case: Case) -> None:
    """Seeds, how examples are read, and `batches`, the training batches without end."""
    page.need("import torch")
    names = ("INIT, STEP, ORDER",)
    page.add(SEEDS, copied(_batches.stream, constants=[("fallline._batches", name.split(",")[0]) for name in names]))
    _reading(page, case)
    page.setting("BATCH_SIZE", case.setup["batch_size"])
    page.add(BATCHES, _batches_function(page, case))
    if not case.on_cpu:
        page.add(BATCHES, TO_DEVICE)


def seeding(page: Page) -> None:
    page.need("import random", "import numpy as np", "import torch")
    page.add(
        SEEDS,
        '''
        def seed_everything(seed):
            """Seed all that a Dataset may draw from."""
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
        ''',
    )


def _kinds(case: Case) -> set[str]:
    return {source["kind"] for source in case.setup["sources"].values() if source is not None}


def _kind(case: Case, part: str) -> str:
    return str((case.setup["sources"][part] or case.setup["sources"]["train"])["kind"])


def _simple(case: Case) -> bool:
    """Whether every part is a pair of one input tensor and one target tensor."""
    sources = [source for source in case.setup["sources"].values() if source is not None]
    return all(source["kind"] == "tensors" and source["tree"] == PAIR for source in sources)


def _nested(case: Case) -> bool:
    """Whether rows are taken by `take`, which knows nested tensors; a plain pair without a split needs none."""
    return "tensors" in _kinds(case) and (not _simple(case) or case.splits is not None or mixed(case) or case.loop or not case.setup["gathers"])


def _dicts(case: Case) -> bool:
    return any("{" in str(source["tree"]) for source in case.setup["sources"].values() if source is not None and source["kind"] == "tensors")


def _reading(page: Page, case: Case) -> None:
    if _nested(case):
        dicts = '''
            if isinstance(tree, dict):
                return {key: take(part, rows) for key, part in tree.items()}'''
        slices = case.setup["gathers"] and not _simple(case) and not case.loop
        one = "tree[rows] if isinstance(rows, slice) else tree.index_select(0, rows)" if slices else "tree.index_select(0, rows)"
        page.add(
            BATCHES,
            f'''
        def take(tree, rows):
            """These rows of every tensor{"; a slice gives a view" if slices else ""}."""
            if isinstance(tree, torch.Tensor):
                return {one}{dicts if _dicts(case) else ""}
            return tuple(take(part, rows) for part in tree)
        ''',
        )
    if "dataset" in _kinds(case):
        seeding(page)
        page.need("from torch.utils.data import default_collate")
        page.add(
            BATCHES,
            '''
        class Examples:
            """A data set read a batch at a time; what it draws at random follows from the seed of the batch."""

            def __init__(self, dataset, collate=default_collate):
                self.dataset = dataset
                self.collate = collate

            def __len__(self):
                return len(self.dataset)

            def take(self, rows, seed):
                seed_everything(seed)
                return self.collate([self.dataset[row] for row in rows.tolist()])
        ''',
        )
    if mixed(case):
        page.add(
            BATCHES,
            '''
        class Tensors:
            """Tensors that are read as a data set is."""

            def __init__(self, tree):
                self.tree = tree

            def __len__(self):
                return rows_in(self.tree)

            def take(self, rows, seed):
                return take(self.tree, rows)
        ''',
        )
    if "tensors" in _kinds(case) and not _simple(case):
        page.add(BATCHES, ROWS_IN)


ROWS_IN = '''
        def rows_in(tree):
            """How many examples nested tensors hold."""
            while not isinstance(tree, torch.Tensor):
                tree = next(iter(tree.values() if isinstance(tree, dict) else tree))
            return len(tree)
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


def size_of(case: Case, name: str, part: str = "train") -> str:
    """The expression for the number of examples of a part."""
    if _kind(case, part) == "dataset" or mixed(case):
        return f"len({name})"
    return f"len({name}[1])" if _simple(case) else f"rows_in({name})"


def _batches_function(page: Page, case: Case) -> str:
    """`batches(train)`, or `epoch_rows(train, epoch)` where the user's loop takes its own batches."""
    setup = case.setup
    if setup["sampler"] is not None:
        seeding(page)
        page.setting("BATCHES_PER_EPOCH", setup["batches_per_epoch"])
        epoch = "\n            sampler.set_epoch(epoch)" if setup["sampler"]["set_epoch"] else ""
        order = f'''
        def epoch_rows(sampler, epoch):
            """The row numbers of each batch of one epoch, as your own sampler draws them."""
            seed_everything(stream(SEED, ORDER, epoch)){epoch}
            return [torch.as_tensor(batch) for batch in sampler][:BATCHES_PER_EPOCH]
        '''
        asked = "given.train.batch_sampler"
    else:
        order, asked = _order(case), "len(train)" if _kind(case, "train") == "dataset" else ""
    if case.loop:
        return _joined(order, "" if setup["sampler"] else "")
    return _joined(order, _endless(page, case)) if order else _endless(page, case)


def _joined(*texts: str) -> str:
    import textwrap

    return "\n\n\n".join(textwrap.dedent(text).strip("\n") for text in texts if text)
