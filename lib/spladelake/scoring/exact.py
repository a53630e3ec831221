"""Exact scores in units, of chosen documents or of all that share a term with the query."""

from __future__ import annotations

from typing import Any

import numpy as np

from spladelake.scoring.columns import Columns, Terms, place_in
from spladelake.scoring.compiled import part
from spladelake.scoring.filtering import Plan
from spladelake.scoring.units import SCORE_UNITS

# Costs in nanoseconds, measured like those of `columns`; they decide which of the two functions is called.
LOOK_UP_NS = 30.0  # one term of one chosen document
ADD_NS = 2.0  # one posting of all documents
COLLECT_NS = 1.0  # one document of the block, to collect what was added


@part
def units_of(weight: float, scaled: float) -> Any:
    """A product of two weights in units; scaled: the other weight times SCORE_UNITS, exact in a double."""
    return np.int64(np.rint(np.float64(weight) * scaled))


@part
def score_chosen(
    units: Any, documents: Any, plan: Plan, with_columns: int, size: int, found: Terms, columns: Columns,
    ordinals: Any, weights: Any,
) -> None:  # fmt: skip
    """Units of the chosen documents, looked up term by term. documents: int32, ascending; units: int64, overwritten."""
    units.fill(0)
    for i in range(size):
        t = plan.terms[i]
        scaled = np.float64(plan.weights[i]) * SCORE_UNITS
        start, end = found.starts[t], found.ends[t]
        of, with_weight = ordinals[start:end], weights[start:end]
        if i < with_columns:
            column, places = columns.weights[found.columns[t]], columns.places[found.columns[t]]
            for j in range(documents.size):
                document = np.uint64(documents[j])
                if column[document]:
                    units[j] += units_of(with_weight[place_in(column, places, document)], scaled)
        else:
            for j in range(documents.size):
                place = last_not_above(of, documents[j])
                if of[place] == documents[j]:
                    units[j] += units_of(with_weight[place], scaled)


@part
def last_not_above(ordinals: Any, document: int) -> Any:
    """Place of the last ordinal that is not above the document, else 0. Without branches that depend on the data."""
    place, size = np.uint64(0), np.uint64(ordinals.size)
    while size > np.uint64(1):
        half = size >> np.uint64(1)
        place += half * np.uint64(ordinals[place + half] <= document)
        size -= half
    return place


@part
def score_all(
    totals: Any, touched: Any, units: Any, documents: Any, threshold: int, plan: Plan, size: int, found: Terms,
    ordinals: Any, weights: Any,
) -> int:  # fmt: skip
    """Units of all documents that share a term and reach the threshold; returns how many.

    totals: int64 and touched: uint8 (documents of the block), zero before and after. units, documents: overwritten.
    """
    # Weights can be so small that a shared term adds 0 units; a threshold above 0 leaves such documents out anyway.
    mark = threshold <= 0
    for i in range(size):
        t = plan.terms[i]
        scaled = np.float64(plan.weights[i]) * SCORE_UNITS
        for place in range(found.starts[t], found.ends[t]):
            ordinal = ordinals[place]
            totals[ordinal] += units_of(weights[place], scaled)
            if mark:
                touched[ordinal] = 1
    count = 0
    for document in range(totals.size):
        if totals[document] >= threshold and (touched[document] or not mark):
            documents[count], units[count] = document, totals[document]
            count += 1
    totals.fill(0)
    if mark:
        touched.fill(0)
    return count
