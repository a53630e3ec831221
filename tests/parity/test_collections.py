"""On vectors of real texts, recall is 1 and the order that of exact arithmetic, also where scores tie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spladelake.scoring import Queries, TopK
from spladelake.vectors import SparseVectors
from support.collections import collection
from support.exact import exact_top_k, first_of_each, rows_of
from support.real_vectors import RealVectors, real_vectors

# Questions that are ranked, evenly over the collection: all but those of xquad, which has 14,280. Of the documents
# all are: 64,000 at most.
MOST_QUERIES = 1_000
NAMES = [
    "cranfield", "debian-packages-en", "debian-packages-i18n", "msmarco-dl1920", "train-msmarco-scored",
    "train-nq-scored", "vaswani", "xquad",
]  # fmt: skip


@pytest.fixture(scope="module", params=NAMES)
def real(request: Any) -> RealVectors:
    """Vectors of a collection, given by splade-tiny."""
    pytest.importorskip("cognition", reason="carries splade-tiny (extra demo)")
    found = real_vectors(collection(request.param))
    rows = np.linspace(0, len(found.queries) - 1, min(MOST_QUERIES, len(found.queries))).astype(int)
    return replace(found, queries=found.queries.take(rows))


def quantised(vectors: SparseVectors, levels: int) -> SparseVectors:
    """Weights rounded up to that many levels, so that scores tie often."""
    step = vectors.values.max() / levels
    # Multiples of a power of two near the step: sums of products are then exact, and ties are ties.
    step = np.float32(2.0 ** np.round(np.log2(step)))
    values = np.clip(np.ceil(vectors.values / step), 1, levels).astype(np.float32) * step
    return SparseVectors(vectors.indptr, vectors.indices, values)


@pytest.mark.slow
@pytest.mark.collection
@pytest.mark.timeout(1800)  # the first of a collection encodes it: 64,000 documents in 5 minutes
@pytest.mark.parametrize("levels", [None, 16])
def test_recall_is_one_and_the_order_exact_on_every_collection(real: RealVectors, levels: int | None) -> None:
    documents, queries = real.documents, real.queries
    if levels is not None:
        documents, queries = quantised(documents, levels), quantised(queries, levels)
    size, doc_ids = real.vocabulary_size, [f"d{i}" for i in range(len(documents))]
    best = exact_top_k(queries, documents, doc_ids, k=100, vocabulary_size=size)
    for k, wanted in ((100, best), (10, first_of_each(best, 10))):
        # Blocks small enough that filter and thresholds come into play.
        top = TopK(Queries.of(queries, vocabulary_size=size), k=k)
        top.add_vectors(documents, doc_ids, block_size=256)
        found = rows_of(top.result())
        assert found == wanted
        if levels is not None and k == 100:
            assert len({(q, score) for q, _, score in found}) < len(found)
        if levels is None and k == 10:
            assert top.work.filtered > 0
