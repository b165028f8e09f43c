"""Class numbers: what every loss that reads them has to be told."""

from __future__ import annotations

from fallline.catalogue import Hyperparameter

IGNORE = Hyperparameter(
    default=-100, why="torch's default: no class has this number, so nothing is ignored", negative=True, whole=True
)  # the number of padding and of places without a label
