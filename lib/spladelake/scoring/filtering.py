"""The filter: upper bounds of every document's score in 16-bit steps, to find the few documents worth an exact score.

A step is 1/unit of a score; `unit` is chosen for each query and block so that no sum reaches 2^15. Each term may lose
less than one step by truncation, and float32 rounds; `cut_of` allows for both. So the filter finds every document whose
exact score reaches the threshold, and few others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spladelake.scoring.columns import Columns, Terms, add_column, add_four_columns
from spladelake.scoring.compiled import part
from spladelake.scoring.units import SCORE_UNITS

# Steps of a document stay below this, so that four of them can be compared in one 64-bit word.
MOST_STEPS = 32_767
# A byte of a column is at most 255, and its product with the factor is divided by 16.
COLUMN_STEPS = 255.0 / 16
# Most steps that rounding up a factor adds to a term, plus one to spare.
ROUNDING_STEPS = 17
# Queries with more terms in a block are scored exactly without the filter: rounding would use up the steps.
MOST_FILTER_TERMS = 900
# Largest relative loss of float32 products and scales: some roundings of 2^-24, and 2^-20 of a column's scale.
LOSS = 3e-6
# A scale below this or above its inverse is kept as a double: a float32 would lose digits or overflow.
LEAST_SCALE = 2.0**-100
# 64-bit words of steps that are tested together: 128 documents.
WORDS = 32
# The top bit of each of four steps in a word.
_TOP_BITS = np.uint64(0x8000800080008000)


class FilterPlan(NamedTuple):
    """The terms of one query that a block has; terms with columns come first.

    The arrays have the length of the longest query and are reused.

    - terms: int32, places in the queries' terms.
    - weights: float32, the query's weights.
    - factors: uint16, the factors of the columns.
    """

    terms: Any
    weights: Any
    factors: Any


@part
def empty_plan(most: int) -> FilterPlan:
    """Return an empty plan for queries of at most that many terms."""
    return FilterPlan(np.empty(most, np.int32), np.empty(most, np.float32), np.empty(most, np.uint16))


@part
def list_terms(plan: FilterPlan, slots: Any, weights: Any, found: Terms) -> tuple[int, int, int, int, float, float]:
    """List a query's terms, terms with columns first.

    Returns the number of terms with columns, the number of terms, their postings, the postings of terms without
    columns, the sum of their largest products (a bound of any document's score), and the largest of these products.
    """
    size, postings, bound, largest = 0, 0, 0.0, 0.0
    with_columns, in_columns = 0, 0
    for wanted in (True, False):
        for i in range(slots.size):
            t = slots[i]
            count = found.ends[t] - found.starts[t]
            if count > 0 and (found.columns[t] >= 0) == wanted:
                plan.terms[size], plan.weights[size] = t, weights[i]
                size += 1
                postings += count
                product = np.float64(weights[i]) * np.float64(found.peaks[t])
                bound += product
                largest = max(largest, product)
        if wanted:
            with_columns, in_columns = size, postings
    return with_columns, size, postings, postings - in_columns, bound, largest


@part
def unit_of(terms: int, bound: float, largest: float) -> float:
    """Return the steps of a score of 1, such that the largest product fits in a byte and the sum in MOST_STEPS."""
    if bound <= 0.0 or terms > MOST_FILTER_TERMS:
        return 0.0
    return min(254.0 / largest * COLUMN_STEPS, (MOST_STEPS - ROUNDING_STEPS * (terms + 1)) / bound)


@part
def cut_of(threshold: int, terms: int, unit: float) -> Any:
    """Return the least steps of a document that reaches the threshold (units); below 1 the filter excludes nothing."""
    # Units are rounded down: a document with that many units has at least this score.
    score = np.float64(threshold) / SCORE_UNITS
    return np.int64(min(score * unit * (1.0 - LOSS), 2.0 * MOST_STEPS)) - terms - 1


@part
def add_steps(
    steps: Any, plan: FilterPlan, with_columns: int, size: int, unit: float, found: Terms, columns: Columns,
    ordinals: Any, weights: Any,
) -> None:  # fmt: skip
    """Compute the bounds of every document's score. steps: uint16 (width), overwritten."""
    steps.fill(0)
    for i in range(with_columns):
        peak = np.float64(found.peaks[plan.terms[i]])
        plan.factors[i] = np.uint16(np.ceil(plan.weights[i] * peak * unit / COLUMN_STEPS))
    i = 0
    while i + 4 <= with_columns:
        a, b = found.columns[plan.terms[i]], found.columns[plan.terms[i + 1]]
        c, d = found.columns[plan.terms[i + 2]], found.columns[plan.terms[i + 3]]
        of = columns.weights
        add_four_columns(steps, of[a], of[b], of[c], of[d], plan.factors[i : i + 4])
        i += 4
    while i < with_columns:
        add_column(steps, columns.weights[found.columns[plan.terms[i]]], plan.factors[i])
        i += 1
    for i in range(with_columns, size):
        t = plan.terms[i]
        start, end = found.starts[t], found.ends[t]
        scale = plan.weights[i] * unit
        if LEAST_SCALE < scale < 1.0 / LEAST_SCALE:
            add_postings(steps, ordinals[start:end], weights[start:end], np.float32(scale))
        else:
            add_postings(steps, ordinals[start:end], weights[start:end], scale)


@part
def add_postings(steps: Any, ordinals: Any, weights: Any, scale: float) -> None:
    """Add one term's weights, truncated to whole steps, to its documents. scale: steps of a weight of 1."""
    for i in range(ordinals.size):
        ordinal = ordinals[i]
        steps[ordinal] = np.uint16(steps[ordinal] + np.uint16(np.int32(scale * weights[i])))


@part
def reach_cut(steps: Any, cut: int, documents: Any) -> int:
    """Write the documents whose steps reach the cut, ascending, and return their number."""
    words = steps.view(np.uint64)
    # Each 16-bit lane overflows into its top bit when it reaches the cut.
    lift = np.uint64(0x8000 - cut) * np.uint64(0x0001000100010001)
    count = 0
    for first in range(0, words.size, WORDS):
        last = min(first + WORDS, words.size)
        if words_with_hits(words[first:last], lift):
            for word in range(first, last):
                if (words[word] + lift) & _TOP_BITS:
                    for j in range(4 * word, 4 * word + 4):
                        documents[count] = j
                        count += steps[j] >= cut
    return count


@part
def words_with_hits(words: Any, lift: Any) -> int:
    """Return the number of words with a lane that reaches the cut."""
    count = 0
    for j in range(words.size):
        if (words[j] + lift) & _TOP_BITS:
            count += 1
    return count
