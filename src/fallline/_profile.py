"""Profile: the facts measured before anything is chosen: task, targets, outputs, parameters, time, memory."""

from __future__ import annotations

from dataclasses import dataclass

from fallline.metrics import TASKS

__all__ = ["TASKS", "Profile"]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is known of a problem before the race. Times are seconds on this machine, memory is bytes."""

    task: str  # of TASKS
    rows: int  # training examples
    valid_rows: int
    audit_rows: int
    batch_size: int
    batches_per_epoch: int
    passes: float  # how often training sees each example over the full length
    # outputs
    output_kind: str  # "real", "probability", "log-probability"
    output_shape: tuple[int, ...]  # of one example
    width: float  # model outputs per target column (2: room for mean and variance)
    classes: int  # 0 when the task has none
    # targets, as the loss sees them
    target_shape: tuple[int, ...]  # of one example
    # the end of the model, as far as a loss may change it; paths are those of `model.named_modules()`
    last_layer: str = ""  # the linear layer that gives the outputs; "" where their number is fixed
    last_outputs: int = 0  # that it gives
    last_activation: str = ""  # the activation that the outputs come from
    activation_does: str = ""  # sigmoid, softmax or log_softmax
    fixed_end: str = "was not looked into"  # why the number of outputs cannot be changed; "" where it can
    class_counts: tuple[int, ...] = ()  # binary: (negatives, positives); multilabel: positives per label
    second_share: float = 1.0  # of the second commonest class in valid, the rarer of two; 1 where there are no classes
    target_mad: float = 1.0  # median absolute deviation from the median, times 1.4826; 1.0 where the task has no scale
    target_skew: float = 0.0
    excess_kurtosis: float = 0.0
    outlier_share: float = 0.0  # targets beyond 5 robust deviations of the median
    zero_share: float = 0.0
    negative_share: float = 0.0
    integers: bool = False  # all targets are whole numbers
    dispersion: float = 1.0  # variance / mean of a non-negative target
    target_scaled: bool = False  # a door has standardised the target
    label_noise: float | None = None  # share of labels (or of variance) that nearest neighbours do not explain; an upper bound
    # parameters
    parameters: int = 0
    trainable: int = 0
    matrices: int = 0  # trainable elements in 2-D weights that are no embedding
    convolutions: int = 0
    embeddings: int = 0
    vectors: int = 0  # biases and norms
    fan_in: float = 0.0  # inputs of a unit of the trainable layers, the geometric mean over their weights; 0 where there are none
    normalisation: tuple[str, ...] = ()  # "batch", "layer", ...
    recurrent: bool = False
    attention: bool = False
    dropout: bool = False
    # cost
    flops_per_step: float = 0.0
    step_s: float = 0.0  # one training step
    eval_s: float = 0.0  # one pass over valid
    layer_bytes: int = 0  # that the layers give for one example
    memory: int = 0  # bytes for weights, gradients, optimizer state and one batch's activations, estimated

    @property
    def imbalance(self) -> float:
        """Largest class count over smallest non-empty one; 1 where there are no classes."""
        counts = [count for count in self.class_counts if count > 0]
        return max(counts) / min(counts) if counts else 1.0

    @property
    def model_kind(self) -> str:
        """The coarse kind a portfolio is conditioned on."""
        if self.attention:
            return "transformer"
        if self.recurrent:
            return "recurrent"
        return "cnn" if self.convolutions else "mlp"
