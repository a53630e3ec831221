"""Weights as whole numbers, for engines that store impacts instead of floats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Quantiser:
    """Equal steps from 0 up to the largest weight. step: weight of one unit. levels: the largest whole number.

    A weight of less than half a step becomes 1, not 0, so that no posting is lost; every other weight is off by half a
    step at most.
    """

    step: float
    levels: int

    @classmethod
    def of(cls, largest_weight: float, *, levels: int) -> Quantiser:
        """The finest steps that bring the largest weight to the highest level."""
        return cls(largest_weight / levels if largest_weight > 0 else 1.0, levels)

    def impacts(self, weights: NDArray[np.float32]) -> NDArray[np.int64]:
        """Whole numbers from 1 to `levels`, one for each weight."""
        units = np.rint(weights.astype(np.float64) / self.step)
        return np.clip(units, 1, self.levels).astype(np.int64)

    def weights(self, impacts: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the whole numbers stand for."""
        return (impacts * self.step).astype(np.float32)

    def as_dict(self) -> dict[str, float]:
        """For the manifest: how to read the numbers, and how far off they can be."""
        return {"step": self.step, "levels": self.levels, "largest_error_of_a_weight": self.step}
