"""What tasks hand over and a worker merges is the ranking of all documents at once, also where scores tie."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from spladelake.scoring import Queries, Ranked, TopK
from spladelake.spark.retrieve import candidates
from spladelake.spark.retrieve.candidates import Kept, MergeCandidates, packed
from spladelake.vectors import SparseVectors
from unit.scoring.oracle import brute_force, random_vectors, shuffled_ids

VOCABULARY = 40
QUERY_IDS = [f"q{n}" for n in range(9)]


def of_task(queries: SparseVectors, documents: SparseVectors, doc_ids: list[str], *, k: int) -> Ranked:
    top = TopK(Queries.of(queries, vocabulary_size=VOCABULARY), k=k)
    top.add_vectors(documents, doc_ids)
    return top.result()


@pytest.mark.parametrize("rows_at_once", [1, 50, candidates.ROWS_AT_ONCE])
@pytest.mark.parametrize("levels", [1, 3, None])
def test_merged_candidates_are_the_ranking_of_brute_force(
    levels: int | None, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "ROWS_AT_ONCE", rows_at_once)
    rng = np.random.default_rng(13)
    queries = random_vectors(rng, len(QUERY_IDS), vocabulary_size=VOCABULARY, most_terms=6, levels=levels)
    documents = random_vectors(rng, 300, vocabulary_size=VOCABULARY, most_terms=8, levels=levels)
    doc_ids = shuffled_ids(rng, 300)
    kept = (Kept(7, False, 0.0), Kept(40, False, 0.0))
    task_of, batches = rng.integers(0, 4, 300), []
    for number, run in enumerate(kept):
        for task in range(4):
            rows = np.flatnonzero(task_of == task)
            ranked = of_task(queries, documents.take(rows), [doc_ids[row] for row in rows], k=run.depth)
            batches += list(packed(ranked, run=number, names=pa.array(QUERY_IDS)))
    merge = MergeCandidates(kept, "documents")
    found = [row for batch in merge(batches[i] for i in rng.permutation(len(batches))) for row in batch.to_pylist()]
    for number, run in enumerate(kept):
        wanted = brute_force(queries, documents, doc_ids, k=run.k, vocabulary_size=VOCABULARY)
        of_run = [(row["query_id"], row["doc_id"], row["score"]) for row in found if row["run"] == number]
        assert of_run == [(QUERY_IDS[q], doc_id, score / 2**76) for q, doc_id, score in wanted]
        ranks = [row["rank"] for row in found if row["run"] == number]
        assert ranks == [sum(q == earlier for earlier, _, _ in wanted[: i + 1]) for i, (q, _, _) in enumerate(wanted)]


def test_the_querys_own_document_and_low_scores_are_left_out_and_the_next_take_their_places() -> None:
    queries = SparseVectors.from_rows([([0], [1.0])])
    documents = SparseVectors.from_rows([([0], [weight]) for weight in (2.0, 3.0, 2.0, 1.0, 0.5)])
    kept = Kept(3, True, 1.0)
    ranked = of_task(queries, documents, ["b", "q0", "a", "c", "d"], k=kept.depth)
    merge = MergeCandidates((kept,), "documents")
    rows = [row for batch in merge(packed(ranked, run=0, names=pa.array(["q0"]))) for row in batch.to_pylist()]
    assert [(row["doc_id"], row["rank"], row["score"]) for row in rows] == [("a", 1, 2.0), ("b", 2, 2.0), ("c", 3, 1.0)]
