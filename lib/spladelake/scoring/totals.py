"""Exact scores in units and rests of all documents of a block that share a term with the query."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spladelake.scoring.columns import Terms
from spladelake.scoring.compiled import part
from spladelake.scoring.exact import carry
from spladelake.scoring.filtering import FilterPlan
from spladelake.scoring.units import CARRY_TERMS, REST_BITS, REST_MASK, RESTS_PER_UNIT, SCORE_UNITS

# Costs in nanoseconds, measured like the costs in `columns`; they choose between the filter and `score_all`.
ADD_NS = 1.2  # add one posting to the totals
COLLECT_NS = 1.0  # collect the total of one document of the block
# A double plus this number is rounded to a whole number, which its lowest bits then hold. Processors without AVX-512
# convert doubles to 64-bit integers one at a time, but add four at a time.
ROUNDER = 1.5 * 2.0**52
ROUNDER_BITS = np.int64(0x4338000000000000)
# The rounding above needs smaller products. Scores of one million never occur in practice.
MOST_ROUNDED = 2.0**50
# Postings whose products are computed together: they stay in the first-level cache until they are added.
CHUNK = 256
# Documents that are tested together when documents are collected.
GROUP = 64
# A search for a threshold ends when at most this share of k, and a few documents, are listed beyond the first k.
SPARE_SHARE, SPARE_LEAST = 1 / 8, 4


class ScoreTotals(NamedTuple):
    """Running scores of all documents of a block, all 0 between calls, and the products of some postings.

    - units, rests: int64 (documents).
    - shares: uint8 (documents), whether the document shares a term with the query.
    - whole, rest: float64 (CHUNK), units and rests of products.
    """

    units: Any
    rests: Any
    shares: Any
    whole: Any
    rest: Any


@part
def score_all(
    totals: ScoreTotals, units: Any, rests: Any, documents: Any, threshold: int, most: int, largest: float,
    plan: FilterPlan, size: int, found: Terms, ordinals: Any, weights: Any,
) -> int:  # fmt: skip
    """Compute the scores of all documents that share a term, list those that may be wanted, and return their number.

    - units, rests, documents: overwritten with the results.
    - threshold: units; documents below it are not wanted.
    - most: documents with fewer units than that many documents of this block are not wanted; 0 if all are.
    - largest: the largest product of the query with this block.
    """
    for i in range(size):
        t = plan.terms[i]
        of = slice(found.starts[t], found.ends[t])
        scaled = np.float64(plan.weights[i]) * SCORE_UNITS
        if largest * SCORE_UNITS < MOST_ROUNDED:
            add_term(totals, ordinals[of], weights[of], scaled)
        else:
            add_large_term(totals, ordinals[of], weights[of], scaled)
        if i % CARRY_TERMS == CARRY_TERMS - 1:
            carry(totals.units, totals.rests)
    if 0 < most < totals.units.size:
        threshold = max(threshold, threshold_of(totals.units, most, max(threshold, 1), size))
    if threshold > 0:
        count = collect(documents, totals.units, threshold - size)
    else:
        # A shared term can add no unit: its weight may be that small.
        count = collect_sharing(documents, totals.shares, plan, size, found, ordinals)
    for j in range(count):
        document = np.uint32(documents[j])
        units[j] = totals.units[document] + (totals.rests[document] >> REST_BITS)
        rests[j] = totals.rests[document] & REST_MASK
    totals.units.fill(0)
    totals.rests.fill(0)
    return int(count)


@part
def add_term(totals: ScoreTotals, ordinals: Any, weights: Any, scaled: float) -> None:
    """Add the products of one term to the scores of its documents. scaled: the query's weight times SCORE_UNITS.

    A product of two float32 is exact in a double. Its units are rounded, so that its rest can be below 0. The rest is
    rounded down; as units are whole, the sum of both is the product rounded down, as `add_product` rounds it.
    """
    whole_bits, rest_bits = totals.whole.view(np.int64), totals.rest.view(np.int64)
    for first in range(0, ordinals.size, CHUNK):
        count = min(CHUNK, ordinals.size - first)
        chunk = weights[first : first + count]
        for j in range(count):
            product = np.float64(chunk[j]) * scaled
            rounded = product + ROUNDER
            totals.whole[j] = rounded
            totals.rest[j] = np.floor((product - (rounded - ROUNDER)) * RESTS_PER_UNIT) + ROUNDER
        for j in range(count):
            document = np.uint64(ordinals[first + j])
            totals.units[document] += whole_bits[j] - ROUNDER_BITS
            totals.rests[document] += rest_bits[j] - ROUNDER_BITS


@part
def add_large_term(totals: ScoreTotals, ordinals: Any, weights: Any, scaled: float) -> None:
    """Add the products of one term, which may be of any size."""
    for i in range(ordinals.size):
        product = np.float64(weights[i]) * scaled
        whole = np.int64(product)
        totals.units[ordinals[i]] += whole
        totals.rests[ordinals[i]] += np.int64((product - np.float64(whole)) * RESTS_PER_UNIT)


@part
def threshold_of(units: Any, most: int, least: int, terms: int) -> int:
    """Return a number of units that at least `most` documents reach, and few more; 0 if too few reach `least`.

    - units: int64, before the rests are carried, which changes them by at most the number of terms.
    """
    low = least + terms
    count = count_from(units, low)
    if count < most:
        return 0
    enough = most + np.int64(most * SPARE_SHARE) + SPARE_LEAST
    high = units.max() + 1
    while count > enough and high - low > 1:
        middle = low + ((high - low) >> 1)
        reaching = count_from(units, middle)
        if reaching < most:
            high = middle
        else:
            low, count = middle, reaching
    return low - terms


@part
def count_from(units: Any, least: int) -> int:
    """Return the number of documents with at least that many units."""
    count = 0
    for i in range(units.size):
        count += units[i] >= least
    return count


@part
def collect(documents: Any, units: Any, least: int) -> int:
    """Write the documents with at least that many units, ascending, and return their number."""
    count = 0
    for first in range(0, units.size, GROUP):
        last = min(first + GROUP, units.size)
        if count_from(units[first:last], least):
            for document in range(first, last):
                documents[count] = document
                count += units[document] >= least
    return count


@part
def collect_sharing(documents: Any, shares: Any, plan: FilterPlan, size: int, found: Terms, ordinals: Any) -> int:
    """Write the documents that share a term with the query, ascending, and return their number."""
    for i in range(size):
        t = plan.terms[i]
        for place in range(found.starts[t], found.ends[t]):
            shares[ordinals[place]] = 1
    count = 0
    for document in range(shares.size):
        documents[count] = document
        count += shares[document]
    shares.fill(0)
    return count
