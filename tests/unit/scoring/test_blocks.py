"""A block holds exactly the postings of its rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spladelake.errors import DataError, UsageError
from spladelake.scoring import Block, blocks_of, invert
from spladelake.vectors import SparseVectors
from unit.scoring.oracle import dense, random_vectors

SMALL = SparseVectors.from_rows([([2, 5], [0.5, 1.5]), ([], []), ([0, 5], [2.0, 0.25])])


def dense_of(block: Block) -> np.ndarray:
    """float64 (documents, vocabulary), from the postings."""
    out = np.zeros((len(block), block.vocabulary_size))
    for t, term in enumerate(block.term_ids):
        of = slice(block.starts[t], block.starts[t + 1])
        out[block.ordinals[of], term] = block.weights[of]
    return out


def test_postings_are_by_term_and_then_by_document() -> None:
    block = invert(SMALL, vocabulary_size=7)
    assert (len(block), block.vocabulary_size) == (3, 7)
    assert block.term_ids.tolist() == [0, 2, 5]
    assert block.starts.tolist() == [0, 1, 2, 4]
    assert block.ordinals.tolist() == [2, 0, 0, 2]
    assert block.weights.tolist() == [2.0, 0.5, 1.5, 0.25]
    assert block.peaks.tolist() == [2.0, 0.5, 1.5]
    assert block.nbytes == 4 * 6 + 3 * 12 + 4


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), rows=st.integers(0, 60), block_size=st.integers(1, 70))
def test_blocks_hold_every_weight(seed: int, rows: int, block_size: int) -> None:
    vectors = random_vectors(np.random.default_rng(seed), rows, vocabulary_size=40, most_terms=12)
    whole = dense(vectors, 40)
    blocks = list(blocks_of(vectors, vocabulary_size=40, block_size=block_size))
    assert sum(len(block) for _, block in blocks) == rows
    for first, block in blocks:
        np.testing.assert_array_equal(dense_of(block), whole[first : first + len(block)])
        np.testing.assert_array_equal(block.peaks, dense_of(block).max(axis=0, initial=0)[block.term_ids])


def test_as_many_documents_as_ordinals_reach_are_taken_and_no_more() -> None:
    rows = SparseVectors(np.arange(65_538), np.zeros(65_537, dtype=np.int32), np.ones(65_537, dtype=np.float32))
    block = invert(SparseVectors(rows.indptr[:-1], rows.indices[:-1], rows.values[:-1]), vocabulary_size=1)
    assert block.ordinals[-1] == 65_535
    with pytest.raises(UsageError, match="65537 documents; wanted at most 65536"):
        invert(rows, vocabulary_size=1)
    for block_size in (0, 65_537):
        with pytest.raises(UsageError, match=f"block_size: the value is {block_size}"):
            next(blocks_of(rows, vocabulary_size=1, block_size=block_size))


@pytest.mark.parametrize("term", [7, -1])
def test_a_term_beyond_the_vocabulary_is_refused(term: int) -> None:
    with pytest.raises(DataError, match=r"term ids go from -?\d to \d; wanted term ids from 0 to 6"):
        invert(SparseVectors.from_rows([([term, 5], [1.0, 1.0])]), vocabulary_size=7)
