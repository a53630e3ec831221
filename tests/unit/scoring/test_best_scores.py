"""Scores remembered without documents give the bound that all documents together would give."""

from __future__ import annotations

import numpy as np
import pytest

from spladelake.scoring import BestScores, Queries, TopK
from unit.scoring.oracle import random_vectors, shuffled_ids

VOCABULARY = 60


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("k", [1, 7, 60])
def test_bounds_learned_in_parts_are_those_of_all_documents_at_once(k: int, levels: int | None) -> None:
    rng = np.random.default_rng(k)
    queries = Queries.of(
        random_vectors(rng, 9, vocabulary_size=VOCABULARY, most_terms=10, levels=levels),
        vocabulary_size=VOCABULARY,
        first=30,
    )
    documents = random_vectors(rng, 400, vocabulary_size=VOCABULARY, most_terms=12, levels=levels)
    ids = shuffled_ids(rng, 400)
    whole, learned = TopK(queries, k=k), BestScores(len(queries), k=k)
    whole.add_vectors(documents, ids)
    for first in range(0, 400, 90):
        part = TopK(queries, k=k, lower_bounds=learned.bounds())
        rows = np.arange(first, min(first + 90, 400))
        part.add_vectors(documents.take(rows), [ids[row] for row in rows])
        learned.add(part.result(), first=30)
    assert learned.bounds().tolist() == whole.lower_bounds().tolist()
    assert learned.bounds().any()
