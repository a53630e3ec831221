"""A block of documents as bytes of a table's columns, without loss, so that each term can be read by itself.

`terms` has the header, the gaps between the term ids in 64-bit words, the number of postings and of words of each term,
and the distinct weights if they are few. `ordinals` and `weights` have the postings in 64-bit words, term by term, as
`scoring.packing` packs them. The code of a weight is its place among the distinct weights. If these are too many, the
code is the weight's bits as a number, less the smallest such number, without the low bits that are zero in all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import DataError
from spladelake.scoring import BLOCK_DOCUMENTS, Block, DocIds
from spladelake.scoring.blocks import MOST_DOCUMENTS
from spladelake.scoring.inversion import heaviest_of_terms
from spladelake.scoring.packing import (
    RUN,
    WIDTH_BITS,
    WORD_BITS,
    distinct_numbers,
    next_documents,
    pack_codes,
    pack_documents,
    unpack_codes,
    unpack_documents,
)

# First bytes of a stored block: its type, and the version of the layout. Version 1 was one array a column.
MAGIC, VERSION = b"SPLB", 2
# magic, version, documents, vocabulary size, terms, smallest code, postings, distinct weights, width of a code in bits,
# low bits left out, width of a gap between term ids in bits; padded to align the arrays behind it.
HEADER = struct.Struct("<4sIIIIIQIHHH6x")
WORD_BYTES = WORD_BITS // 8
# Weights of a compacted table have 255 values.
MOST_DISTINCT = 4096


@dataclass(frozen=True)
class Codes:
    """How the weights of a block are coded.

    - width: bits of a code.
    - least, shift: the code is `(bits - least) >> shift`, if there are no distinct weights.
    - distinct: uint32, the bits of the distinct weights, ascending; empty if there are more than MOST_DISTINCT.
    """

    width: int
    least: int
    shift: int
    distinct: NDArray[np.uint32]

    @classmethod
    def of(cls, bits: NDArray[np.uint32]) -> Codes:
        """Return the shorter coding of weights. bits: the weights' bits as integers, above 0."""
        if not len(bits):
            return cls(0, 0, 0, bits)
        least, most = int(bits.min()), int(bits.max())
        together = int(np.bitwise_or.reduce(bits))
        shift = (together & -together).bit_length() - 1
        width = ((most - least) >> shift).bit_length()
        found = np.empty(MOST_DISTINCT, dtype=np.uint32)
        count = int(distinct_numbers(bits, np.zeros(4 * MOST_DISTINCT, dtype=np.uint32), found))
        narrow = max(0, count - 1).bit_length()
        if count > 0 and 32 * count + len(bits) * narrow < len(bits) * width:
            return cls(narrow, 0, 0, np.sort(found[:count]))
        return cls(width, least, shift, np.empty(0, dtype=np.uint32))

    def encode(self, bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return the code of each weight."""
        if len(self.distinct):
            return np.searchsorted(self.distinct, bits).astype(np.uint32)
        return (bits - np.uint32(self.least)) >> np.uint32(self.shift)

    def decode(self, codes: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Return the weights. `codes` may be changed. Raises DataError for a code of no weight."""
        if len(self.distinct):
            if codes.max(initial=0) >= len(self.distinct):
                count = len(self.distinct)
                found = f"a posting has the weight number {codes.max()}, but the block lists {count} weights"
                raise broken(found, f"wanted a number below {count}")
            return self.distinct[codes].view(np.float32)
        codes <<= np.uint32(self.shift)
        codes += np.uint32(self.least)
        return codes.view(np.float32)


@dataclass(frozen=True, eq=False)
class Directory:
    """The terms of a stored block, and the place of the postings of each.

    - term_ids: int32 (terms), ascending.
    - starts: int32 (terms + 1), of the postings.
    - ordinal_words, weight_words: int64 (terms + 1), the place of each term's words in both columns, and the end.
    """

    documents: int
    vocabulary_size: int
    codes: Codes
    term_ids: NDArray[np.int32]
    starts: NDArray[np.int32]
    ordinal_words: NDArray[np.int64]
    weight_words: NDArray[np.int64]

    def places(self, terms: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the places of those of some terms that occur. terms: ascending term ids."""
        places = np.searchsorted(self.term_ids, terms)
        inside = places < len(self.term_ids)
        return np.asarray(places[inside][self.term_ids[places[inside]] == terms[inside]], dtype=np.int64)

    def take(self, places: NDArray[np.int64]) -> Directory:
        """Return the directory of some terms, as if the columns held only their words. places: ascending."""
        counts = np.diff(self.starts)[places]
        words = (np.diff(starts)[places] for starts in (self.ordinal_words, self.weight_words))
        return Directory(
            self.documents, self.vocabulary_size, self.codes, self.term_ids[places], _ends(counts, np.int32),
            *(_ends(sizes, np.int64) for sizes in words),
        )  # fmt: skip

    def block(self, ordinals: Any, weights: Any) -> Block:
        """Return the block of these terms. ordinals, weights: the words of the terms, in buffers of bytes.

        Raises DataError if they do not fit the directory.
        """
        words = [
            _array(buffer, "<u8", int(starts[-1]))
            for buffer, starts in ((ordinals, self.ordinal_words), (weights, self.weight_words))
        ]
        postings = int(self.starts[-1])
        documents, codes = np.empty(postings, dtype=np.uint16), np.empty(postings, dtype=np.uint32)
        # Native code trusts the ordinals: a damaged block could make it write outside its arrays.
        if not unpack_documents(self.documents, self.starts, self.ordinal_words, words[0], documents):
            raise broken("the documents of a term are out of order or range", "wanted ascending numbers in range")
        unpack_codes(self.starts, words[1], self.codes.width, codes)
        values = self.codes.decode(codes)
        peaks = np.empty(len(self.term_ids), dtype=np.float32)
        heaviest_of_terms(self.starts, values.view(np.uint32), peaks.view(np.uint32))
        return Block(self.documents, self.vocabulary_size, self.term_ids, self.starts, peaks, documents, values)


def to_bytes(block: Block) -> tuple[bytes, bytes, bytes]:
    """Return a block as three buffers for binary columns: terms, ordinals and weights, little-endian.

    The caller stores the document ids.
    """
    bits, counts = block.weights.view(np.uint32), np.diff(block.starts)
    codes = Codes.of(bits)
    sizes = np.zeros(len(counts), dtype=np.uint16)
    runs = int((-(-counts // RUN)).sum())
    most = (len(bits) * 16 + runs * WIDTH_BITS) // WORD_BITS + len(counts) + 1
    ordinals = np.zeros(most, dtype=np.uint64)
    used = pack_documents(block.starts, block.ordinals, ordinals, sizes)
    # One more word, because the last code may be written as two parts.
    weights = np.zeros(int(_words_of(counts, codes.width)[-1]) + 1, dtype=np.uint64)
    pack_codes(block.starts, codes.encode(bits), codes.width, weights)
    gaps = (np.diff(block.term_ids, prepend=-1) - 1).astype(np.uint32)
    gap_width = int(gaps.max(initial=0)).bit_length()
    gap_words = np.zeros(_one_run(len(gaps), gap_width) + 1, dtype=np.uint64)
    pack_codes(np.array([0, len(gaps)], dtype=np.int32), gaps, gap_width, gap_words)
    header = HEADER.pack(
        MAGIC, VERSION, block.documents, block.vocabulary_size, len(counts), codes.least, len(bits),
        len(codes.distinct), codes.width, codes.shift, gap_width,
    )  # fmt: skip
    parts = (
        (gap_words[:-1], "<u8"), (counts - 1, "<u2"), (sizes, "<u2"), (codes.distinct, "<u4"),
    )  # fmt: skip
    terms = header + b"".join(np.ascontiguousarray(values, dtype=kind).tobytes() for values, kind in parts)
    return terms, ordinals[:used].astype("<u8").tobytes(), weights[:-1].astype("<u8").tobytes()


def directory_of(terms: Any) -> Directory:
    """Return the directory in a buffer of the column `terms`. Raises DataError if it is none of this version."""
    size = memoryview(terms).nbytes
    if size < HEADER.size:
        raise broken(f"the terms have {size} bytes", f"wanted at least {HEADER.size} bytes")
    (
        magic, version, documents, vocabulary_size, count, least, postings, few, width, shift, gap_width,
    ) = HEADER.unpack_from(terms)  # fmt: skip
    if magic != MAGIC or version != VERSION:
        raise broken(
            f"the block starts with {magic!r} and version {version}", f"wanted {MAGIC!r} and version {VERSION}"
        )
    if documents > MOST_DOCUMENTS:
        raise broken(f"the block has {documents} documents", f"wanted at most {MOST_DOCUMENTS}")
    if max(width, gap_width) > 32 or shift >= 32 or count >= 2**31:
        raise broken("the header has a width of more than 32 bits", "wanted at most 32 bits")
    gap_words = _array(terms, "<u8", _one_run(count, gap_width), HEADER.size)
    place = HEADER.size + gap_words.nbytes
    counts = _array(terms, "<u2", count, place).astype(np.int64) + 1
    sizes = _array(terms, "<u2", count, place + 2 * count)
    distinct = _array(terms, "<u4", few, place + 4 * count)
    gaps = np.empty(count, dtype=np.uint32)
    unpack_codes(np.array([0, count], dtype=np.int32), gap_words, gap_width, gaps)
    term_ids = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if count and term_ids[-1] >= min(vocabulary_size, 2**31):
        raise broken("the terms are out of order or range", "wanted ascending numbers in range")
    if counts.sum() != postings or postings >= 2**31:
        raise broken(f"the terms have {counts.sum()} postings", f"wanted {postings}")
    return Directory(
        documents, vocabulary_size, Codes(width, least, shift, distinct), term_ids.astype(np.int32),
        _ends(counts, np.int32), _ends(sizes, np.int64), _words_of(counts, width),
    )  # fmt: skip


def from_bytes(terms: Any, ordinals: Any, weights: Any) -> Block:
    """Return the block of three buffers: bytes, memoryviews or Arrow buffers.

    Raises DataError if they are not a block of this version or do not fit together.
    """
    return directory_of(terms).block(ordinals, weights)


def parts_of(block: Block, ids: DocIds, *, most: int = BLOCK_DOCUMENTS) -> Iterator[tuple[Block, DocIds]]:
    """Yield a block in parts that the kernel scores fastest, with the ids of each part."""
    if len(block) <= 2 * most:
        yield block, ids
        return
    cursors, terms, bits = block.starts[:-1].copy(), len(block.term_ids), block.weights.view(np.uint32)
    for first in range(0, len(block), most):
        end = min(first + most, len(block))
        slots, starts = np.empty(terms, dtype=np.int32), np.zeros(terms + 1, dtype=np.int32)
        peaks, rest = np.empty(terms, dtype=np.float32), len(bits) - int((cursors - block.starts[:-1]).sum())
        # The system gives memory to the part that is written, a fraction of these arrays.
        ordinals, weights = np.empty(rest, dtype=np.uint16), np.empty(rest, dtype=np.float32)
        count = next_documents(
            first, end, block.starts, block.ordinals, bits, cursors,
            slots, starts, peaks.view(np.uint32), ordinals, weights.view(np.uint32),
        )  # fmt: skip
        size = int(starts[count])
        yield (
            Block(
                end - first, block.vocabulary_size, block.term_ids[slots[:count]], starts[: count + 1], peaks[:count],
                ordinals[:size], weights[:size],
            ),
            ids.slice(first, end),
        )  # fmt: skip


def ids_to_bytes(ids: DocIds) -> tuple[bytes, bytes]:
    """Return ids as two buffers for binary columns: their starts, and their UTF-8 bytes."""
    return ids.starts.astype("<u4").tobytes(), np.ascontiguousarray(ids.data).tobytes()


def ids_from_bytes(starts: Any, data: Any) -> DocIds:
    """Return the document ids of a stored block from 32-bit starts and UTF-8 bytes, without copying the bytes.

    Raises DataError if the starts do not divide the bytes into ids.
    """
    size = memoryview(starts).nbytes
    places = _array(starts, "<u4", size // 4).astype(np.int64)
    raw = np.frombuffer(data, dtype=np.uint8)
    # Native code copies ids by their places: a damaged place could make it read or write outside its arrays.
    if size % 4 or not size or places[0] != 0 or places[-1] != len(raw) or (places[1:] < places[:-1]).any():
        raise broken(f"the ids overlap or do not fill the {len(raw)} bytes", "wanted ids that follow one another")
    return DocIds(places, raw)


def _one_run(count: int, width: int) -> int:
    """Return the number of words of some numbers of one width."""
    return -(-count * width // WORD_BITS)


def _words_of(counts: NDArray[Any], width: int) -> NDArray[np.int64]:
    """Return the place of each term's words of weights, and the end."""
    return _ends(-(-(counts.astype(np.int64) * width) // WORD_BITS), np.int64)


def _ends(sizes: NDArray[Any], kind: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros(1, dtype=kind), np.cumsum(sizes, dtype=np.int64).astype(kind)])


def _array(buffer: Any, kind: str, length: int, place: int = 0) -> NDArray[Any]:
    """Return a read-only array over part of a buffer; it is copied only if it is not aligned in memory."""
    wanted = place + length * np.dtype(kind).itemsize
    if memoryview(buffer).nbytes < wanted:
        raise broken(f"a column has {memoryview(buffer).nbytes} bytes", f"wanted {wanted} bytes")
    values = np.frombuffer(buffer, dtype=kind, count=length, offset=place)
    return np.require(values.astype(np.dtype(kind).newbyteorder("="), copy=False), requirements=["C", "A"])


def broken(found: str, wanted: str) -> DataError:
    """Return the error of a block that cannot be read."""
    return DataError("a block of the index", found, wanted, "Run index_vectors with --force.")
