"""The kernel: score one block of documents for all queries of a pass, and update one shortlist per query."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from spladelake.scoring.columns import COLUMN_NS, VISIT_NS, fill_columns, find_terms, width_of
from spladelake.scoring.compiled import array, native, part, view
from spladelake.scoring.exact import LOOK_UP_NS, score_chosen
from spladelake.scoring.filtering import MOST_STEPS, add_steps, cut_of, empty_plan, list_terms, reach_cut, unit_of
from spladelake.scoring.shortlist import Ids, Places, cut, offer_all
from spladelake.scoring.sorting import empty_order, sort
from spladelake.scoring.totals import ADD_NS, COLLECT_NS, score_all
from spladelake.scoring.units import MOST_UNITS, SCORE_UNITS
from spladelake.scoring.workspace import hits_in, totals_in

_INT32, _FLOAT32, _INT64 = view(types.int32), view(types.float32), view(types.int64)
_IDS = (_INT64, view(types.uint8), _INT64, types.int64)
SHORTLISTS = (array(types.int64, 2), array(types.int64, 2), array(types.int32, 2), array(types.int32))


@native(
    types.int64, _INT32, _INT32, _FLOAT32, view(types.uint16), _FLOAT32,
    _INT64, _INT32, _FLOAT32, _INT32, _INT32,
    types.int64, *SHORTLISTS, array(types.int64), array(types.float32),
    types.int64, *_IDS, array(types.uint8), array(types.uint8), array(types.uint8), array(types.int64),
    returns=types.int64,
)  # fmt: skip
def score_block(
    documents: Any, term_ids: Any, starts: Any, peaks: Any, ordinals: Any, weights: Any,
    indptr: Any, slots: Any, query_weights: Any, terms: Any, uses: Any,
    k: Any, units: Any, rests: Any, rows: Any, sizes: Any, thresholds: Any, density: Any,
    first_row: Any, id_starts: Any, id_data: Any, keys: Any, suffix: Any,
    scratch: Any, zeroed: Any, memory: Any, counters: Any,
) -> int:  # fmt: skip
    """Offer the documents of a block to the shortlists of all queries.

    The first line of parameters is a Block, the second is Queries.

    - units, rests, rows: (queries, places), the shortlists; sizes: (queries), their lengths.
    - thresholds: int64 (queries), units below which a document is dropped.
    - density: float32 (queries), share of the previous block's documents that were candidates; changed.
    - first_row, id_starts, id_data, keys, suffix: the table of ids, see `Ids`; that of document i is in row
      `first_row + i`.
    - scratch: uint8, memory for columns.
    - zeroed, memory: see `workspace`.
    - counters: int64 (4), increased by the documents looked up, the query-block pairs filtered, the pairs scored in
      full, and the products of a join.

    Returns the first query whose scores may pass MOST_UNITS, or -1.
    """
    found = find_terms(terms, term_ids, starts, peaks)
    counters[3] += count_products_of(found, uses)
    columns = fill_columns(documents, found, uses, ordinals, weights, scratch)
    plan = empty_plan(longest(indptr))
    steps = np.empty(width_of(documents), np.uint16)
    totals, hits = totals_in(zeroed, documents), hits_in(zeroed, memory, documents)
    ids = Ids(id_starts, id_data, keys, suffix)
    chosen, chosen_units = np.empty(steps.size, np.int32), np.empty(steps.size, np.int64)
    chosen_rests = np.empty(steps.size, np.int64)
    # The k best passages may be of fewer than k documents.
    most = k if suffix == 0 else 0
    for q in range(indptr.size - 1):
        of = slice(indptr[q], indptr[q + 1])
        with_columns, size, postings, rare, bound, largest = list_terms(plan, slots[of], query_weights[of], found)
        if bound * SCORE_UNITS >= MOST_UNITS:
            return q
        threshold = thresholds[q]
        # The factor allows for rounding in the sum of the bound.
        if size == 0 or bound * SCORE_UNITS * (1.0 + 1e-9) < threshold:
            continue
        unit = unit_of(size, bound, largest)
        cut = cut_of(threshold, size, unit)
        filter_ns = rare * VISIT_NS + (with_columns + 1) * documents * COLUMN_NS
        look_up_ns = density[q] * documents * size * LOOK_UP_NS
        if cut >= 1 and filter_ns + look_up_ns < postings * ADD_NS + documents * COLLECT_NS:
            count = 0
            if cut <= MOST_STEPS:
                add_steps(steps, plan, with_columns, size, unit, found, columns, ordinals, weights)
                count = reach_cut(steps, cut, chosen)
                if count:
                    score_chosen(
                        chosen_units[:count], chosen_rests[:count], chosen[:count], plan, with_columns, size, found,
                        columns, ordinals, weights, hits,
                    )  # fmt: skip
            counters[0] += count
            counters[1] += 1
        else:
            count = score_all(
                totals, chosen_units, chosen_rests, chosen, threshold, most, largest, plan, size, found, ordinals,
                weights,
            )  # fmt: skip
            counters[2] += 1
        # The next block is expected to have no more candidates than this one, and at most k.
        density[q] = np.float32(min(count, k) / documents)
        if count:
            sizes[q], thresholds[q] = offer_all(
                Places(units[q], rests[q], rows[q]), sizes[q], k, threshold, chosen_units[:count],
                chosen_rests[:count], chosen[:count], first_row, ids,
            )  # fmt: skip
    return -1


@part
def count_products_of(found: Any, uses: Any) -> Any:
    """Return the products of a join with this block: sum over terms of documents with it × queries with it."""
    products = np.int64(0)
    for t in range(uses.size):
        products += np.int64(found.ends[t] - found.starts[t]) * np.int64(uses[t])
    return products


@part
def longest(indptr: Any) -> int:
    """Return the length of the longest row."""
    most = 0
    for i in range(indptr.size - 1):
        most = max(most, indptr[i + 1] - indptr[i])
    return most


@native(types.int64, *SHORTLISTS, array(types.int64), *_IDS)
def cut_all(
    k: Any, units: Any, rests: Any, rows: Any, sizes: Any, thresholds: Any,
    id_starts: Any, id_data: Any, keys: Any, suffix: Any,
) -> None:  # fmt: skip
    """Cut every shortlist to its k best."""
    ids = Ids(id_starts, id_data, keys, suffix)
    for q in range(sizes.size):
        sizes[q] = cut(Places(units[q], rests[q], rows[q]), sizes[q], k, ids)
        if sizes[q] == k:
            thresholds[q] = max(thresholds[q], units[q, k - 1])


@native(types.int64, *SHORTLISTS, array(types.int64), _INT32, _INT64, _INT64, types.int64, *_IDS)
def offer_ranked(
    k: Any, units: Any, rests: Any, rows: Any, sizes: Any, thresholds: Any, queries: Any, new_units: Any,
    new_rests: Any, first_row: Any, id_starts: Any, id_data: Any, keys: Any, suffix: Any,
) -> None:  # fmt: skip
    """Offer rows of (query, units, rests) to the shortlists.

    Row i has the id in row `first_row + i` of the id table. Rows of a query must be adjacent.
    """
    start = 0
    while start < queries.size:
        q, end = queries[start], start + 1
        while end < queries.size and queries[end] == q:
            end += 1
        sizes[q], thresholds[q] = offer_all(
            Places(units[q], rests[q], rows[q]), sizes[q], k, thresholds[q], new_units[start:end],
            new_rests[start:end], np.arange(start, end), first_row, Ids(id_starts, id_data, keys, suffix),
        )  # fmt: skip
        start = end


@native(
    view(types.int64, 2), view(types.int64, 2), view(types.int32, 2), _INT32, *_IDS, array(types.int64),
    array(types.int64), array(types.int32), array(types.int32),
)  # fmt: skip
def rank_all(
    units: Any, rests: Any, rows: Any, sizes: Any, id_starts: Any, id_data: Any, keys: Any, suffix: Any,
    out_units: Any, out_rests: Any, out_rows: Any, out_queries: Any,
) -> None:  # fmt: skip
    """Write every shortlist's documents, best first, one query after the other; the shortlists do not change."""
    end, order = 0, empty_order(sizes.max() if sizes.size else 0)
    for q in range(sizes.size):
        start, end = end, end + sizes[q]
        for i in range(sizes[q]):
            out_units[start + i], out_rests[start + i] = units[q, i], rests[q, i]
            out_rows[start + i], out_queries[start + i] = rows[q, i], q
        sort(
            Places(out_units[start:end], out_rests[start:end], out_rows[start:end]),
            Ids(id_starts, id_data, keys, suffix), order,
        )  # fmt: skip


@native(view(types.int32, 2), _INT32, array(types.boolean))
def mark_rows(rows: Any, sizes: Any, used: Any) -> None:
    """Mark the rows of the id table that a shortlist holds."""
    for q in range(sizes.size):
        for i in range(sizes[q]):
            used[rows[q, i]] = True


@native(array(types.int32, 2), _INT32, _INT32)
def renumber_rows(rows: Any, sizes: Any, renumbered: Any) -> None:
    """Replace the rows in the shortlists with their new numbers."""
    for q in range(sizes.size):
        for i in range(sizes[q]):
            rows[q, i] = renumbered[rows[q, i]]
