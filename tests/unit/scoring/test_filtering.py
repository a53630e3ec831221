"""The filter's bounds hold: no document that reaches the threshold is below the cut, and no sum overflows."""

from __future__ import annotations

import numpy as np
import pytest

from spladelake.scoring import Block, Queries, invert
from spladelake.scoring.code_cache import keep_on_disk
from spladelake.scoring.columns import LANES, fill_columns, find_terms, width_of
from spladelake.scoring.filtering import MOST_STEPS, add_steps, cut_of, empty_plan, list_terms, reach_cut, unit_of
from spladelake.vectors import SparseVectors
from unit.scoring.oracle import dense, random_vectors

SIZE = 120


@pytest.fixture(scope="module", autouse=True)
def compiled_once() -> None:
    """Keep these parts of native functions on disk: called by themselves, every process would compile them."""
    for part in (add_steps, cut_of, empty_plan, fill_columns, find_terms, list_terms, reach_cut, unit_of):
        keep_on_disk(part, part.py_func)


def steps_of(block: Block, queries: Queries) -> list[tuple[np.ndarray, float, int]]:
    """Of each query: every document's steps, steps of a score of 1, and its number of terms in the block."""
    found = find_terms(queries.terms, block.term_ids, block.starts, block.peaks)
    scratch = np.full(SIZE * width_of(len(block)), 7, dtype=np.uint8)
    columns = fill_columns(len(block), found, queries.uses, block.ordinals, block.weights, scratch)
    assert 0 < columns.used < len(queries.terms)
    out = []
    for q in range(len(queries)):
        of = slice(queries.indptr[q], queries.indptr[q + 1])
        plan = empty_plan(len(queries.slots))
        listed = list_terms(plan, queries.slots[of], queries.weights[of], found)
        with_columns, size, _, _, bound, largest = listed
        unit = unit_of(size, bound, largest)
        steps = np.empty(width_of(len(block)), dtype=np.uint16)
        add_steps(steps, plan, with_columns, size, unit, found, columns, block.ordinals, block.weights)
        out.append((steps, unit, size))
    return out


@pytest.mark.parametrize("levels", [None, 16])
def test_steps_bound_the_score_from_both_sides(levels: int | None) -> None:
    rng = np.random.default_rng(2)
    documents = random_vectors(rng, 700, vocabulary_size=SIZE, most_terms=60, levels=levels)
    # The last document has every term at its heaviest: its sum is the largest there can be.
    heaviest = dense(documents, SIZE).max(axis=0)
    rows = [documents.row(i) for i in range(700)] + [(np.flatnonzero(heaviest), heaviest[heaviest > 0])]
    documents = SparseVectors.from_rows(rows)
    vectors = random_vectors(rng, 40, vocabulary_size=SIZE, most_terms=50, levels=levels)
    exact = dense(vectors, SIZE) @ dense(documents, SIZE).T
    queries = Queries.of(vectors, vocabulary_size=SIZE)
    block = invert(documents, vocabulary_size=SIZE)
    assert width_of(701) == 11 * LANES
    for scores, (steps, unit, terms) in zip(exact, steps_of(block, queries), strict=True):
        assert (steps[701:] == 0).all()
        assert steps.max() <= MOST_STEPS
        # What may be cut off: less than one step a term.
        assert (steps[:701] >= scores * unit * (1 - 3e-6) - terms).all()
        # Rounding up adds less than a step of each column's factor and byte: 255/16 twice.
        assert (steps[:701] <= scores * unit + 32 * terms).all()
        for threshold in np.sort(scores)[[-1, -10, -100]]:
            cut = cut_of(int(threshold * 2**30), terms, unit)
            reached = np.empty(len(steps), dtype=np.int32)
            if cut >= 1:
                count = reach_cut(steps, cut, reached)
                assert set(np.flatnonzero(scores >= threshold)) <= set(reached[:count].tolist())


def test_the_heaviest_document_there_can_be_is_found() -> None:
    weights = np.linspace(1, 9, 20, dtype=np.float32)
    for terms in (1, 20):
        rows = [(np.arange(terms), weights[:terms] * np.float32(1 - i / 4000)) for i in range(2000)]
        documents = SparseVectors.from_rows(rows)
        vectors = SparseVectors.from_rows([(np.arange(terms), np.ones(terms))] * 5)
        block = invert(documents, vocabulary_size=SIZE)
        for use_columns in (5, 0):
            queries = Queries.of(vectors, vocabulary_size=SIZE)
            found = find_terms(queries.terms, block.term_ids, block.starts, block.peaks)
            columns = fill_columns(
                2000, found, queries.uses * use_columns, block.ordinals, block.weights, np.empty(2**20, np.uint8)
            )
            plan = empty_plan(terms)
            with_columns, size, _, _, bound, largest = list_terms(
                plan, queries.slots[:terms], queries.weights[:terms], found
            )
            unit = unit_of(size, bound, largest)
            steps = np.empty(width_of(2000), dtype=np.uint16)
            add_steps(steps, plan, with_columns, size, unit, found, columns, block.ordinals, block.weights)
            assert columns.used == (terms if use_columns else 0)
            assert MOST_STEPS / 9 <= steps.max() <= MOST_STEPS
            reached = np.empty(len(steps), dtype=np.int32)
            cut = cut_of(int(bound * 2**30), size, unit)
            assert 0 in reached[: reach_cut(steps, cut, reached)]


@pytest.mark.parametrize("cut", [1, 2, 1000, MOST_STEPS])
def test_documents_reach_a_cut_from_exactly_there_on(cut: int) -> None:
    steps = np.zeros(320, dtype=np.uint16)
    steps[[0, 3, 64, 128, 255, 319]] = cut
    steps[[1, 2, 63, 129, 300]] = cut - 1
    steps[[5, 131]] = MOST_STEPS
    reached = np.empty(320, dtype=np.int32)
    found = reached[: reach_cut(steps, cut, reached)].tolist()
    assert found == sorted({0, 3, 5, 64, 128, 131, 255, 319})
    alone = np.zeros(64, dtype=np.uint16)
    alone[17] = cut
    assert reached[: reach_cut(alone, cut, reached)].tolist() == [17]
    alone[17] = cut - 1
    assert reach_cut(alone, cut, reached) == 0


def test_a_threshold_that_no_sum_can_reach_or_tell_has_no_cut() -> None:
    assert cut_of(0, 5, 100.0) < 1
    assert cut_of(2**30, 5, 0.0) < 1
    assert cut_of(2**61, 5, 1e4) > MOST_STEPS
    assert unit_of(901, 10.0, 1.0) == 0.0
    assert unit_of(0, 0.0, 0.0) == 0.0
    # The products of the smallest weights there are: steps of a score of 1 are many, but finite.
    assert 0 < unit_of(2, 2.0**-297, 2.0**-298) < np.inf
