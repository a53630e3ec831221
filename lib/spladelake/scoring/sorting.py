"""The order of a shortlist: a radix sort of the units, then a heapsort of the few documents with equal units."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spladelake.scoring.compiled import part
from spladelake.scoring.shortlist import Ids, Places, at, is_better, put, swap

# Bits of one pass of the radix sort: the counts of 256 digits are cleared faster than 100 documents are compared.
DIGIT_BITS = 8
# Shorter lists are faster to sort by comparisons.
LEAST_RADIX = 48


class Order(NamedTuple):
    """Documents on their way to their places: keys that ascend from best to worst, and places before the sort.

    - keys, next_keys: uint64.
    - places, next_places: int32.
    - counts: int32, of each digit.
    - units, rests, rows: a copy of the documents.
    """

    keys: Any
    next_keys: Any
    places: Any
    next_places: Any
    counts: Any
    units: Any
    rests: Any
    rows: Any


@part
def empty_order(most: int) -> Order:
    """Return the memory to sort at most that many documents."""
    return Order(
        np.empty(most, np.uint64), np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.int32),
        np.empty(1 << DIGIT_BITS, np.int32), np.empty(most, np.int64), np.empty(most, np.int64),
        np.empty(most, np.int32),
    )  # fmt: skip


@part
def sort(places: Places, ids: Ids, order: Order) -> None:
    """Sort documents, best first."""
    size = places.units.size
    if size < LEAST_RADIX:
        heapsort(places, 0, size, ids)
        return
    sort_by_units(places, order)
    start = 0
    while start < size:
        end = start + 1
        while end < size and places.units[end] == places.units[start]:
            end += 1
        heapsort(places, start, end, ids)
        start = end


@part
def sort_by_units(places: Places, order: Order) -> None:
    """Sort documents by descending units. The keys are the distances from the most units, sorted digit by digit."""
    size, most = places.units.size, places.units.max()
    for i in range(size):
        order.keys[i], order.places[i] = np.uint64(most - places.units[i]), i
        order.units[i], order.rests[i], order.rows[i] = at(places, i)
    keys, next_keys, of, next_of = order.keys, order.next_keys, order.places, order.next_places
    longest, shift = keys[:size].max(), np.uint64(0)
    while shift < np.uint64(64) and (longest >> shift) > np.uint64(0):
        move_by_digit(size, keys, next_keys, of, next_of, shift, order.counts)
        keys, next_keys, of, next_of = next_keys, keys, next_of, of
        shift += np.uint64(DIGIT_BITS)
    for i in range(size):
        j = of[i]
        put(places, i, (order.units[j], order.rests[j], order.rows[j]))


@part
def move_by_digit(size: int, keys: Any, next_keys: Any, of: Any, next_of: Any, shift: Any, counts: Any) -> None:
    """Move keys and their places to the order of one digit; keys with the same digit stay in their order."""
    mask = np.uint64((1 << DIGIT_BITS) - 1)
    counts.fill(0)
    for i in range(size):
        counts[(keys[i] >> shift) & mask] += 1
    before = np.int32(0)
    for digit in range(counts.size):
        count = counts[digit]
        counts[digit] = before
        before += count
    for i in range(size):
        digit = (keys[i] >> shift) & mask
        place = counts[digit]
        counts[digit] = place + 1
        next_keys[place], next_of[place] = keys[i], of[i]


@part
def heapsort(places: Places, start: int, end: int, ids: Ids) -> None:
    """Sort a range of documents, best first, by heapsort, whose time does not depend on their order."""
    size = end - start
    for root in range(size // 2 - 1, -1, -1):
        sift_down(places, start, root, size, ids)
    for last in range(size - 1, 0, -1):
        swap(places, start, start + last)
        sift_down(places, start, 0, last, ids)


@part
def sift_down(places: Places, start: int, root: int, size: int, ids: Ids) -> None:
    """Move a document down to its place in a heap of that size from `start`; the root is the worst document."""
    while 2 * root + 1 < size:
        child, right = 2 * root + 1, 2 * root + 2
        if right < size and is_better(at(places, start + child), at(places, start + right), ids):
            child = right
        if not is_better(at(places, start + root), at(places, start + child), ids):
            return
        swap(places, start + root, start + child)
        root = child
