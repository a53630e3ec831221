"""Inverted blocks of documents: for each term, the documents that have it and its weight in each."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import DataError, UsageError
from spladelake.scoring.doc_ids import DocIds
from spladelake.scoring.inversion import count_terms, heaviest_of_terms, postings_are_sound, scatter_postings
from spladelake.vectors import SparseVectors

# Documents of a block. Their scores, of two bytes each, fit in a 32 KB first-level cache together with one column.
# Measured by tests/bench/bench_retrieve.py --block-size: 4,096 and 16,384 are up to 10 % slower.
BLOCK_DOCUMENTS = 8_192
# Document ordinals are uint16.
MOST_DOCUMENTS = 65_536

# First bytes of a stored block: its type, and the version of the layout.
MAGIC, BLOCK_VERSION = b"SPLB", 1
# The place of a block in messages, if the caller does not know the table.
_PLACE = "a block of the index"
# magic, version, documents, vocabulary size, terms, postings; padded to 32 bytes to align the arrays behind it.
HEADER = struct.Struct("<4sIIIIQ4x")
# Arrays start at multiples of this many bytes, so that they can be read in place. The largest item has 4 bytes.
ALIGNMENT = 8


@dataclass(frozen=True, eq=False)
class Block:
    """Postings of up to 65,536 documents; document i of the block is the i-th row of its vectors.

    - term_ids: int32 (terms), the terms that occur, ascending.
    - starts: int32 (terms + 1); the postings of the t-th term are `starts[t]:starts[t + 1]`.
    - peaks: float32 (terms), the largest weight of each term.
    - ordinals: uint16 (postings), the document of each posting, ascending within a term.
    - weights: float32 (postings), finite and > 0.
    """

    documents: int
    vocabulary_size: int
    term_ids: NDArray[np.int32]
    starts: NDArray[np.int32]
    peaks: NDArray[np.float32]
    ordinals: NDArray[np.uint16]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return self.documents

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays: 6 per posting and 12 per term."""
        arrays = (self.term_ids, self.starts, self.peaks, self.ordinals, self.weights)
        return sum(a.nbytes for a in arrays)


def invert(vectors: SparseVectors, *, vocabulary_size: int) -> Block:
    """Return the block of these documents; row i becomes document i.

    - vectors: at most 65,536 rows that keep the invariants of SparseVectors (see `check_vectors`).
    - vocabulary_size: number of dimensions.

    Raises DataError if a term id is not below vocabulary_size.
    """
    _refuse_too_many(len(vectors))
    first, last = vectors.indptr[0], vectors.indptr[-1]
    indices, values = vectors.indices[first:last], vectors.values[first:last]
    if len(indices) and not 0 <= indices.min() <= indices.max() < vocabulary_size:
        found, wanted = (
            f"the term ids go from {indices.min()} to {indices.max()}",
            f"wanted term ids from 0 to {vocabulary_size - 1}",
        )
        raise DataError("vectors", found, wanted, "Set vocabulary_size to the size of the vectors' vocabulary.")
    counts = np.zeros(vocabulary_size, dtype=np.int32)
    count_terms(indices, counts)
    term_ids = np.flatnonzero(counts).astype(np.int32)
    starts = np.zeros(len(term_ids) + 1, dtype=np.int32)
    np.cumsum(counts[term_ids], out=starts[1:])
    counts[term_ids] = starts[:-1]
    ordinals, weights = np.empty(len(indices), dtype=np.uint16), np.empty(len(indices), dtype=np.float32)
    scatter_postings(vectors.indptr - first, indices, values, counts, ordinals, weights)
    peaks = np.empty(len(term_ids), dtype=np.float32)
    heaviest_of_terms(starts, weights.view(np.uint32), peaks.view(np.uint32))
    return Block(len(vectors), vocabulary_size, term_ids, starts, peaks, ordinals, weights)


def blocks_of(
    vectors: SparseVectors, *, vocabulary_size: int, block_size: int = BLOCK_DOCUMENTS
) -> Iterator[tuple[int, Block]]:
    """Yield (first, block) for every `block_size` rows: document i of the block is row `first + i`."""
    if not 1 <= block_size <= MOST_DOCUMENTS:
        raise UsageError(
            "block_size", f"the value is {block_size}", f"wanted 1 to {MOST_DOCUMENTS}", "Leave out block_size."
        )
    for first in range(0, len(vectors), block_size):
        rows = SparseVectors(vectors.indptr[first : first + block_size + 1], vectors.indices, vectors.values)
        yield first, invert(rows, vocabulary_size=vocabulary_size)


def _refuse_too_many(documents: int) -> None:
    if documents > MOST_DOCUMENTS:
        raise UsageError(
            "block",
            f"the block has {documents} documents",
            f"wanted at most {MOST_DOCUMENTS}",
            "Split the documents with blocks_of.",
        )


def to_bytes(block: Block) -> tuple[bytes, bytes, bytes]:
    """Return a block as three buffers for binary columns: terms (with the version and all sizes), ordinals, weights.

    The buffers are little-endian, and each is padded to a multiple of 8 bytes. The caller stores the document ids.
    """
    header = HEADER.pack(
        MAGIC, BLOCK_VERSION, block.documents, block.vocabulary_size, len(block.term_ids), len(block.ordinals)
    )
    terms = b"".join(
        (header, _raw(block.term_ids, "<i4"), _raw(block.starts, "<i4"), _raw(block.peaks, "<f4")),
    )
    return terms, _raw(block.ordinals, "<u2"), _raw(block.weights, "<f4")


def from_bytes(terms: Any, ordinals: Any, weights: Any, *, place: str = _PLACE) -> Block:
    """Return the block of three buffers (bytes, memoryviews or Arrow buffers) without copying them.

    - place: the index, for messages.

    Raises DataError if they are not a block of this version or do not fit together.
    """
    size = memoryview(terms).nbytes
    if size < HEADER.size:
        raise _broken(place, f"the terms have {size} bytes", f"wanted at least {HEADER.size} bytes")
    magic, version, documents, vocabulary_size, term_count, postings = HEADER.unpack_from(terms)
    if magic != MAGIC or version != BLOCK_VERSION:
        raise _broken(
            place,
            f"the block starts with {magic!r} and version {version}",
            f"wanted {MAGIC!r} and version {BLOCK_VERSION}",
        )
    if documents > MOST_DOCUMENTS:
        raise _broken(place, f"the block has {documents} documents", f"wanted at most {MOST_DOCUMENTS}")
    at = HEADER.size
    term_ids = _array(terms, "<i4", term_count, at, of=place)
    at += _padded(term_ids.nbytes)
    starts = _array(terms, "<i4", term_count + 1, at, of=place)
    at += _padded(starts.nbytes)
    peaks = _array(terms, "<f4", term_count, at, of=place)
    columns = _array(ordinals, "<u2", postings, of=place), _array(weights, "<f4", postings, of=place)
    block = Block(documents, vocabulary_size, term_ids, starts, peaks, *columns)
    ascending = bool((np.diff(block.term_ids) > 0).all())
    in_vocabulary = not term_count or 0 <= block.term_ids[0] <= block.term_ids[-1] < vocabulary_size
    # Native code trusts places and ordinals: a damaged block could make it write outside its arrays.
    if not (ascending and in_vocabulary and postings_are_sound(documents, block.starts, block.ordinals)):
        raise _broken(place, "the terms or documents are out of order or range", "wanted ascending numbers in range")
    return block


def ids_from_bytes(starts: Any, data: Any, *, place: str = _PLACE) -> DocIds:
    """Return the document ids of a stored block from int64 starts and UTF-8 bytes, without copying them.

    - place: the index, for messages.

    Raises DataError if the starts do not divide the bytes into ids.
    """
    size = memoryview(starts).nbytes
    places = _array(starts, "<i8", size // 8, of=place)
    raw = np.frombuffer(data, dtype=np.uint8)
    # Native code copies ids by their places: a damaged place could make it read or write outside its arrays.
    if size % 8 or not size or places[0] != 0 or places[-1] != len(raw) or (places[1:] < places[:-1]).any():
        raise _broken(
            place, f"the ids overlap or do not fill the {len(raw)} bytes", "wanted ids that follow one another"
        )
    return DocIds(places, raw)


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _raw(values: NDArray[Any], kind: str) -> bytes:
    raw = np.ascontiguousarray(values, dtype=kind).tobytes()
    return raw + bytes(_padded(len(raw)) - len(raw))


def _array(buffer: Any, kind: str, length: int, at: int = 0, *, of: str) -> NDArray[Any]:
    """Return a read-only array over part of a buffer; it is copied only if it is not aligned in memory."""
    wanted = at + length * np.dtype(kind).itemsize
    if memoryview(buffer).nbytes < wanted:
        raise _broken(of, f"a column has {memoryview(buffer).nbytes} bytes", f"wanted {wanted} bytes")
    values = np.frombuffer(buffer, dtype=kind, count=length, offset=at)
    return np.require(values.astype(np.dtype(kind).newbyteorder("="), copy=False), requirements=["C", "A"])


def _broken(place: str, found: str, wanted: str) -> DataError:
    # Without --force the job would skip an index whose vectors did not change.
    return DataError(place, found, wanted, "Run index_vectors with --force.")
