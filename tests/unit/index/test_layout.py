"""A block survives being stored in bits, and each of its terms can be read by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spladelake.errors import DataError
from spladelake.index.layout import (
    HEADER,
    MOST_DISTINCT,
    directory_of,
    from_bytes,
    ids_from_bytes,
    ids_to_bytes,
    parts_of,
    to_bytes,
)
from spladelake.scoring import Block, DocIds, invert
from spladelake.vectors import SparseVectors
from unit.scoring.oracle import random_vectors

SMALL = SparseVectors.from_rows([([2, 5], [0.5, 1.5]), ([], []), ([0, 5], [2.0, 0.25])])
ARRAYS = ("term_ids", "starts", "peaks", "ordinals", "weights")


def assert_same(found: Block, wanted: Block) -> None:
    assert (len(found), found.vocabulary_size) == (len(wanted), wanted.vocabulary_size)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(wanted, name).dtype


def weights_of_kind(kind: str, rng: np.random.Generator, count: int) -> np.ndarray:
    """float32 above 0: any, rounded to 6 bits of mantissa, of 255 levels, all equal, or the extremes of float32."""
    anything = rng.gamma(2.0, 0.5, count).astype(np.float32) + np.float32(1e-6)
    extremes = np.array([1e-45, 1.1754944e-38, 3.4028235e38, 1.0], dtype=np.float32)
    return {
        "any": anything,
        "rounded": (anything.view(np.uint32) & np.uint32(0xFFFE0000)).view(np.float32),
        "levels": np.ceil(np.minimum(anything, 2.5) * 100).astype(np.float32) * np.float32(0.01),
        "equal": np.full(count, 0.7, dtype=np.float32),
        "extreme": rng.choice(extremes, count),
    }[kind]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32), rows=st.integers(0, 700),
    kind=st.sampled_from(["any", "rounded", "levels", "equal", "extreme"]),
)  # fmt: skip
def test_a_stored_block_holds_every_bit_of_all_terms_and_of_some(seed: int, rows: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    vectors = random_vectors(rng, rows, vocabulary_size=40, most_terms=30)
    vectors = SparseVectors(vectors.indptr, vectors.indices, weights_of_kind(kind, rng, len(vectors.values)))
    block = invert(vectors, vocabulary_size=40)
    terms, ordinals, weights = to_bytes(block)
    assert_same(from_bytes(terms, ordinals, weights), block)
    # The same from the words of some terms, put together as a reader of parts of a file has them.
    directory = directory_of(terms)
    chosen = np.flatnonzero(rng.random(len(block.term_ids)) < 0.3)
    words = []
    for column, starts in ((ordinals, directory.ordinal_words), (weights, directory.weight_words)):
        words.append(b"".join(column[8 * starts[t] : 8 * starts[t + 1]] for t in chosen))
    kept = np.isin(vectors.indices, block.term_ids[chosen])
    ends = np.concatenate([[0], np.cumsum(kept)])[vectors.indptr].astype(np.int64)
    of_chosen = SparseVectors(ends, vectors.indices[kept], vectors.values[kept])
    assert_same(directory.take(chosen).block(*words), invert(of_chosen, vocabulary_size=40))


def test_more_distinct_weights_than_are_listed_are_stored_too() -> None:
    values = np.arange(1, MOST_DISTINCT + 3, dtype=np.float32) / np.float32(7)
    rows = SparseVectors(np.arange(len(values) + 1), np.zeros(len(values), dtype=np.int32), values)
    assert_same(from_bytes(*to_bytes(invert(rows, vocabulary_size=1))), invert(rows, vocabulary_size=1))


def test_documents_at_both_ends_of_the_largest_block_are_kept() -> None:
    counts = np.zeros(65_536, dtype=np.int64)
    counts[[0, 40_000, 65_535]] = 1
    indptr = np.concatenate([[0], np.cumsum(counts)])
    rows = SparseVectors(indptr, np.full(3, 4, np.int32), np.array([1, 2, 3], np.float32))
    block = from_bytes(*to_bytes(invert(rows, vocabulary_size=9)))
    assert block.ordinals.tolist() == [0, 40_000, 65_535]


@pytest.mark.parametrize("most", [1, 3, 50, 10_000])
def test_the_parts_of_a_block_are_the_blocks_of_its_documents(most: int) -> None:
    vectors = random_vectors(np.random.default_rng(5), 201, vocabulary_size=40, most_terms=12)
    ids = DocIds.of([f"d{n}" for n in range(201)])
    first = 0
    for block, of_part in parts_of(invert(vectors, vocabulary_size=40), ids, most=most):
        rows = np.arange(first, first + len(block))
        assert_same(block, invert(vectors.take(rows), vocabulary_size=40))
        assert of_part.to_strings() == [f"d{n}" for n in rows]
        first += len(block)
    assert first == 201


def test_the_layout_of_version_2_stays() -> None:
    terms, ordinals, weights = to_bytes(invert(SMALL, vocabulary_size=7))
    # "SPLB", version 2, 3 documents, 7 terms in the vocabulary, 3 present; least code; 4 postings; distinct weights,
    # bits of a code, low bits left out, bits of a gap between term ids.
    header = (
        "53504c42 02000000 03000000 07000000 03000000 0000803e 0400000000000000 00000000 0300 1600 0200 000000000000"
    )
    assert terms[: HEADER.size].hex() == header.replace(" ", "")
    # Terms between 0, 2 and 5; postings less 1; words.
    assert terms[HEADER.size :].hex() == (
        f"{0 | 1 << 2 | 2 << 4:02x}00000000000000 0000 0000 0100 0100 0100 0100"
    ).replace(" ", "")
    # Term 0: width 2 in 5 bits, then document 2. Term 2: width 0. Term 5: width 1, then document 0 and one between.
    assert ordinals.hex() == f"{2 | 2 << 5:02x}00000000000000" + "0000000000000000" + f"{1 | 2 << 5:02x}00000000000000"
    # Weights 2, 0.5, 1.5 and 0.25 have the bits 0x40000000, 0x3f000000, 0x3fc00000 and 0x3e800000.
    assert weights.hex() == "0600000000000000" + "0200000000000000" + f"{5 | 0 << 3:02x}00000000000000"
    many = SparseVectors(np.arange(101), np.zeros(100, np.int32), np.tile(np.float32([0.3, 0.7]), 50))
    terms, _, weights = to_bytes(invert(many, vocabulary_size=1))
    assert terms[HEADER.size + 4 :] == np.float32([0.3, 0.7]).tobytes()
    assert weights.hex() == "aa" * 8 + "aaaaaaaa0a000000"


def damaged(column: int, place: int, value: bytes) -> list[bytes]:
    columns = [bytearray(column) for column in to_bytes(invert(SMALL, vocabulary_size=7))]
    columns[column][place : place + len(value)] = value
    return [bytes(column) for column in columns]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (damaged(0, 0, b"PAR1"), "the block starts with b'PAR1'"),
        (damaged(0, 4, b"\x01"), "version 1"),
        (damaged(0, 8, b"\x01\x00\x02"), "the block has 131073 documents"),
        (damaged(0, 8, b"\x02"), "out of order or range"),  # a document beyond the block
        (damaged(0, 12, b"\x05"), "out of order or range"),  # a term beyond the vocabulary
        (damaged(0, 48, b"\x3f"), "out of order or range"),  # a term beyond the vocabulary
        (damaged(0, 56, b"\x01"), "the terms have 5 postings"),
        (damaged(0, 62, b"\x09"), "a column has 24 bytes"),  # more words than there are
        (damaged(0, 36, b"\x21"), "a width of more than 32 bits"),
        (damaged(0, 40, b"\x21"), "a width of more than 32 bits"),
        (damaged(1, 0, b"\x1f"), "out of order or range"),  # documents of 31 bits
        (damaged(1, 0, b"\xe2"), "out of order or range"),  # document 3
        ([b"SPLB", b"", b""], "the terms have 4 bytes"),
        ([to_bytes(invert(SMALL, vocabulary_size=7))[0][:50], b"", b""], "a column has 50 bytes"),
    ],
)
def test_a_damaged_or_foreign_block_is_refused(columns: list[bytes], found: str) -> None:
    with pytest.raises(DataError, match=r"block of the index: .*Run index_vectors with --force") as error:
        from_bytes(*columns)
    assert found in str(error.value)


def test_a_code_beyond_the_distinct_weights_is_refused() -> None:
    rows = SparseVectors(np.arange(301), np.zeros(300, np.int32), np.tile(np.float32([0.3, 0.7, 0.9]), 100))
    terms, ordinals, weights = to_bytes(invert(rows, vocabulary_size=1))
    with pytest.raises(DataError, match=r"a posting has the weight number 3, but the block lists 3 weights"):
        from_bytes(terms, ordinals, b"\xff" + weights[1:])


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_damage_makes_native_code_leave_its_arrays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    block = invert(random_vectors(rng, 50, vocabulary_size=40, most_terms=12), vocabulary_size=40)
    columns = [bytearray(column) for column in to_bytes(block)]
    for _ in range(rng.integers(1, 4)):
        column = columns[rng.integers(0, 3)]
        if column:
            column[rng.integers(0, len(column))] = rng.integers(0, 256)
    try:
        found = from_bytes(*map(bytes, columns))
    except DataError:
        return
    assert len(found.ordinals) == 0 or found.ordinals.max() < len(found)


@pytest.mark.parametrize(
    ("starts", "data"),
    [
        ([0, 2, 5, 6], b"abcde"),  # an id that ends beyond the bytes
        ([0, 2, 4], b"abcde"),  # bytes of no id
        ([1, 2, 5], b"abcde"),
        ([0, 6, 2, 5], b"abcde"),  # one within that points elsewhere
        ([], b""),
        (b"\0" * 9, b""),
    ],
)
def test_ids_that_do_not_divide_their_bytes_are_refused(starts: list[int] | bytes, data: bytes) -> None:
    raw = starts if isinstance(starts, bytes) else np.array(starts, dtype="<u4").tobytes()
    with pytest.raises(DataError, match=r"block of the index: the ids .*Run index_vectors with --force"):
        ids_from_bytes(raw, data)
    whole = DocIds.of(["d", "", "été"])
    assert ids_from_bytes(*ids_to_bytes(whole)).to_strings() == ["d", "", "été"]


def test_a_block_at_an_odd_address_is_copied_and_read() -> None:
    columns = [memoryview(b"x" + column)[1:] for column in to_bytes(invert(SMALL, vocabulary_size=7))]
    assert_same(from_bytes(*columns), invert(SMALL, vocabulary_size=7))
