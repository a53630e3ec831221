"""Exact scores in units and rests, of chosen documents or of all that share a term with the query."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spladelake.scoring.columns import Columns, Terms, place_in
from spladelake.scoring.compiled import part
from spladelake.scoring.filtering import Plan
from spladelake.scoring.units import CARRY_TERMS, REST_BITS, REST_MASK, RESTS_PER_UNIT, SCORE_UNITS

# Costs in nanoseconds, found like those of `columns`; they decide which of the two functions is called.
LOOK_UP_NS = 12.0  # one term of one chosen document
ADD_NS = 2.5  # one posting of all documents
COLLECT_NS = 1.0  # one document of the block, to collect what was added
# Postings of a term that are read one after the other in the time of one binary search.
SEARCH_POSTINGS = 40
# Hits that are listed before they are added up; a document has one a term, so no more than CARRY_TERMS.
MOST_HITS = CARRY_TERMS


@part
def add_product(units: Any, rests: Any, i: int, weight: float, scaled: float) -> None:
    """Add a product of two weights to a score; scaled: the other weight times SCORE_UNITS, exact in a double.

    The double product is exact too, as are its whole part and what that leaves: only rests are cut.
    """
    product = np.float64(weight) * scaled
    whole = np.int64(product)
    units[i] += whole
    rests[i] += np.int64((product - np.float64(whole)) * RESTS_PER_UNIT)


@part
def carry(units: Any, rests: Any) -> None:
    """Move whole units out of the rests."""
    for i in range(units.size):
        units[i] += rests[i] >> REST_BITS
        rests[i] &= REST_MASK


class Hits(NamedTuple):
    """Terms that chosen documents share with the query, to be scored together.

    places: int32, of postings. documents: int32, numbers among the chosen. scaled: float64, the query's weights times
    SCORE_UNITS. numbers: int32 (documents of the block), zero before and after: 1 + number of each chosen document.
    """

    places: Any
    documents: Any
    scaled: Any
    numbers: Any


@part
def empty_hits(documents: int) -> Hits:
    """Room for as many hits as a document's rests may be added up without a carry; for a block of documents."""
    return Hits(
        np.empty(MOST_HITS, np.int32), np.empty(MOST_HITS, np.int32), np.empty(MOST_HITS, np.float64),
        np.zeros(documents, np.int32),
    )  # fmt: skip


@part
def score_chosen(
    units: Any, rests: Any, documents: Any, plan: Plan, with_columns: int, size: int, found: Terms, columns: Columns,
    ordinals: Any, weights: Any, hits: Hits,
) -> None:  # fmt: skip
    """Scores of the chosen documents, looked up term by term.

    documents: int32, ascending; units, rests: int64, overwritten. First the places of all postings are found, then
    they are read: weights are outside the caches, and a short loop has many reads under way at once.
    """
    units.fill(0)
    rests.fill(0)
    for j in range(documents.size):
        hits.numbers[documents[j]] = j + 1
    count = 0
    for i in range(size):
        t = plan.terms[i]
        start, end = found.starts[t], found.ends[t]
        scaled = np.float64(plan.weights[i]) * SCORE_UNITS
        if count + documents.size > MOST_HITS:
            count = add_hits(units, rests, hits, count, weights)
        if i < with_columns:
            c = found.columns[t]
            count = hits_in_column(hits, count, documents, columns.weights[c], columns.places[c], start, scaled)
        else:
            count = hits_in_postings(hits, count, documents, ordinals[start:end], start, scaled)
    add_hits(units, rests, hits, count, weights)
    for j in range(documents.size):
        hits.numbers[documents[j]] = 0


@part
def hits_in_column(
    hits: Hits, count: int, documents: Any, column: Any, places: Any, start: int, scaled: float
) -> int:  # fmt: skip
    """List which of the documents a term with a column has. Returns how many hits there are then.

    A hit is written in any case and kept where it is one: a branch would be guessed wrong half the time.
    """
    words = column.view(np.uint64)
    for j in range(documents.size):
        document = np.uint64(documents[j])
        hits.places[count] = start + np.int32(place_in(words, places, document))
        hits.documents[count], hits.scaled[count] = j, scaled
        count += column[document] != 0
    return count


@part
def hits_in_postings(hits: Hits, count: int, documents: Any, of: Any, start: int, scaled: float) -> int:
    """The same for a term without one, whose documents are given: ordinals, ascending."""
    if of.size < documents.size * SEARCH_POSTINGS and of.size <= MOST_HITS - count:
        for i in range(of.size):
            number = hits.numbers[of[i]]
            hits.places[count] = start + i
            hits.documents[count], hits.scaled[count] = number - 1, scaled
            count += number != 0
        return count
    for j in range(documents.size):
        place = last_not_above(of, documents[j])
        hits.places[count] = start + np.int32(place)
        hits.documents[count], hits.scaled[count] = j, scaled
        count += of[place] == documents[j]
    return count


@part
def add_hits(units: Any, rests: Any, hits: Hits, count: int, weights: Any) -> int:
    """Add the products of the hits to the scores; returns how many hits are left, none."""
    for i in range(count):
        add_product(units, rests, hits.documents[i], weights[hits.places[i]], hits.scaled[i])
    carry(units, rests)
    return 0


@part
def last_not_above(ordinals: Any, document: int) -> Any:
    """Place of the last ordinal that is not above the document, else 0. Without branches that depend on the data."""
    place, size = np.uint64(0), np.uint64(ordinals.size)
    while size > np.uint64(1):
        half = size >> np.uint64(1)
        place += half * np.uint64(ordinals[place + half] <= document)
        size -= half
    return place


class Totals(NamedTuple):
    """Scores of all documents of a block while they are added up: int64 units and rests, uint8 whether a term is
    shared. Zero before and after."""

    units: Any
    rests: Any
    touched: Any


@part
def empty_totals(documents: int) -> Totals:
    """Totals of a block of that many documents."""
    return Totals(np.zeros(documents, np.int64), np.zeros(documents, np.int64), np.zeros(documents, np.uint8))


@part
def score_all(
    totals: Totals, units: Any, rests: Any, documents: Any, threshold: int, plan: Plan, size: int, found: Terms,
    ordinals: Any, weights: Any,
) -> int:  # fmt: skip
    """Scores of all documents that share a term and whose units reach the threshold; returns how many.

    units, rests, documents: overwritten.
    """
    # Weights can be so small that a shared term adds nothing; a threshold above 0 leaves such documents out anyway.
    mark = threshold <= 0
    for i in range(size):
        t = plan.terms[i]
        scaled = np.float64(plan.weights[i]) * SCORE_UNITS
        for place in range(found.starts[t], found.ends[t]):
            ordinal = ordinals[place]
            add_product(totals.units, totals.rests, ordinal, weights[place], scaled)
            if mark:
                totals.touched[ordinal] = 1
        if i % CARRY_TERMS == CARRY_TERMS - 1:
            carry(totals.units, totals.rests)
    carry(totals.units, totals.rests)
    count = 0
    for document in range(totals.units.size):
        if totals.units[document] >= threshold and (totals.touched[document] or not mark):
            documents[count] = document
            units[count], rests[count] = totals.units[document], totals.rests[document]
            count += 1
    totals.units.fill(0)
    totals.rests.fill(0)
    if mark:
        totals.touched.fill(0)
    return count
