"""Compacted vectors keep what their settings promise, and scores stay within the stated bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spladelake.compaction import Compaction, Statistics, compacted, error_bound, round_mantissa
from spladelake.config import checked
from spladelake.config.compaction import CompactVectors
from spladelake.errors import UsageError
from spladelake.vectors import SparseVectors

weights = st.floats(min_value=2.0**-20, max_value=100.0, width=32)
rows = st.lists(
    st.dictionaries(st.integers(0, 30), weights, max_size=12).map(lambda d: (sorted(d), [d[t] for t in sorted(d)])),
    max_size=8,
)


def as_dicts(vectors: SparseVectors) -> list[dict[int, float]]:
    return [dict(zip(*(a.tolist() for a in vectors.row(i)), strict=True)) for i in range(len(vectors))]


@given(st.lists(weights, min_size=1), st.integers(1, 22))
def test_rounding_to_n_bits_leaves_n_bits_and_errs_by_half_of_the_last(values: list[float], bits: int) -> None:
    exact = np.array(values, dtype=np.float32)
    found = round_mantissa(exact, bits)
    assert (np.abs(found - exact) <= exact * 2.0 ** -(bits + 1)).all()
    mantissas, _ = np.frexp(found.astype(np.float64))
    assert (mantissas * 2.0 ** (bits + 1) % 1 == 0).all()


def test_ties_are_rounded_to_even_as_python_rounds() -> None:
    steps = np.arange(64, 128, dtype=np.float64) / 4  # two bits more than the four that are kept
    found = round_mantissa(steps.astype(np.float32), 4)
    assert found.tolist() == [float(round(value)) for value in steps]


@given(rows, st.integers(1, 5))
def test_the_heaviest_terms_stay_the_lower_id_of_equals(
    given_rows: list[tuple[list[int], list[float]]], k: int
) -> None:
    vectors = SparseVectors.from_rows(given_rows)
    found = compacted(vectors, Compaction(keep_terms=k), Statistics(100.0))
    for before, after in zip(as_dicts(vectors), as_dicts(found), strict=True):
        assert after == dict(sorted(sorted(before.items(), key=lambda pair: (-pair[1], pair[0]))[:k]))


@given(rows, st.floats(0.1, 0.99))
def test_alpha_mass_keeps_the_fewest_terms_that_hold_the_share(
    given_rows: list[tuple[list[int], list[float]]], share: float
) -> None:
    vectors = SparseVectors.from_rows(given_rows)
    found = compacted(vectors, Compaction(alpha_mass=share), Statistics(100.0))
    for before, after in zip(as_dicts(vectors), as_dicts(found), strict=True):
        total = sum(before.values())
        assert sum(after.values()) >= share * total * (1 - 1e-9)
        if after:
            assert sum(after.values()) - min(after.values()) < share * total * (1 + 1e-9)
            assert min(after.values()) >= max((w for t, w in before.items() if t not in after), default=0)


def test_a_term_below_its_own_threshold_or_the_minimum_goes() -> None:
    vectors = SparseVectors.from_rows([([0, 1, 2], [0.5, 0.5, 2.0]), ([1], [0.1])])
    found = compacted(vectors, Compaction(term_quantile=0.5), Statistics(2.0, np.float32([0.6, 0.5, 0.0])))
    assert as_dicts(found) == [{1: 0.5, 2: 2.0}, {}]
    assert as_dicts(compacted(vectors, Compaction(minimum_weight=0.5), Statistics(2.0))) == [
        {0: 0.5, 1: 0.5, 2: 2.0},
        {},
    ]


@pytest.mark.parametrize(
    "how",
    [
        Compaction(mantissa_bits=3),
        Compaction(levels=20),
        Compaction(alpha_mass=0.8, mantissa_bits=5),
        Compaction(keep_terms=4, levels=9),
    ],
    ids=str,
)
def test_no_score_is_off_by_more_than_the_bound(how: Compaction) -> None:
    rng = np.random.default_rng(3)
    documents = SparseVectors.from_rows(
        (np.sort(rng.choice(50, 12, replace=False)), rng.gamma(1, 1, 12).astype(np.float32)) for _ in range(200)
    )
    statistics = Statistics(float(documents.values.max()))
    found = compacted(documents, how, statistics)
    before, after = as_dicts(documents), as_dicts(found)
    dropped = max((w for a, b in zip(before, after, strict=True) for t, w in a.items() if t not in b), default=0.0)
    bound = error_bound(how, statistics, largest_dropped=dropped)
    for _ in range(20):
        query = dict(enumerate(rng.gamma(1, 1, 50)))
        for a, b in zip(before, after, strict=True):
            exact = sum(query[t] * w for t, w in a.items())
            error = abs(exact - sum(query[t] * w for t, w in b.items()))
            assert error <= exact * bound.relative + sum(query.values()) * bound.absolute + 1e-9


def test_nothing_asked_changes_nothing() -> None:
    vectors = SparseVectors.from_rows([([1, 5], [0.25, 3.0]), ([], [])])
    assert Compaction().is_lossless
    assert as_dicts(compacted(vectors, Compaction(), Statistics(3.0))) == as_dicts(vectors)
    assert str(Compaction(mantissa_bits=6, alpha_mass=0.9)) == "alpha_mass 0.9, mantissa_bits 6"


def test_a_report_ranks_as_deep_as_its_deepest_measure_looks() -> None:
    typed = {"lake": "x", "measures": "ndcg@10,mrr@10", "target": "recall@1000 >= 0.99 of original"}
    options = checked(CompactVectors, typed, place="compact_vectors")
    assert options.all_measures == ("recall@1000", "ndcg@10", "mrr@10")
    assert options.depth == 1000
    assert checked(CompactVectors, {"lake": "x"}, place="compact_vectors").depth == 100
    with pytest.raises(UsageError, match="20,000 ranks"):
        checked(CompactVectors, {"lake": "x", "measures": ["recall@20000"]}, place="compact_vectors")
