"""Columns: the frequent terms of a block with one byte per document, so that a processor adds many documents at once.

Few terms make most of the products: in vectors like those of MS MARCO, terms in 5 % or more of the documents make 9 in
10. For such a term, reading a byte of every document in order is far cheaper than visiting its postings. The byte is
the weight divided by the term's largest weight in the block, times 255, rounded up. It only decides which documents are
scored exactly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spladelake.scoring.compiled import part

# Documents per entry of a column's directory: four 64-bit words, in which the postings before a document are counted.
GROUP, GROUP_BITS = 32, 5
# The width of a column is a multiple of this: whole vector registers of the widest processors.
LANES = 64

# Costs in nanoseconds on a 2.6 GHz core with 512-bit vectors. tests/bench/bench_retrieve.py --costs measures them with
# warm caches. Postings come from memory here, so their costs are two to three times the measured ones. The costs only
# choose between ways to compute a result; they never change it.
VISIT_NS = 1.0  # add one posting of a term without a column
COLUMN_NS = 0.022  # add a column, per document
FILL_NS = 0.8  # write one posting into a column
CLEAR_NS = 0.03  # clear a column, per document


class Columns(NamedTuple):
    """The columns of a block.

    - weights: uint8 (columns, width).
    - places: uint16 (columns, groups), the number of the term's postings before each group of documents.
    - used: the number of columns.
    """

    weights: Any
    places: Any
    used: int


class Terms(NamedTuple):
    """The queries' terms in a block.

    - starts, ends: int32 (terms); the postings of term t are `starts[t]:ends[t]`, empty if the block lacks the term.
    - columns: int32 (terms), the number of the term's column, or -1.
    - peaks: float32 (terms), the term's largest weight in the block.
    """

    starts: Any
    ends: Any
    columns: Any
    peaks: Any


@part
def width_of(documents: int) -> int:
    """Return the width of a block's columns: its documents, rounded up to a multiple of LANES."""
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
        place = first_not_below(term_ids, terms[t], place)
        if place < term_ids.size and term_ids[place] == terms[t]:
            found.starts[t], found.ends[t] = starts[place], starts[place + 1]
            found.peaks[t] = peaks[place]
    return found


@part
def first_not_below(term_ids: Any, term: int, place: int) -> int:
    """Return the first place from `place` on whose term is not below the term.

    The steps double, then halve: few terms are found without reading all of the block's, many as fast as in order.
    """
    step, end = 1, place
    while end < term_ids.size and term_ids[end] < term:
        place, end = end + 1, end + step
        step *= 2
    end = min(end, term_ids.size)
    while place < end:
        middle = (place + end) >> 1
        if term_ids[middle] < term:
            place = middle + 1
        else:
            end = middle
    return place


@part
def fill_columns(documents: int, found: Terms, uses: Any, ordinals: Any, weights: Any, scratch: Any) -> Columns:
    """Give a column to each term if the column saves more time in its queries than filling it takes.

    - uses: the number of queries that have each term.
    - scratch: uint8, memory for the columns.
    """
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
    """Write the weights of one term, rounded up, and the number of its postings before each group of documents."""
    column.fill(0)
    places.fill(0)
    # The last factor keeps rounding from giving 256, which is 0 in a byte. In doubles 255 / peak cannot overflow, and
    # no weight is too small for a byte of 1; a byte of 0 means that the document lacks the term.
    scale = 255.0 / np.float64(peak) * (1.0 - 2.0**-20)
    for i in range(ordinals.size):
        ordinal = ordinals[i]
        column[ordinal] = np.uint8(np.int32(np.ceil(scale * np.float64(weights[i]))))
        # The last posting of each group overwrites the earlier ones.
        places[ordinal >> np.uint16(GROUP_BITS)] = np.uint16(i + 1)
    before = np.uint16(0)
    for group in range(places.size):
        end = places[group]
        places[group] = before
        before = max(before, end)


@part
def add_column(steps: Any, a: Any, factor: Any) -> None:
    """Add factor * column / 16, rounded down, to the steps.

    - steps: uint16 (width), changed.
    - a: the column.
    - factor: uint16, at most 255.
    """
    for j in range(steps.size):
        steps[j] = np.uint16(steps[j] + np.uint16(np.uint16(np.uint16(a[j]) * factor) >> np.uint16(4)))


@part
def add_four_columns(steps: Any, a: Any, b: Any, c: Any, d: Any, factors: Any) -> None:
    """Add four columns like `add_column`, but read and write the steps once. factors: uint16 (4)."""
    p, q, r, s = factors[0], factors[1], factors[2], factors[3]
    for j in range(steps.size):
        steps[j] = np.uint16(
            steps[j]
            + np.uint16(np.uint16(np.uint16(a[j]) * p) >> np.uint16(4))
            + np.uint16(np.uint16(np.uint16(b[j]) * q) >> np.uint16(4))
            + np.uint16(np.uint16(np.uint16(c[j]) * r) >> np.uint16(4))
            + np.uint16(np.uint16(np.uint16(d[j]) * s) >> np.uint16(4))
        )


# Masks for each byte of a 64-bit word: all bits but the top bit, the top bit, the lowest bit.
_LOW_BITS, _TOP_BITS = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x8080808080808080)
_ONES = np.uint64(0x0101010101010101)


@part
def place_in(words: Any, places: Any, document: Any) -> Any:
    """Return the place of a document's posting among the postings of the column's term; the document must have it.

    The postings themselves are not read: they are likely outside the caches, and a search would wait for each.

    - words: uint64, the column's weights, eight in a word, the first in the lowest byte.
    - places: the number of postings before each group of documents.
    - document: uint64.
    """
    group = document >> np.uint64(GROUP_BITS)
    first, own = group * np.uint64(4), (document >> np.uint64(3)) & np.uint64(3)
    # Shift out the document's own byte and all bytes after it. Two shifts, because a shift by 64 bits is undefined.
    after = (np.uint64(7) - (document & np.uint64(7))) * np.uint64(8)
    counted = (has_byte(words[first + own]) << after) << np.uint64(8)
    for word in range(3):
        counted += has_byte(words[first + np.uint64(word)]) * np.uint64(np.uint64(word) < own)
    return np.uint64(places[group]) + ((counted * _ONES) >> np.uint64(56))


@part
def has_byte(word: Any) -> Any:
    """Return a word with 1 in each byte that is not 0, and 0 in the others."""
    return ((((word & _LOW_BITS) + _LOW_BITS) | word) & _TOP_BITS) >> np.uint64(7)
