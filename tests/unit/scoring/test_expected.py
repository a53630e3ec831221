"""What a sample leads to expect is reached by as many documents as are wanted, and by few more."""

from __future__ import annotations

import numpy as np
import pytest

from spladelake.scoring import SCORE_UNITS, DocIds, Queries, expected_bounds
from spladelake.vectors import SparseVectors
from unit.scoring.oracle import dense, random_vectors

VOCABULARY, DOCUMENTS = 200, 20_000


@pytest.fixture(scope="module")
def corpus() -> tuple[SparseVectors, Queries, np.ndarray]:
    """Documents, queries, and their scores: float64 (queries, documents)."""
    rng = np.random.default_rng(5)
    documents = random_vectors(rng, DOCUMENTS, vocabulary_size=VOCABULARY, most_terms=60)
    asked = random_vectors(rng, 30, vocabulary_size=VOCABULARY, most_terms=12)
    asked = asked.take(np.flatnonzero(asked.active_dims > 3))
    return documents, Queries.of(asked, vocabulary_size=VOCABULARY), dense(asked, VOCABULARY) @ dense(
        documents, VOCABULARY
    ).T  # fmt: skip


def parts_of(documents: SparseVectors, parts: int, rows: int) -> list[tuple[SparseVectors, DocIds]]:
    """Neighbouring rows from all over the corpus."""
    firsts = range(0, len(documents), len(documents) // parts)
    ids = [f"d{i}" for i in range(len(documents))]
    chosen = [np.arange(first, first + rows) for first in firsts]
    return [(documents.take(part), DocIds.of([ids[i] for i in part])) for part in chosen]


@pytest.mark.parametrize("k", [20, 200, 1000])
def test_k_documents_and_not_many_more_reach_the_bound(corpus: tuple, k: int) -> None:
    documents, queries, scores = corpus
    expected = expected_bounds(queries, parts_of(documents, 8, 256), k=k, documents=DOCUMENTS)
    reached = (scores * SCORE_UNITS >= expected.bounds[:, None]).sum(axis=1)
    assert (expected.bounds > 0).all()
    assert (reached >= k).all()
    # k·m/N documents of the sample are among the k best, and 5 deviations and 3 more are taken: of each, N/m documents.
    share = 2048 / DOCUMENTS
    taken = k * share + 5 * np.sqrt(k * share) + 3
    assert reached.mean() == pytest.approx(taken / share, rel=0.3)
    assert expected.density == pytest.approx(np.full(len(queries), np.ceil(taken) / 2048))


def test_a_part_that_is_all_about_a_query_does_not_set_the_bound(corpus: tuple) -> None:
    documents, queries, scores = corpus
    best = np.argsort(-scores[0])[:256]
    spread = parts_of(documents, 8, 256)
    about = [(documents.take(np.sort(best)), DocIds.of([f"b{i}" for i in range(256)])), *spread[1:]]
    expected = expected_bounds(queries, about, k=200, documents=DOCUMENTS)
    assert (scores[0] * SCORE_UNITS >= expected.bounds[0]).sum() >= 200


def test_a_sample_in_which_too_few_documents_match_leads_to_no_bound(corpus: tuple) -> None:
    documents, queries, _ = corpus
    no_match = documents.take(np.flatnonzero(documents.active_dims == 0)[:40])
    parts = [(no_match, DocIds.of([f"e{i}" for i in range(len(no_match))]))] * 4
    for few in (parts, parts_of(documents, 2, 1)):
        expected = expected_bounds(queries, few, k=1000, documents=DOCUMENTS)
        assert expected.bounds.tolist() == [0] * len(queries)
        assert expected.density.tolist() == [1.0] * len(queries)
