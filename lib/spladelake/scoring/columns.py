"""Columns: the frequent terms of a block as one byte a document, so that a processor adds many documents at once.

Most products fall on few terms: of MS MARCO-like vectors, terms that 5 % or more of the documents have make 9 in 10.
For those, reading the weight of every document in order is far cheaper than visiting the documents that have it. The
byte is the weight divided by the term's largest in the block, times 255, rounded up: it only decides which documents
are looked at again, exactly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spladelake.scoring.compiled import part

# Documents to one entry of a column's directory: four words of 64 bits, where those before a document are soon counted.
GROUP, GROUP_BITS = 32, 5
# Columns are this wide at least and a multiple of it: whole vectors of the widest processors.
LANES = 64

# Costs in nanoseconds on a 2.6 GHz core with 512-bit vectors. tests/bench/bench_retrieve.py --costs measures them with
# warm caches; where postings are read, which come from memory here, two to three times that is taken. They decide
# only how something is computed, never what.
VISIT_NS = 1.0  # adding one posting of a term without column
COLUMN_NS = 0.022  # adding a column, a document
FILL_NS = 0.8  # writing one posting into a column
CLEAR_NS = 0.03  # emptying a column, a document


class Columns(NamedTuple):
    """weights: uint8 (columns, width). places: uint16 (columns, groups): postings of the term before each group of
    documents. used: how many columns."""

    weights: Any
    places: Any
    used: int


class Terms(NamedTuple):
    """The queries' terms in a block, int32 (terms) each: postings are `starts[t]:ends[t]`, none where it lacks the
    term; column, or -1. peaks: float32 (terms)."""

    starts: Any
    ends: Any
    columns: Any
    peaks: Any


@part
def width_of(documents: int) -> int:
    """Columns of a block are filled up to whole vectors."""
    return (documents + LANES - 1) // LANES * LANES


@part
def find_terms(terms: Any, term_ids: Any, starts: Any, peaks: Any) -> Terms:
    """Look the queries' terms up in a block; both are ascending. No column is assigned yet."""
    found = Terms(
        np.zeros(terms.size, np.int32), np.zeros(terms.size, np.int32),
        np.full(terms.size, -1, np.int32), np.zeros(terms.size, np.float32),
    )  # fmt: skip
    place = 0
    for t in range(terms.size):
        while place < term_ids.size and term_ids[place] < terms[t]:
            place += 1
        if place < term_ids.size and term_ids[place] == terms[t]:
            found.starts[t], found.ends[t] = starts[place], starts[place + 1]
            found.peaks[t] = peaks[place]
    return found


@part
def fill_columns(documents: int, found: Terms, uses: Any, ordinals: Any, weights: Any, scratch: Any) -> Columns:
    """Give a column to each term whose queries save more time than it takes to fill. scratch: uint8, reused."""
    width, groups = width_of(documents), width_of(documents) // GROUP
    most = scratch.size // width
    used = 0
    for t in range(uses.size):
        postings = found.ends[t] - found.starts[t]
        saved = uses[t] * (postings * VISIT_NS - width * COLUMN_NS)
        if used < most and saved > postings * FILL_NS + width * CLEAR_NS:
            found.columns[t] = used
            used += 1
    columns = Columns(scratch[: used * width].reshape((used, width)), np.empty((used, groups), np.uint16), used)
    for t in range(uses.size):
        c, start, end = found.columns[t], found.starts[t], found.ends[t]
        if c >= 0:
            fill_column(columns.weights[c], columns.places[c], ordinals[start:end], weights[start:end], found.peaks[t])
    return columns


@part
def fill_column(column: Any, places: Any, ordinals: Any, weights: Any, peak: float) -> None:
    """Write one term's weights, rounded up, and how many of its postings stand before each group of documents."""
    column.fill(0)
    places.fill(0)
    # Rounding can make the scale a hair too large; 256 would be 0 in a byte. As doubles, 255 / peak cannot overflow and
    # no weight is so small that its byte would be 0, which says that a document lacks the term.
    scale = 255.0 / np.float64(peak) * (1.0 - 2.0**-20)
    for i in range(ordinals.size):
        ordinal = ordinals[i]
        column[ordinal] = np.uint8(np.int32(np.ceil(scale * np.float64(weights[i]))))
        # The last posting of a group is written last.
        places[ordinal >> np.uint16(GROUP_BITS)] = np.uint16(i + 1)
    before = np.uint16(0)
    for group in range(places.size):
        end = places[group]
        places[group] = before
        before = max(before, end)


@part
def add_column(steps: Any, a: Any, factor: Any) -> None:
    """Add the sixteenth of factor times column. steps: uint16 (width), factor: uint16 up to 255."""
    for j in range(steps.size):
        steps[j] = np.uint16(steps[j] + np.uint16(np.uint16(np.uint16(a[j]) * factor) >> np.uint16(4)))


@part
def add_four_columns(steps: Any, a: Any, b: Any, c: Any, d: Any, factors: Any) -> None:
    """The same of four columns at once, so that steps are read and written once. factors: uint16 (4)."""
    p, q, r, s = factors[0], factors[1], factors[2], factors[3]
    for j in range(steps.size):
        steps[j] = np.uint16(
            steps[j]
            + np.uint16(np.uint16(np.uint16(a[j]) * p) >> np.uint16(4))
            + np.uint16(np.uint16(np.uint16(b[j]) * q) >> np.uint16(4))
            + np.uint16(np.uint16(np.uint16(c[j]) * r) >> np.uint16(4))
            + np.uint16(np.uint16(np.uint16(d[j]) * s) >> np.uint16(4))
        )


# Of each byte in a 64-bit word: all bits but the top, the top bit, the lowest bit.
_LOW_BITS, _TOP_BITS = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x8080808080808080)
_ONES = np.uint64(0x0101010101010101)


@part
def place_in(words: Any, places: Any, document: Any) -> Any:
    """Place of a document's posting among those of the column's term, which it must have.

    words: uint64, the column's weights, eight to a word, the first lowest. document: uint64. The postings themselves
    are not read: they are likely outside the caches, and a search would wait for each.
    """
    group = document >> np.uint64(GROUP_BITS)
    first, own = group * np.uint64(4), (document >> np.uint64(3)) & np.uint64(3)
    # Of the document's word, the bytes before its own are kept by shifting the others out, 64 bits in two steps.
    after = (np.uint64(7) - (document & np.uint64(7))) * np.uint64(8)
    counted = (has_byte(words[first + own]) << after) << np.uint64(8)
    for word in range(3):
        counted += has_byte(words[first + np.uint64(word)]) * np.uint64(np.uint64(word) < own)
    return np.uint64(places[group]) + ((counted * _ONES) >> np.uint64(56))


@part
def has_byte(word: Any) -> Any:
    """1 in each byte of a word that is not 0, 0 in the others."""
    return ((((word & _LOW_BITS) + _LOW_BITS) | word) & _TOP_BITS) >> np.uint64(7)
