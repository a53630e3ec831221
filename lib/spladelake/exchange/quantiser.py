"""Quantisation of weights to integers, for engines that store impacts instead of floats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Quantiser:
    """Linear quantisation from 0 to the largest weight.

    A weight below half a step becomes 1 instead of 0, so that no posting is lost. The error of every other weight is at
    most half a step.

    - step: weight of one unit.
    - levels: the largest integer.
    """

    step: float
    levels: int

    @classmethod
    def of(cls, largest_weight: float, *, levels: int) -> Quantiser:
        """Return the quantiser that maps the largest weight to the highest level."""
        return cls(largest_weight / levels if largest_weight > 0 else 1.0, levels)

    def impacts(self, weights: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the integer of each weight, from 1 to `levels`."""
        units = np.rint(weights.astype(np.float64) / self.step)
        return np.clip(units, 1, self.levels).astype(np.int64)

    def weights(self, impacts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the weight of each integer."""
        return (impacts * self.step).astype(np.float32)

    def as_dict(self) -> dict[str, float]:
        """Return the values of the manifest: step, levels, and the largest error of a weight."""
        return {"step": self.step, "levels": self.levels, "largest_error_of_a_weight": self.step}
