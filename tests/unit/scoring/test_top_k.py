"""The k best documents are those that brute force finds, in the same order, however the work is cut and skipped."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spladelake.errors import DataError, UsageError
from spladelake.scoring import DocIds, Queries, Ranked, TooLargeError, TopK, blocks_of, merge, query_passes
from spladelake.scoring.shortlist import places_for
from spladelake.vectors import SparseVectors
from support.collections import collection
from support.exact import exact_top_k, first_of_each
from unit.scoring.oracle import brute_force, dense, random_vectors, rows_of, shuffled_ids

VOCABULARY = 60


def top_k(
    queries: SparseVectors,
    documents: SparseVectors,
    doc_ids: Sequence[str],
    *,
    k: int,
    block_size: int = 64,
    vocabulary_size: int = VOCABULARY,
    expected: float | None = None,
    lower_bounds: Any = None,
) -> Ranked:
    """The whole of it. expected: share of a block's documents taken for candidates before each block, which decides
    between looking up few documents after the filter (0) and scoring all (1); None leaves it to what is found."""
    top = TopK(Queries.of(queries, vocabulary_size=vocabulary_size), k=k, lower_bounds=lower_bounds)
    for first, block in blocks_of(documents, vocabulary_size=vocabulary_size, block_size=block_size):
        if expected is not None:
            top._density.fill(expected)
        top.add(block, doc_ids[first : first + len(block)])
    return top.result()


@st.composite
def problems(draw: Callable[..., Any]) -> dict[str, Any]:
    """Queries, documents and ids: ties or none, empty rows, duplicates of documents."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([None, 1, 2, 16]))
    queries = random_vectors(rng, draw(st.integers(1, 8)), vocabulary_size=VOCABULARY, most_terms=20, levels=levels)
    documents = random_vectors(
        rng, draw(st.integers(0, 300)), vocabulary_size=VOCABULARY, most_terms=draw(st.integers(1, 25)), levels=levels
    )
    if len(documents) and draw(st.booleans()):
        documents = documents.take(rng.integers(0, len(documents), 2 * len(documents)))
    return {"queries": queries, "documents": documents, "doc_ids": shuffled_ids(rng, len(documents))}


many = settings(max_examples=150, deadline=None)


@many
@given(
    problem=problems(),
    k=st.sampled_from([1, 2, 7, 50, 1000]),
    block_size=st.sampled_from([1, 7, 64, 4096]),
    expected=st.sampled_from([None, 0.0, 1e9]),
)
def test_scores_and_order_are_those_of_brute_force(
    problem: dict[str, Any], k: int, block_size: int, expected: float | None
) -> None:
    wanted = brute_force(**problem, k=k, vocabulary_size=VOCABULARY)
    assert rows_of(top_k(**problem, k=k, block_size=block_size, expected=expected)) == wanted


@many
@given(problem=problems(), k=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_the_order_of_documents_does_not_matter(problem: dict[str, Any], k: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(problem["documents"]))
    documents, doc_ids = problem["documents"].take(order), [problem["doc_ids"][i] for i in order]
    found = top_k(problem["queries"], documents, doc_ids, k=k, expected=0.0)
    assert rows_of(found) == rows_of(top_k(**problem, k=k))


@many
@given(problem=problems(), k=st.integers(1, 40), parts=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_partial_results_merge_to_the_whole(problem: dict[str, Any], k: int, parts: int, seed: int) -> None:
    part_of = np.random.default_rng(seed).integers(0, parts, len(problem["documents"]))
    partial = []
    for part in range(parts):
        rows = np.flatnonzero(part_of == part)
        doc_ids = [problem["doc_ids"][i] for i in rows]
        partial.append(top_k(problem["queries"], problem["documents"].take(rows), doc_ids, k=k, expected=0.0))
    assert rows_of(merge(partial, k=k)) == rows_of(top_k(**problem, k=k))


@many
@given(problem=problems(), k=st.integers(1, 40), sample=st.integers(0, 300), expected=st.sampled_from([None, 0.0]))
def test_bounds_from_a_sample_cut_nothing_that_belongs(
    problem: dict[str, Any], k: int, sample: int, expected: float | None
) -> None:
    queries = Queries.of(problem["queries"], vocabulary_size=VOCABULARY)
    seen = TopK(queries, k=k)
    rows = np.arange(min(sample, len(problem["documents"])))
    seen.add_vectors(problem["documents"].take(rows), problem["doc_ids"][: len(rows)])
    bounds = seen.lower_bounds()
    found = top_k(**problem, k=k, lower_bounds=bounds, expected=expected)
    wanted = rows_of(top_k(**problem, k=k))
    full = [sum(row[0] == q for row in wanted) == k for q in range(len(queries))]
    assert [row for row in rows_of(found) if full[row[0]]] == [row for row in wanted if full[row[0]]]
    assert all(row[2] >> 46 >= bounds[row[0]] for row in rows_of(found))


@many
@given(problem=problems(), k=st.integers(1, 40), most=st.integers(1, 3))
def test_passes_of_queries_give_the_rows_of_one_pass(problem: dict[str, Any], k: int, most: int) -> None:
    passes = list(
        query_passes(problem["queries"], vocabulary_size=VOCABULARY, k=k, most_bytes=most * places_for(k) * 20)
    )
    assert [len(queries) for queries in passes[:-1]] == [most] * (len(passes) - 1)
    results = []
    for queries in passes:
        top = TopK(pickle.loads(pickle.dumps(queries)), k=k)
        top.add_vectors(problem["documents"], problem["doc_ids"], block_size=50)
        results.append(top.result())
    assert [row for result in results for row in rows_of(result)] == rows_of(top_k(**problem, k=k))


def test_a_score_is_whole_units_and_a_rest_that_is_cut_and_carried() -> None:
    # 1.5 × 2.5 = 3.75 is 3.75 × 2^30 units. 3 × 2^-32 = 0.75 units leaves 0.75 × 2^46 rests, twice: 1.5 units, of
    # which one is carried. 2^-40 × 2^-36 = 2^-76 is one rest; 3 × 2^-77 = 1.5 rests is cut to one.
    queries = SparseVectors.from_rows([([1, 4, 5, 6, 7], [1.5, 3.0, 2.0**-32, 2.0**-40, 3.0])])
    documents = SparseVectors.from_rows([([1, 4, 5, 6, 7], [2.5, 2.0**-32, 3.0, 2.0**-36, 2.0**-77])])
    for expected in (0.0, 1e9):
        found = top_k(queries, documents, ["d"], k=1, expected=expected)
        assert (found.units.tolist(), found.rests.tolist()) == ([int(3.75 * 2**30) + 1], [2**45 + 2])
        assert found.scores.tolist() == [3.75 + 1.5 * 2**-30]


def test_scores_that_differ_in_the_last_bit_of_a_product_are_told_apart() -> None:
    # 1 + 2^-23 is the float32 after 1: its square is 1 + 2^-22 + 2^-46, and a double holds it exactly.
    after_one = 1 + 2.0**-23
    queries = SparseVectors.from_rows([([0, 1], [after_one, 1.0])])
    documents = SparseVectors.from_rows([([0], [after_one]), ([0, 1], [1.0, 2.0**-23]), ([0, 1], [1.0, 2.0**-22])])
    found = rows_of(top_k(queries, documents, ["a", "b", "c"], k=3))
    scores = [1 + Fraction(3, 2**23), 1 + Fraction(1, 2**22) + Fraction(1, 2**46), 1 + Fraction(1, 2**22)]
    assert found == [(0, doc_id, score * 2**76) for doc_id, score in zip("cab", scores, strict=True)]


def test_scores_are_the_exact_dot_products_of_weights_of_usual_size() -> None:
    rng = np.random.default_rng(9)
    documents = random_vectors(rng, 60, vocabulary_size=VOCABULARY, most_terms=25)
    queries = random_vectors(rng, 5, vocabulary_size=VOCABULARY, most_terms=20)
    found = top_k(queries, documents, [str(i) for i in range(60)], k=60)
    assert len(found) > 200
    for (q, doc_id, score), value in zip(rows_of(found), found.scores.tolist(), strict=True):
        query, document = (dict(zip(*v.row(i), strict=True)) for v, i in ((queries, q), (documents, int(doc_id))))
        exact = sum(Fraction(float(query[t])) * Fraction(float(document[t])) for t in query.keys() & document.keys())
        assert score == exact * 2**76
        assert value == float(exact)


def test_a_shared_term_makes_a_candidate_even_where_the_product_is_cut_to_nothing() -> None:
    queries = SparseVectors.from_rows([([3], [1e-30])])
    documents = SparseVectors.from_rows([([3], [1e-20]), ([4], [5.0]), ([3], [2e-20])])
    assert rows_of(top_k(queries, documents, ["b", "c", "a"], k=5)) == [(0, "a", 0), (0, "b", 0)]


def test_equal_scores_go_by_the_bytes_of_the_id() -> None:
    doc_ids = ["b", "B", "a10", "a9", "a", "ä", "\U0001f600", "\uffff", ""]
    documents = SparseVectors.from_rows([([0], [1.0])] * len(doc_ids))
    ranked = top_k(SparseVectors.from_rows([([0], [1.0])]), documents, doc_ids, k=20, block_size=2)
    # U+FFFF comes before U+1F600 in UTF-8 and in Spark; UTF-16 would turn them round.
    assert ranked.doc_ids.to_strings() == ["", "B", "a", "a10", "a9", "b", "ä", "\uffff", "\U0001f600"]
    assert ranked.ranks.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_ties_at_the_last_rank_are_cut_by_id_over_all_blocks() -> None:
    rng = np.random.default_rng(3)
    doc_ids = [f"d{n:05}" for n in rng.permutation(5000)]
    documents = SparseVectors.from_rows([([0, 1], [1.0, 0.5])] * 5000)
    ranked = top_k(SparseVectors.from_rows([([1], [2.0])]), documents, doc_ids, k=10, block_size=300)
    assert ranked.doc_ids.to_strings() == [f"d{n:05}" for n in range(10)]


def test_queries_without_terms_or_hits_have_no_row_and_ranks_start_over() -> None:
    queries = SparseVectors.from_rows([([], []), ([2], [1.0]), ([7], [1.0]), ([2, 3], [1.0, 1.0])])
    documents = SparseVectors.from_rows([([2], [1.0]), ([], []), ([3], [3.0])])
    ranked = top_k(queries, documents, ["x", "y", "z"], k=9)
    assert ranked.queries.tolist() == [1, 3, 3]
    assert ranked.ranks.tolist() == [1, 1, 2]
    assert ranked.doc_ids.to_strings() == ["x", "z", "x"]


def test_ids_are_forgotten_without_losing_those_of_the_best() -> None:
    # 20 blocks of 8,192 ids pass the 65,536 that are kept in any case, twice.
    top = TopK(Queries.of(SparseVectors.from_rows([([0], [1.0])]), vocabulary_size=1), k=3)
    for block in range(20):
        weights = np.linspace(1, 2, 8192, dtype=np.float32) + np.float32(block % 7)
        documents = SparseVectors(np.arange(8193), np.zeros(8192, dtype=np.int32), weights)
        top.add_vectors(documents, [f"{block}-{i}" for i in range(8192)])
    assert top._best.ids.rows < 20 * 8192
    assert top.result().doc_ids.to_strings() == ["13-8191", "6-8191", "13-8190"]


@pytest.mark.parametrize(("levels", "ks"), [(None, (1000, 10)), (16, (100,))])
def test_many_documents_are_filtered_and_still_ranked_exactly(levels: int | None, ks: tuple[int, ...]) -> None:
    rng = np.random.default_rng(11)
    size = 400
    documents = random_vectors(rng, 6_000, vocabulary_size=size, most_terms=80, levels=levels)
    queries = random_vectors(rng, 30, vocabulary_size=size, most_terms=30, levels=levels)
    doc_ids = shuffled_ids(rng, len(documents))
    wanted = brute_force(queries, documents, doc_ids, k=ks[0], vocabulary_size=size)
    for k in ks:
        top = TopK(Queries.of(queries, vocabulary_size=size), k=k)
        top.add_vectors(documents, doc_ids, block_size=1000)
        assert rows_of(top.result()) == first_of_each(wanted, k)
        if k == 10:
            assert top.work.filtered > top.work.scored_in_full
            assert top.work.looked_up < 0.2 * len(documents) * len(queries)


def test_a_block_as_large_as_can_be_is_filtered_and_ranked_exactly() -> None:
    # Every document has term 0: its postings are as many as 16 bits count, plus one.
    rng = np.random.default_rng(17)
    indptr = np.arange(0, 2 * 131_072 + 1, 2)
    terms = np.tile(np.array([0, 1], dtype=np.int32), 131_072)
    terms[1::2] += rng.integers(0, 40, 131_072, dtype=np.int32)
    documents = SparseVectors(indptr, terms, rng.gamma(2.0, 0.5, 2 * 131_072).astype(np.float32))
    queries = random_vectors(rng, 40, vocabulary_size=41, most_terms=30)
    doc_ids = [f"{n:06}" for n in rng.permutation(131_072)]
    top = TopK(Queries.of(queries, vocabulary_size=41), k=5)
    top.add_vectors(documents, doc_ids, block_size=65_536)
    assert rows_of(top.result()) == exact_top_k(queries, documents, doc_ids, k=5, vocabulary_size=41)
    assert top.work.filtered > 0


def test_more_shared_terms_than_are_listed_at_once_are_scored_exactly() -> None:
    # Half of 20,000 documents are looked up, with some ten terms each: more than the 65,536 of a list.
    rng = np.random.default_rng(23)
    documents = random_vectors(rng, 20_000, vocabulary_size=VOCABULARY, most_terms=25)
    queries = SparseVectors.from_rows([(np.arange(40), rng.gamma(2.0, 0.5, 40).astype(np.float32)) for _ in range(2)])
    doc_ids = shuffled_ids(rng, len(documents))
    wanted = brute_force(queries, documents, doc_ids, k=10_000, vocabulary_size=VOCABULARY)
    assert len(wanted) == 20_000
    bounds = np.array([wanted[9_999][2] >> 46, wanted[19_999][2] >> 46])
    shared = dense(queries, VOCABULARY)[0] > 0
    assert (dense(documents, VOCABULARY)[:, shared] > 0).sum() > 65_536 * 2
    found = top_k(queries, documents, doc_ids, k=10_000, block_size=65_536, expected=0.0, lower_bounds=bounds)
    assert rows_of(found) == wanted


def test_long_queries_and_uneven_weights_stay_exact() -> None:
    # Documents as queries: hundreds of terms, weights over six orders of magnitude.
    rng = np.random.default_rng(5)
    size = 3000
    documents = random_vectors(rng, 600, vocabulary_size=size, most_terms=1500)
    uneven = documents.values * np.float32(10) ** rng.uniform(-4, 2, len(documents.values)).astype(np.float32)
    documents = SparseVectors(documents.indptr, documents.indices, uneven)
    queries = documents.take(np.arange(0, 600, 60))
    doc_ids = shuffled_ids(rng, len(documents))
    wanted = brute_force(queries, documents, doc_ids, k=5, vocabulary_size=size)
    for expected in (0.0, 1e9):
        found = top_k(queries, documents, doc_ids, k=5, block_size=200, vocabulary_size=size, expected=expected)
        assert rows_of(found) == wanted


@pytest.mark.collection
@pytest.mark.parametrize("model", ["splade-pp-ed", "splade-v3"])
def test_published_query_encodings_rank_exactly(model: str) -> None:
    path = collection("msmarco-dl1920") / "reference_query_encodings" / f"{model}.jsonl"
    encoded = [json.loads(line)["weights"] for line in path.read_text(encoding="utf-8").split("\n") if line]
    terms = sorted({term for weights in encoded for term in weights})
    number = {term: i for i, term in enumerate(terms)}
    rows = [sorted((number[term], weight) for term, weight in weights.items()) for weights in encoded]
    queries = SparseVectors.from_rows([([t for t, _ in row], [w for _, w in row]) for row in rows])
    rng = np.random.default_rng(7)
    documents = random_vectors(rng, 1000, vocabulary_size=len(terms), most_terms=150, levels=16)
    doc_ids = shuffled_ids(rng, len(documents))
    for expected in (None, 0.0):
        found = top_k(queries, documents, doc_ids, k=20, block_size=256, vocabulary_size=len(terms), expected=expected)
        assert rows_of(found) == brute_force(queries, documents, doc_ids, k=20, vocabulary_size=len(terms))


def end_of_range(rng: np.random.Generator, rows: int, exponents: np.ndarray, *, tiny: float) -> SparseVectors:
    """Rows of half the terms, weights near 2^exponent of the term, and that share of them the smallest there are."""
    pairs = []
    for _ in range(rows):
        terms = np.flatnonzero(rng.random(len(exponents)) < 0.5)
        weights = rng.uniform(1, 2, len(terms)) * 2.0 ** exponents[terms]
        weights[rng.random(len(terms)) < tiny] = 2.0 ** -rng.integers(140, 150)
        pairs.append((terms, np.maximum(weights, 2.0**-149).astype(np.float32)))
    return SparseVectors.from_rows(pairs)


@pytest.mark.parametrize("largest", [20, 126])
@pytest.mark.parametrize("expected", [None, 0.0, 1e9])
@pytest.mark.parametrize("k", [1, 20, 1000])
def test_weights_at_the_ends_of_float32_neither_drop_a_document_nor_change_the_order(
    largest: int, expected: float | None, k: int
) -> None:
    # Frequent terms of both kinds: huge in queries and tiny in documents, and the other way round.
    rng = np.random.default_rng(largest)
    exponents = rng.choice([-largest, -largest // 2, 0, largest // 2, largest], 40)
    queries = end_of_range(rng, 12, exponents, tiny=0.1)
    documents = end_of_range(rng, 600, -exponents, tiny=0.1)
    doc_ids = shuffled_ids(rng, len(documents))
    wanted = brute_force(queries, documents, doc_ids, k=k, vocabulary_size=40)
    found = top_k(queries, documents, doc_ids, k=k, vocabulary_size=40, block_size=150, expected=expected)
    assert rows_of(found) == wanted


def test_queries_of_more_terms_than_64_bits_of_rests_hold_are_exact() -> None:
    # Each product leaves almost a whole unit: 140,000 of them pass 2^63 rests.
    terms, below_one = np.arange(140_000), 1 - 2.0**-24
    weights = np.full(len(terms), below_one * 2.0**-15)
    vectors = SparseVectors.from_rows([(terms, weights)])
    found = top_k(vectors, vectors, ["d"], k=1, vocabulary_size=len(terms))
    assert rows_of(found) == [(0, "d", len(terms) * int(Fraction(below_one) ** 2 * 2**46))]


def test_a_score_that_could_overflow_is_refused_with_its_query() -> None:
    queries = SparseVectors.from_rows([([0], [1.0]), ([0, 1], [1e5, 1e5])])
    documents = SparseVectors.from_rows([([0, 1], [3e4, 3e4])])
    # 2 × 1e5 × 3e4 = 6e9, above 2^32 = 4,294,967,296.
    found = "the score of the query with a document may exceed 4,294,967,296; "
    with pytest.raises(TooLargeError, match=f"query number 1: {found}") as refused:
        top_k(queries, documents, ["d"], k=1)
    assert str(refused.value.named("q7")).startswith(f"query 'q7': {found}")
    huge = SparseVectors.from_rows([([0], [3e38])])
    with pytest.raises(DataError, match="query number 0: the score"):
        top_k(huge, huge, ["d"], k=1)


def test_scores_just_below_the_limit_are_exact() -> None:
    queries = SparseVectors.from_rows([([0], [2.0**16])])
    documents = SparseVectors.from_rows([([0], [2.0**16 - 2.0**-8])])
    assert top_k(queries, documents, ["d"], k=1).units.tolist() == [2**62 - 2**38]


def test_the_products_of_the_join_are_counted_whatever_is_skipped() -> None:
    rng = np.random.default_rng(4)
    documents = random_vectors(rng, 2000, vocabulary_size=VOCABULARY, most_terms=25)
    queries = random_vectors(rng, 9, vocabulary_size=VOCABULARY, most_terms=20)
    top = TopK(Queries.of(queries, vocabulary_size=VOCABULARY), k=1)
    top.add_vectors(documents, [str(i) for i in range(2000)], block_size=100)
    joined = (dense(queries, VOCABULARY) > 0).astype(int) @ (dense(documents, VOCABULARY) > 0).astype(int).T
    assert top.work.products == joined.sum()
    assert top.work.filtered + top.work.scored_in_full < 20 * 9


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(k: int) -> None:
    with pytest.raises(UsageError, match=f"k: the value is {k}"):
        TopK(Queries.of(SparseVectors.from_rows([([0], [1.0])]), vocabulary_size=1), k=k)
    with pytest.raises(UsageError, match=f"k: the value is {k}"):
        list(query_passes(SparseVectors.from_rows([([0], [1.0])]), vocabulary_size=1, k=k))
    with pytest.raises(UsageError, match=f"k: the value is {k}"):
        merge([], k=k)


def test_what_does_not_belong_together_is_refused() -> None:
    rows = SparseVectors.from_rows([([0], [1.0])])
    top = TopK(Queries.of(rows, vocabulary_size=5), k=1)
    (_, block), *_ = blocks_of(rows, vocabulary_size=6)
    with pytest.raises(DataError, match="the vocabulary has 6 terms"):
        top.add(block, ["d"])
    (_, block), *_ = blocks_of(rows, vocabulary_size=5)
    with pytest.raises(DataError, match="2 ids for 1 documents"):
        top.add(block, ["d", "e"])
    with pytest.raises(UsageError, match="lower_bounds: there are 2 bounds"):
        TopK(Queries.of(rows, vocabulary_size=5), k=1, lower_bounds=np.zeros(2, dtype=np.int64))


def test_ids_pass_as_bytes_too() -> None:
    ids = DocIds.of(["a", "", "bcd"])
    assert (ids.starts.tolist(), ids.data.tobytes()) == ([0, 1, 1, 4], b"abcd")
    assert DocIds.of(ids) is ids
    assert ids.take(np.array([2, 0], dtype=np.int32)).to_strings() == ["bcd", "a"]
    assert ids.slice(1, 3).to_strings() == ["", "bcd"]
    assert merge([], k=3).doc_ids.to_strings() == []
