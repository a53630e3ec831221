"""Whether systems differ from the baseline by more than chance: the paired t-test, corrected by Holm's method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

# Chance of even one false mark in a column of the table.
LEVEL = 0.05


def paired_p(first: Mapping[str, float], second: Mapping[str, float]) -> float | None:
    """Two-sided p of Student's t-test on the queries that both have; None where differences do not vary."""
    from scipy import stats

    shared = sorted(first.keys() & second.keys())
    differences = np.array([second[query] - first[query] for query in shared])
    if len(differences) < 2 or np.ptp(differences) <= 1e-12:
        return None
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number, in the order given; None takes no part. Source: Holm 1979."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for done, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - done)))
        corrected[place] = highest
    return corrected
