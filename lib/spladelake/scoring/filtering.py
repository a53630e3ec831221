"""The filter: bounds of every document's score in 16-bit steps, to name the few documents worth an exact score.

A step is 1/unit of a score, where `unit` is chosen for the query and block so that no sum reaches 2^15. Steps are an
upper bound of the score but for what is cut off below one step for each term, and a float32 rounding; `cut_of` allows
for both. So every document whose exact score reaches the threshold is named, and few others are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spladelake.scoring.columns import Columns, Terms, add_column, add_four_columns
from spladelake.scoring.compiled import part
from spladelake.scoring.units import SCORE_UNITS

# Steps of a document stay below this, so that four of them can be compared in one 64-bit word.
MOST_STEPS = 32_767
# A column's factor takes up to 255 of a byte; their product is divided by 16.
COLUMN_STEPS = 255.0 / 16
# Steps that rounding up a factor may add to a term's largest, plus one to spare.
ROUNDING_STEPS = 17
# Queries with more terms in a block are scored exactly at once: rounding would fill the steps.
MOST_FILTER_TERMS = 900
# What float32 products and scales may lose, relative: some roundings of 2^-24 and the 2^-20 of a column's scale.
LOSS = 3e-6
# Steps of a weight of 1 outside this and its inverse: as float32 they would lose digits or overflow, hence doubles.
LEAST_SCALE = 2.0**-100
# 64-bit words of steps that are looked at together: 128 documents.
WORDS = 32
# The top bit of each of four steps in a word.
_TOP_BITS = np.uint64(0x8000800080008000)


class Plan(NamedTuple):
    """The terms of one query that a block has: those with columns first. Arrays are scratch of the longest query.

    terms: int32, places in the queries' terms. weights: float32. factors: uint16, of columns.
    """

    terms: Any
    weights: Any
    factors: Any


@part
def empty_plan(most: int) -> Plan:
    """Scratch for queries of up to that many terms."""
    return Plan(np.empty(most, np.int32), np.empty(most, np.float32), np.empty(most, np.uint16))


@part
def list_terms(plan: Plan, slots: Any, weights: Any, found: Terms) -> tuple[int, int, int, float, float]:
    """List a query's terms, those with columns first.

    Returns how many have columns, how many there are, their postings, the sum of their largest products (a bound of
    any document's score) and the largest of those.
    """
    size, postings, bound, largest = 0, 0, 0.0, 0.0
    with_columns = 0
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
            with_columns = size
    return with_columns, size, postings, bound, largest


@part
def unit_of(terms: int, bound: float, largest: float) -> float:
    """Steps of a score of 1: as many as a byte holds for the largest product and MOST_STEPS for their sum."""
    if bound <= 0.0 or terms > MOST_FILTER_TERMS:
        return 0.0
    return min(254.0 / largest * COLUMN_STEPS, (MOST_STEPS - ROUNDING_STEPS * (terms + 1)) / bound)


@part
def cut_of(threshold: int, terms: int, unit: float) -> Any:
    """Steps below which no document reaches the threshold; below 1 the filter cannot tell. threshold: units."""
    # Units are cut, never rounded up: a document that has that many units has this score at least.
    score = np.float64(threshold) / SCORE_UNITS
    return np.int64(min(score * unit * (1.0 - LOSS), 2.0 * MOST_STEPS)) - terms - 1


@part
def add_steps(
    steps: Any, plan: Plan, with_columns: int, size: int, unit: float, found: Terms, columns: Columns,
    ordinals: Any, weights: Any,
) -> None:  # fmt: skip
    """Bounds of every document's score, in steps. steps: uint16 (width), overwritten."""
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
    """Add one term's weights, cut to whole steps, to the documents that have it. scale: steps of a weight of 1."""
    for i in range(ordinals.size):
        ordinal = ordinals[i]
        steps[ordinal] = np.uint16(steps[ordinal] + np.uint16(np.int32(scale * weights[i])))


@part
def reach_cut(steps: Any, cut: int, documents: Any) -> int:
    """Write the documents whose steps reach the cut, ascending; returns how many."""
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
    """How many words have a lane that reaches the cut."""
    count = 0
    for j in range(words.size):
        if (words[j] + lift) & _TOP_BITS:
            count += 1
    return count
