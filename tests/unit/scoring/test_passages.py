"""Documents ranked by their passages are those that brute force over all passages finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spladelake.errors import DataError
from spladelake.passages import ID_SUFFIX, document_of, passage_id
from spladelake.passages.aggregate import Aggregate, aggregate_of
from spladelake.scoring import BestScores, DocIds, Queries, Ranked, TopDocuments, TopK, blocks_of, merge
from spladelake.vectors import SparseVectors
from unit.scoring.oracle import brute_force, random_vectors, rows_of, shuffled_ids

VOCABULARY = 40


@st.composite
def problems(draw: Callable[..., Any]) -> dict[str, Any]:
    """Queries and passages: some documents of one passage, some of very many, with many ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([None, 1, 2, 16]))
    most = draw(st.sampled_from([1, 3, 60]))
    sizes = rng.integers(1, most + 1, draw(st.integers(1, 40)))
    ids = [
        passage_id(doc_id, n)
        for doc_id, size in zip(sorted(shuffled_ids(rng, len(sizes))), sizes, strict=True)
        for n in range(size)
    ]
    vectors = [
        random_vectors(rng, rows, vocabulary_size=VOCABULARY, most_terms=12, levels=levels) for rows in (4, len(ids))
    ]
    return {"queries": vectors[0], "documents": vectors[1], "doc_ids": ids}


def oracle(problem: dict[str, Any], aggregate: Aggregate, k: int) -> list[tuple[int, str, int]]:
    """(query, best passage, score in 2^-76) of the k best documents, on Python's integers."""
    every = brute_force(**problem, k=10**9, vocabulary_size=VOCABULARY)
    passages = defaultdict(list)
    for query, name, score in every:
        doc_id, number = document_of(name)
        if aggregate.kind != "first" or number == 0:
            passages[query, doc_id].append((-score, number, name))
    count = defaultdict(int)
    for name in problem["doc_ids"]:
        count[document_of(name)[0]] += 1
    rows = []
    for (query, doc_id), found in passages.items():
        found.sort()
        total = -sum(score for score, _, _ in found[: aggregate.best])
        if aggregate.kind == "mean":
            total //= min(aggregate.best, count[doc_id])
        rows.append((query, -total, doc_id.encode(), found[0][2]))
    rows.sort()
    ranked = defaultdict(list)
    for query, minus, _, name in rows:
        ranked[query].append((query, name, -minus))
    return [row for query in sorted(ranked) for row in ranked[query][:k]]


def ranked_by(problem: dict[str, Any], aggregate: Aggregate, k: int, block_size: int) -> Ranked:
    queries = Queries.of(problem["queries"], vocabulary_size=VOCABULARY)
    if aggregate.adds_up:
        top: Any = TopDocuments(
            queries, k=k, best=aggregate.best, mean=aggregate.kind == "mean", suffix=ID_SUFFIX
        )  # fmt: skip
    else:
        top = TopK(queries, k=k, suffix=ID_SUFFIX)
    ids = problem["doc_ids"]
    for first, block in blocks_of(problem["documents"], vocabulary_size=VOCABULARY, block_size=block_size):
        top.add(block, DocIds.of(ids[first : first + len(block)]))
    return top.result()


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from([1, 2, 7, 1000]), st.sampled_from([3, 16, 512]))
def test_the_best_passage_ranks_each_document_once(problem: dict[str, Any], k: int, block_size: int) -> None:
    assert rows_of(ranked_by(problem, Aggregate(), k, block_size)) == oracle(problem, Aggregate(), k)


@settings(max_examples=60, deadline=None)
@given(
    problems(),
    st.sampled_from(["mean-of-top-1", "mean-of-top-3", "sum-of-top-2", "sum-of-top-100"]),
    st.sampled_from([1, 7, 1000]),
    st.sampled_from([3, 16, 512]),
)
def test_sums_and_means_of_the_best_passages_are_exact(
    problem: dict[str, Any], name: str, k: int, block_size: int
) -> None:
    aggregate = aggregate_of(name)
    assert aggregate is not None
    assert rows_of(ranked_by(problem, aggregate, k, block_size)) == oracle(problem, aggregate, k)


@settings(max_examples=40, deadline=None)
@given(problems(), st.sampled_from([1, 3, 20]), st.integers(1, 4), st.randoms())
def test_parts_that_share_documents_merge_to_the_whole(problem: dict[str, Any], k: int, parts: int, rng: Any) -> None:
    """As tasks do: each ranks its passages above the bounds that earlier tasks found."""
    queries = Queries.of(problem["queries"], vocabulary_size=VOCABULARY)
    of_part = np.array([rng.randrange(parts) for _ in problem["doc_ids"]])
    known, found = BestScores(len(queries), k=k, shared=True), []
    for number in range(parts):
        rows = np.flatnonzero(of_part == number)
        top = TopK(queries, k=k, lower_bounds=known.bounds(), suffix=ID_SUFFIX)
        top.add_vectors(problem["documents"].take(rows), [problem["doc_ids"][row] for row in rows], block_size=32)
        found.append(top.result())
        known.add(found[-1], first=0)
    assert rows_of(merge(found, k=k, suffix=ID_SUFFIX)) == oracle(problem, Aggregate(), k)


def test_a_document_of_more_passages_than_any_block_leaves_room_for_k_documents() -> None:
    """50,000 passages that all beat the other documents, in many blocks: they take one place."""
    long = 50_000
    rows = [([0], [2.0 + n / long]) for n in range(long)] + [([0], [1.0])] * 3
    ids = [passage_id("long", n) for n in range(long)] + [passage_id(f"d{n}", 0) for n in range(3)]
    problem = {"queries": SparseVectors.from_rows([([0], [1.0])]), "documents": SparseVectors.from_rows(rows)}
    found = ranked_by({**problem, "doc_ids": ids}, Aggregate(), 3, 8_192)
    assert found.doc_ids.to_strings() == [passage_id("long", long - 1), passage_id("d0", 0), passage_id("d1", 0)]


def test_sums_beyond_64_bits_are_refused() -> None:
    problem = {
        "queries": SparseVectors.from_rows([([0], [2.0])]),
        "documents": SparseVectors.from_rows([([0], [2.0**30])] * 3),
        "doc_ids": [passage_id("d", n) for n in range(3)],
    }
    with pytest.raises(DataError, match="the sum of the 3 best passages"):
        ranked_by(problem, Aggregate("sum", 3), 1, 8)


@pytest.mark.parametrize("name", ["mean-of-top-n", "mean-of-top-0", "top", "sum", "3", "mean-of-top-1000"])
def test_other_names_are_no_aggregate(name: str) -> None:
    assert aggregate_of(name) is None
