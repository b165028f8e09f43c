"""Set aside: losses and optimizers that people know and that no race can try, each with the reason and with what to take instead."""

from __future__ import annotations

from dataclasses import dataclass

PAIRS = "reads pairs of examples that were formed before; the losses of the task embedding form their own"


@dataclass(frozen=True)
class SetAside:
    """One known name that is no entry."""

    kind: str  # "loss", "optimizer"
    name: str
    title: str  # the class as torch or the paper calls it
    why: str


SET_ASIDE = (
    SetAside("loss", "ctc", "torch.nn.CTCLoss", "reads the lengths of both sequences beside output and target; no task here brings them"),
    SetAside("loss", "cosine_embedding", "torch.nn.CosineEmbeddingLoss", PAIRS),
    SetAside("loss", "hinge_embedding", "torch.nn.HingeEmbeddingLoss", "reads distances between two examples; no task here brings pairs"),
    SetAside("loss", "margin_ranking", "torch.nn.MarginRankingLoss", PAIRS),
    SetAside("loss", "triplet_margin_loss", "torch.nn.TripletMarginLoss", "reads triplets that were formed before; triplet forms its own"),
    SetAside("loss", "triplet_with_distance", "torch.nn.TripletMarginWithDistanceLoss", "the same, with a distance of your own"),
    SetAside(
        "loss", "kl_div", "torch.nn.KLDivLoss", "reads a distribution as its target; for one right class it is nll, which is an entry"
    ),
    SetAside(
        "loss",
        "linear_cross_entropy",
        "torch.nn.LinearCrossEntropyLoss",
        "holds the model's last layer, so the model without it has no outputs to judge; cross_entropy is the same loss",
    ),
    SetAside("loss", "nll2d", "torch.nn.NLLLoss2d", "the old name of torch.nn.NLLLoss, which is the entry nll"),
    SetAside("loss", "soft_margin", "torch.nn.SoftMarginLoss", "bce_with_logits for labels of -1 and 1; take that with 0 and 1"),
    SetAside(
        "loss", "multilabel_soft_margin", "torch.nn.MultiLabelSoftMarginLoss", "equal to bce_with_logits on several columns; take that"
    ),
    SetAside(
        "optimizer",
        "sparse_adam",
        "torch.optim.SparseAdam",
        "takes sparse gradients only, which other optimizers cannot take; say sparse=False",
    ),
)
