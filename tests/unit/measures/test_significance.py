"""Tests of significance give what scipy gives, and what is worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spladelake.measures.significance import holm, paired_test, randomisation_test, t_test

SEED = (1, 2)


def values(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float64)


def by_scipy(differences: np.ndarray, resamples: float) -> float:
    def mean(x: np.ndarray, axis: int = 0) -> np.ndarray:
        return x.mean(axis=axis)

    found = stats.permutation_test(
        (differences,), mean, permutation_type="samples", n_resamples=resamples, vectorized=True, rng=7, batch=2000
    )
    return float(found.pvalue)


def test_all_sign_assignments_of_three_differences_by_hand() -> None:
    # Sums of ±1 ±2 ±4 as far from 0 as 1 + 2 + 4 = 7: only that one and its mirror, 2 of 8.
    assert randomisation_test(values(1, 2, 4), permutations=10, seed=SEED) == 2 / 8
    # 1 + 2 - 4 = -1: every assignment is at least as far from 0 except none: |±1±2±4| is never below 1.
    assert randomisation_test(values(1, 2, -4), permutations=10, seed=SEED) == 1.0
    # Queries without a difference change nothing.
    assert randomisation_test(values(1, 0, 2, 0, 4), permutations=10, seed=SEED) == 2 / 8


@pytest.mark.parametrize("size", [2, 5, 12])
def test_the_exact_test_is_scipys(size: int) -> None:
    differences = np.random.default_rng(size).normal(0.2, 1, size).round(2)
    ours = randomisation_test(differences, permutations=10, seed=SEED)
    assert ours == pytest.approx(by_scipy(differences, np.inf), abs=1e-12)


def test_equal_differences_tie_exactly_although_their_sums_round() -> None:
    # Of 2^10 assignments of ±0.1 those with all signs alike reach the sum, whatever order rounds it: 2 / 1024.
    assert randomisation_test(np.full(10, 0.1), permutations=10, seed=SEED) == 2 / 1024


@pytest.mark.parametrize("mean", [0.0, 0.1, 0.3])
def test_the_drawn_test_is_scipys_within_the_error_of_drawing(mean: float) -> None:
    differences = np.random.default_rng(3).normal(mean, 1, 200)
    ours = randomisation_test(differences, permutations=20_000, seed=SEED)
    theirs = by_scipy(differences, 20_000)
    # Two shares of 20,000 draws each: four standard errors of their difference, and the added 1.
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(2 * max(ours, 1e-4) * (1 - ours) / 20_000) + 1e-4)


def test_the_drawn_test_is_the_exact_one_where_both_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(5).normal(0.4, 1, 15)
    exact = randomisation_test(differences, permutations=1, seed=SEED)
    monkeypatch.setattr("spladelake.measures.significance.MOST_EXACT", 0)
    drawn = randomisation_test(differences, permutations=100_000, seed=SEED)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 100_000))
    assert drawn != randomisation_test(differences, permutations=100_000, seed=(9,))
    assert drawn == randomisation_test(differences, permutations=100_000, seed=SEED)


def test_drawing_never_says_that_something_cannot_be_chance() -> None:
    assert randomisation_test(np.full(100, 0.5), permutations=999, seed=SEED) == 1 / 1000


def test_blocks_of_signs_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    # 64 differences fill whole bytes: the stream of draws is the same however it is cut.
    differences = np.random.default_rng(6).normal(0.1, 1, 64)
    whole = randomisation_test(differences, permutations=5_000, seed=SEED)
    monkeypatch.setattr("spladelake.measures.significance.BLOCK_CELLS", 64 * 700)
    assert randomisation_test(differences, permutations=5_000, seed=SEED) == pytest.approx(whole, abs=1e-12)


def test_the_t_test_is_that_of_the_textbook() -> None:
    # Differences 1 2 3: mean 2, deviation 1, t = 2 / (1 / sqrt(3)) = 3.4641; with 2 degrees of freedom
    # p = 1 - t / sqrt(t^2 + 2) = 1 - sqrt(12 / 14) = 0.0742.
    t, p = t_test(values(1, 2, 3))
    assert (t, p) == (pytest.approx(3.4641016, abs=1e-6), pytest.approx(1 - np.sqrt(12 / 14), abs=1e-9))
    assert t_test(values(0.5, 0.5, 0.5)) == (None, None)
    assert t_test(values(0.5)) == (None, None)


def test_wins_ties_and_losses_are_the_seconds() -> None:
    found = paired_test(values(0.5, -0.1, 0.0, 1e-13, 0.2), permutations=10, seed=SEED)
    assert (found.queries, found.wins, found.ties, found.losses) == (5, 2, 2, 1)
    assert found.difference == pytest.approx(0.12)


def test_holms_correction_is_that_of_a_worked_example() -> None:
    # 0.01 x 4, 0.02 x 3 = 0.06, 0.03 x 2 = 0.06 and 0.04 x 1, which may not be below 0.06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, None, 0.7]) == [1.0, None, 1.0]
    assert holm([]) == []
