"""Costs by which the kernel chooses its ways, in nanoseconds, when all they touch is in the caches.

The constants of `columns` and `exact` are two to three times as high where postings are read: there they come from
memory. Those of `totals` are of one query, whose postings come in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from spladelake.scoring import BLOCK_DOCUMENTS
from spladelake.scoring.columns import GROUP, add_four_columns, fill_column
from spladelake.scoring.exact import add_hits, hits_in_column, hits_in_postings
from spladelake.scoring.filtering import add_postings
from spladelake.scoring.totals import add_term, collect
from spladelake.scoring.units import SCORE_UNITS
from spladelake.scoring.workspace import hits_in, totals_in, workspace

REPEATS, ROUNDS = 2_000, 7
# Share of the documents that have the term: the frequent get a column, the rarer do not.
FREQUENT, RARE = 0.2, 0.02


@njit
def visit(times: int, steps: Any, ordinals: Any, weights: Any) -> None:
    for _ in range(times):
        add_postings(steps, ordinals, weights, np.float32(3.0))


@njit
def columns(times: int, steps: Any, column: Any, factors: Any) -> None:
    for _ in range(times):
        add_four_columns(steps, column, column, column, column, factors)


@njit
def fill(times: int, column: Any, places: Any, ordinals: Any, weights: Any) -> None:
    for _ in range(times):
        fill_column(column, places, ordinals, weights, np.float32(9.0))


@njit
def clear(times: int, column: Any) -> None:
    for _ in range(times):
        column.fill(0)


@njit
def look_up(
    times: int, column: Any, places: Any, ordinals: Any, weights: Any, chosen: Any, sums: Any, hits: Any
) -> None:
    for _ in range(times):
        count = hits_in_column(hits, 0, chosen, column, places, 0, SCORE_UNITS)
        count = hits_in_postings(hits, count, chosen, ordinals, 0, SCORE_UNITS)
        add_hits(sums[0], sums[1], hits, count, weights)


@njit
def add_all(times: int, ordinals: Any, weights: Any, totals: Any) -> None:
    for _ in range(times):
        add_term(totals, ordinals, weights, SCORE_UNITS)


@njit
def collect_all(times: int, totals: Any, documents: Any) -> int:
    count = 0
    for _ in range(times):
        count = collect(documents, totals.units, 2**40)
        totals.units.fill(0)
        totals.rests.fill(0)
    return count


def measure_costs() -> dict[str, float]:
    """Every cost, of one element of its work, best of several rounds."""
    rng, size = np.random.default_rng(0), BLOCK_DOCUMENTS
    some, few = (np.flatnonzero(rng.random(size) < share).astype(np.uint16) for share in (FREQUENT, RARE))
    weights = rng.uniform(0.1, 2.0, size).astype(np.float32)
    steps, column, places = np.zeros(size, np.uint16), np.zeros(size, np.uint8), np.zeros(size // GROUP, np.uint16)
    factors, chosen = np.full(4, 3, np.uint16), np.sort(rng.choice(size, 80, replace=False)).astype(np.int32)
    sums, documents = np.zeros((2, size), np.int64), np.empty(size, np.int32)
    zeroed, memory = workspace(size)
    totals, hits = totals_in(zeroed, size), hits_in(zeroed, memory, size)
    clear_ns = nanoseconds(lambda: clear(REPEATS, column), size)
    fill_ns = nanoseconds(lambda: fill(REPEATS, column, places, some, weights), len(some))
    return {
        "VISIT_NS": nanoseconds(lambda: visit(REPEATS, steps, few, weights), len(few)),
        "COLUMN_NS": nanoseconds(lambda: columns(REPEATS, steps, column, factors), 4 * size),
        "CLEAR_NS": clear_ns,
        "FILL_NS": round(fill_ns - clear_ns * size / len(some), 4),
        "LOOK_UP_NS": nanoseconds(
            lambda: look_up(REPEATS, column, places, few, weights, chosen, sums, hits), 2 * len(chosen)
        ),
        "ADD_NS": nanoseconds(lambda: add_all(REPEATS, few, weights, totals), len(few)),
        "COLLECT_NS": nanoseconds(lambda: collect_all(REPEATS, totals, documents), size),
    }  # fmt: skip


def nanoseconds(call: Callable[[], Any], elements: int) -> float:
    """Of one element, by the processor's time."""
    call()
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return round(best / (REPEATS * elements) * 1e9, 4)
