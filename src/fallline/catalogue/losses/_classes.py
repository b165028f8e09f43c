"""Classes: what losses that read class numbers, or count overlap by class, have to be told."""

from __future__ import annotations

from fallline.catalogue import Hyperparameter

IGNORE = Hyperparameter(
    default=-100, why="torch's default: no class has this number, so nothing is ignored", negative=True, whole=True
)  # the number of padding and of places without a label
SMOOTH = Hyperparameter(
    default=1e-5,
    why="MONAI's; as a share of all places, so that an absent class costs little",
    low=1e-6,
    high=1e-2,
    log=True,
    unit="share of the places",
    above_zero=True,
)  # what is added above and below an overlap, so that a class that does not occur has one
