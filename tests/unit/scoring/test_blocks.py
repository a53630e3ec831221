"""A block holds exactly the postings of its rows, and survives being stored as bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spladelake.errors import DataError, UsageError
from spladelake.scoring import Block, DocIds, blocks_of, from_bytes, ids_from_bytes, invert, to_bytes
from spladelake.scoring.blocks import HEADER
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
def test_blocks_and_their_bytes_hold_every_weight(seed: int, rows: int, block_size: int) -> None:
    vectors = random_vectors(np.random.default_rng(seed), rows, vocabulary_size=40, most_terms=12)
    whole = dense(vectors, 40)
    blocks = list(blocks_of(vectors, vocabulary_size=40, block_size=block_size))
    assert sum(len(block) for _, block in blocks) == rows
    for first, block in blocks:
        stored = from_bytes(*to_bytes(block))
        for held in (block, stored):
            np.testing.assert_array_equal(dense_of(held), whole[first : first + len(block)])
            np.testing.assert_array_equal(held.peaks, dense_of(held).max(axis=0, initial=0)[held.term_ids])


def test_stored_blocks_are_read_in_place() -> None:
    terms, ordinals, weights = to_bytes(invert(SMALL, vocabulary_size=7))
    block = from_bytes(terms, memoryview(ordinals), weights)
    assert np.shares_memory(block.weights, np.frombuffer(weights, dtype=np.uint8))
    assert np.shares_memory(block.ordinals, np.frombuffer(ordinals, dtype=np.uint8))
    assert np.shares_memory(block.starts, np.frombuffer(terms, dtype=np.uint8))
    # Every column is a multiple of 8 bytes, so that the next row of a binary column is aligned too.
    assert {len(column) % 8 for column in (terms, ordinals, weights)} == {0}


def test_the_layout_of_version_1_stays() -> None:
    terms, ordinals, weights = to_bytes(invert(SMALL, vocabulary_size=7))
    # "SPLB", version 1, 3 documents, 7 terms in the vocabulary, 3 present, 4 postings; ids, starts and peaks.
    header = "53504c42 01000000 03000000 07000000 03000000 0400000000000000 00000000"
    assert terms[:32].hex() == header.replace(" ", "")
    assert terms[32:].hex() == (
        "00000000 02000000 05000000 0000000000000000 01000000 02000000 0400000000000040 0000003f 0000c03f 00000000"
    ).replace(" ", "")
    assert ordinals.hex() == "0200000000000200"
    assert weights.hex() == "000000400000003f0000c03f0000803e"


def damaged(column: int, place: int, value: bytes) -> list[bytes]:
    columns = [bytearray(column) for column in to_bytes(invert(SMALL, vocabulary_size=7))]
    columns[column][place : place + len(value)] = value
    return [bytes(column) for column in columns]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (damaged(0, 0, b"PAR1"), "the block starts with b'PAR1'"),
        (damaged(0, 4, b"\x02"), "version 2"),
        (damaged(0, 8, b"\x01\x00\x02"), "the block has 131073 documents"),
        (damaged(0, 8, b"\x02"), "out of order or range"),  # a document beyond the block
        (damaged(0, 12, b"\x05"), "out of order or range"),  # a term beyond the vocabulary
        (damaged(0, 32, b"\x02"), "out of order or range"),  # a term twice
        (damaged(0, 48, b"\x01"), "out of order or range"),  # postings that start late
        (damaged(0, 56, b"\x09"), "out of order or range"),  # postings that overlap
        (damaged(1, 4, b"\x02"), "out of order or range"),  # a document twice
        (damaged(0, 20, b"\x05"), "a column has 8 bytes"),
        ([b"SPLB", b"", b""], "the terms have 4 bytes"),
        ([to_bytes(invert(SMALL, vocabulary_size=7))[0][:40], b"", b""], "a column has 40 bytes"),
    ],
)
def test_a_damaged_or_foreign_block_is_refused(columns: list[bytes], found: str) -> None:
    with pytest.raises(
        DataError, match=r"the index of /l/vectors/m/documents: .*Run index_vectors with --force"
    ) as error:
        from_bytes(*columns, place="the index of /l/vectors/m/documents")
    assert found in str(error.value)


@pytest.mark.parametrize(
    ("starts", "data"),
    [
        ([0, 2, 5, 6], b"abcde"),  # an id that ends beyond the bytes
        ([0, 2, 4], b"abcde"),  # bytes of no id
        ([1, 2, 5], b"abcde"),
        ([0, 6, 2, 5], b"abcde"),  # one within that points elsewhere
        ([0, 2**63 - 1, -(2**63), 5], b"abcde"),  # whose differences overflow
        ([], b""),
        (b"\0" * 9, b""),
    ],
)
def test_ids_that_do_not_divide_their_bytes_are_refused(starts: list[int] | bytes, data: bytes) -> None:
    raw = starts if isinstance(starts, bytes) else np.array(starts, dtype="<i8").tobytes()
    with pytest.raises(DataError, match=r"block of the index: the ids .*Run index_vectors with --force"):
        ids_from_bytes(raw, data)
    whole = DocIds.of(["d", "", "été"])
    assert ids_from_bytes(whole.starts.tobytes(), whole.data.tobytes()).to_strings() == ["d", "", "été"]


def test_a_block_at_an_odd_address_is_copied_and_read() -> None:
    columns = [memoryview(b"x" + column)[1:] for column in to_bytes(invert(SMALL, vocabulary_size=7))]
    np.testing.assert_array_equal(dense_of(from_bytes(*columns)), dense(SMALL, 7))


def test_the_header_keeps_arrays_aligned() -> None:
    assert HEADER.size % 8 == 0


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
