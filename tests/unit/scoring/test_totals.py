"""Scores of whole blocks, thresholds of a block and the order of shortlists stay exact for weights of any size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spladelake.scoring import DocIds, Queries, Ranked, TopK, merge
from spladelake.scoring.code_cache import keep_on_disk
from spladelake.scoring.columns import first_not_below
from spladelake.vectors import SparseVectors
from unit.scoring.oracle import brute_force, random_vectors, rows_of, shuffled_ids

SIZE = 60


def scaled(vectors: SparseVectors, factor: float) -> SparseVectors:
    return SparseVectors(vectors.indptr, vectors.indices, vectors.values * np.float32(factor))


def found(queries: SparseVectors, documents: SparseVectors, ids: list[str], *, k: int) -> list[tuple[int, str, int]]:
    """The whole in one block, so that every document's score is added up."""
    top = TopK(Queries.of(queries, vocabulary_size=SIZE), k=k)
    top.add_vectors(documents, ids)
    assert top.work.filtered == 0
    return rows_of(top.result())


# 2^20 is the score from which products are converted one by one; 2^-38 times itself is the last bit of a score.
@pytest.mark.parametrize("levels", [None, 2, 16])
@pytest.mark.parametrize(
    ("of_queries", "of_documents"),
    [(1, 1), (2.0**9, 2.0**9), (2.0**10, 2.0**10), (2.0**11, 2.0**11), (2.0**-20, 2.0**20), (2.0**-38, 2.0**-38)],
)
def test_all_documents_of_a_block_are_scored_exactly_at_any_size_of_weights(
    of_queries: float, of_documents: float, levels: int | None
) -> None:
    rng = np.random.default_rng(29)
    queries = scaled(random_vectors(rng, 6, vocabulary_size=SIZE, most_terms=20, levels=levels), of_queries)
    documents = scaled(random_vectors(rng, 400, vocabulary_size=SIZE, most_terms=25, levels=levels), of_documents)
    ids = shuffled_ids(rng, 400)
    for k in (1, 10, 399, 1000):
        assert found(queries, documents, ids, k=k) == brute_force(queries, documents, ids, k=k, vocabulary_size=SIZE)


def test_a_term_with_more_postings_than_are_added_at_once_is_added_whole() -> None:
    rng = np.random.default_rng(31)
    weights = rng.gamma(2.0, 0.5, 1000).astype(np.float32)
    documents = SparseVectors(np.arange(1001), np.full(1000, 7, dtype=np.int32), weights)
    ids = shuffled_ids(rng, 1000)
    queries = SparseVectors.from_rows([([7], [1.25])])
    for k in (257, 1000):
        assert found(queries, documents, ids, k=k) == brute_force(queries, documents, ids, k=k, vocabulary_size=SIZE)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32), size=st.integers(1, 400), bits=st.sampled_from([0, 1, 8, 9, 40, 62]),
    k=st.sampled_from([1, 60, 1000]),
)  # fmt: skip
def test_documents_are_ordered_by_units_then_rests_then_ids(seed: int, size: int, bits: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    units, rests = rng.integers(0, 2**bits, size, endpoint=True), rng.integers(0, 3, size)
    ids = shuffled_ids(rng, size)
    ranked = merge([Ranked(np.zeros(size, dtype=np.int32), DocIds.of(ids), units, rests)], k=k)
    wanted = sorted(zip(-units, -rests, (i.encode() for i in ids), strict=True))[:k]
    assert list(zip(-ranked.units, -ranked.rests, ranked.doc_ids.to_bytes(), strict=True)) == wanted


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(0, 300), start=st.integers(0, 300))
def test_the_search_for_a_term_starts_anywhere_and_ends_where_numpys_does(seed: int, size: int, start: int) -> None:
    keep_on_disk(first_not_below, first_not_below.py_func)
    rng = np.random.default_rng(seed)
    terms = np.unique(rng.integers(0, 1000, size)).astype(np.int32)
    start = min(start, len(terms))
    for term in rng.integers(0, 1001, 5).tolist():
        assert first_not_below(terms, term, start) == start + np.searchsorted(terms[start:], term)


def test_threads_score_blocks_of_different_sizes_at_the_same_time() -> None:
    rng = np.random.default_rng(37)
    queries = random_vectors(rng, 5, vocabulary_size=SIZE, most_terms=20)
    documents = random_vectors(rng, 900, vocabulary_size=SIZE, most_terms=25)
    ids = shuffled_ids(rng, 900)
    wanted = brute_force(queries, documents, ids, k=20, vocabulary_size=SIZE)

    def rows(block_size: int) -> list[tuple[int, str, int]]:
        top = TopK(Queries.of(queries, vocabulary_size=SIZE), k=20)
        top.add_vectors(documents, ids, block_size=block_size)
        return rows_of(top.result())

    with ThreadPoolExecutor(4) as pool:
        assert all(of == wanted for of in pool.map(rows, [900, 64, 300, 7] * 5))


def test_one_query_is_prepared_like_many() -> None:
    rng = np.random.default_rng(41)
    vectors = random_vectors(rng, 8, vocabulary_size=SIZE, most_terms=20)
    for q in range(8):
        one = Queries.of(vectors.take(np.array([q])), vocabulary_size=SIZE)
        indices, values = vectors.row(q)
        assert one.terms[one.slots].tolist() == indices.tolist()
        assert one.weights.tolist() == values.tolist()
        assert (one.indptr.tolist(), one.uses.tolist()) == ([0, len(indices)], [1] * len(indices))
