"""Exact scores in units and rests of chosen documents; `totals` scores all documents that share a term."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spladelake.scoring.columns import Columns, Terms, place_in
from spladelake.scoring.compiled import part
from spladelake.scoring.filtering import FilterPlan
from spladelake.scoring.units import CARRY_TERMS, REST_BITS, REST_MASK, RESTS_PER_UNIT, SCORE_UNITS

# Nanoseconds to look up one term of one chosen document, measured like the costs in `columns`.
LOOK_UP_NS = 12.0
# Number of postings read in order in the time of one binary search.
SEARCH_POSTINGS = 40
# Hits listed before they are summed. No document can have more of them than CARRY_TERMS, so rests need no carry before.
MOST_HITS = CARRY_TERMS


@part
def add_product(units: Any, rests: Any, i: int, weight: float, scaled: float) -> None:
    """Add the product of two weights to the score of document i; only its rest is truncated.

    - weight: the weight in the document.
    - scaled: the weight in the query times SCORE_UNITS, exact in a double. The product of the two, its whole part and
      the difference of both are exact too.
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
    """A list of hits: terms that chosen documents share with the query, to be scored together.

    - places: int32, the posting of each hit.
    - documents: int32, the hit's document as its number among the chosen.
    - scaled: float64, the query's weight times SCORE_UNITS.
    - numbers: int32 (documents of the block), 1 + number of each chosen document; all 0 between calls.
    """

    places: Any
    documents: Any
    scaled: Any
    numbers: Any


@part
def score_chosen(
    units: Any, rests: Any, documents: Any, plan: FilterPlan, with_columns: int, size: int, found: Terms,
    columns: Columns,
    ordinals: Any, weights: Any, hits: Hits,
) -> None:  # fmt: skip
    """Compute the scores of the chosen documents, term by term.

    The places of all postings are found first and read later: weights are outside the caches, and a short loop has many
    reads in flight at once.

    - units, rests: int64, overwritten.
    - documents: int32, ascending.
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
    """List the hits of a term with a column, and return the new number of hits.

    Every document is written to the list, but only a hit moves its end: a branch would be mispredicted half the time.
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
    """List the hits of a term without a column, and return the new number of hits. of: the term's ordinals."""
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
    """Add the products of the hits to the scores, and return 0, the new number of hits."""
    for i in range(count):
        add_product(units, rests, hits.documents[i], weights[hits.places[i]], hits.scaled[i])
    carry(units, rests)
    return 0


@part
def last_not_above(ordinals: Any, document: int) -> Any:
    """Return the place of the last ordinal that is not above the document, else 0.

    The binary search has no branches that depend on the data.
    """
    place, size = np.uint64(0), np.uint64(ordinals.size)
    while size > np.uint64(1):
        half = size >> np.uint64(1)
        place += half * np.uint64(ordinals[place + half] <= document)
        size -= half
    return place
