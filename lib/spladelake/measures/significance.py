"""Significance tests of two systems, from their values on the same queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Differences = NDArray[np.float64]

# Up to this many differences, all sign assignments are enumerated: 2^20 take about 0.1 s. Beyond it they are drawn.
MOST_EXACT = 20
# Signs held in memory at once: 16 MB as float64.
BLOCK_CELLS = 2_000_000
# Means closer than this are equal: sums of the same numbers in another order differ by rounding.
ROUNDING = 1e-12
# Two values of a query closer than this are a tie.
TIE = 1e-9


@dataclass(frozen=True)
class PairedTest:
    """The comparison of two systems on the same queries.

    - difference: mean of the second system minus mean of the first.
    - wins, ties, losses: queries on which the second system is better, equal, worse.
    - t, t_p: paired t-test; None if the differences do not vary.
    - randomisation_p: two-sided p of the randomisation test.
    """

    queries: int
    difference: float
    wins: int
    ties: int
    losses: int
    t: float | None
    t_p: float | None
    randomisation_p: float


def paired_test(differences: Differences, *, permutations: int, seed: Sequence[int]) -> PairedTest:
    """Compare two systems by the differences of their values.

    - differences: second minus first, one per query. Their order changes the random draws, so it must be fixed.
    - permutations: random sign assignments if there are too many to enumerate.
    - seed: seed of the random draws.
    """
    wins, losses = int((differences > TIE).sum()), int((differences < -TIE).sum())
    t, t_p = t_test(differences)
    return PairedTest(
        queries=len(differences),
        difference=float(differences.mean()),
        wins=wins,
        ties=len(differences) - wins - losses,
        losses=losses,
        t=t,
        t_p=t_p,
        randomisation_p=randomisation_test(differences, permutations=permutations, seed=seed),
    )


def t_test(differences: Differences) -> tuple[float | None, float | None]:
    """Return (t, two-sided p) of Student's paired t-test against a mean difference of 0; None if undefined.

    Source: Student 1908; Smucker, Allan and Carterette 2007 on its use for retrieval.
    """
    from scipy import stats

    if len(differences) < 2 or np.ptp(differences) <= ROUNDING:
        return None, None
    found = stats.ttest_1samp(differences, 0.0)
    return float(found.statistic), float(found.pvalue)


def randomisation_test(differences: Differences, *, permutations: int, seed: Sequence[int]) -> float:
    """Return the two-sided p of Fisher's paired randomisation test of the mean.

    If the systems were equal, each query's difference could have either sign. p is the share of sign assignments whose
    mean is at least as far from 0 as the observed mean. Up to 2^20 assignments are all enumerated. Otherwise
    `permutations` are drawn, and p is (hits + 1) / (permutations + 1), which is never 0.
    Source: Smucker, Allan and Carterette 2007; Phipson and Smyth 2010 for the added 1.
    """
    moving = differences[np.abs(differences) > 0]  # a difference of 0 has no sign
    if not len(moving):
        return 1.0
    found = abs(float(moving.sum())) - ROUNDING * len(differences)
    if len(moving) <= MOST_EXACT:
        return float(np.mean(np.abs(_all_sums(moving)) >= found))
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(seed))))
    hits, left = 0, permutations
    rows = max(1, BLOCK_CELLS // len(moving))
    width = -(-len(moving) // 8)
    total = moving.sum()
    while left > 0:
        drawn = generator.integers(0, 256, size=(min(rows, left), width), dtype=np.uint8)
        chosen = np.unpackbits(drawn, axis=1, count=len(moving)).astype(np.float64)
        # Flipping the chosen signs lowers the sum by twice the sum of the flipped differences.
        hits += int((np.abs(total - 2 * (chosen @ moving)) >= found).sum())
        left -= len(drawn)
    return (hits + 1) / (permutations + 1)


def _all_sums(numbers: Differences) -> Differences:
    """Return the sum of the numbers under every assignment of signs."""
    sums = np.zeros(1)
    for number in numbers:
        sums = np.concatenate([sums + number, sums - number])
    return sums


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values corrected by Holm's method, in the given order; a None stays None and does not count.

    The correction keeps the chance of any false positive among them below the level. Source: Holm 1979.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for place, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - place)))
        corrected[i] = highest
    return corrected
