"""A bounded heap of the best documents of a query: score descending, then doc_id ascending.

A document is a row of the table of ids `starts`, `data` (see `doc_ids`). The root of a heap is its worst document.
"""

from __future__ import annotations

from typing import Any

from spladelake.scoring.compiled import part


@part
def id_before(a: int, b: int, starts: Any, data: Any) -> Any:
    """Whether the id of row a sorts before the id of row b, by UTF-8 bytes, which is the order of code points."""
    i, j = starts[a], starts[b]
    end_i, end_j = starts[a + 1], starts[b + 1]
    while i < end_i and j < end_j:
        if data[i] != data[j]:
            return data[i] < data[j]
        i += 1
        j += 1
    return end_i - i < end_j - j


@part
def is_worse(units_a: int, a: int, units_b: int, b: int, starts: Any, data: Any) -> Any:
    """Whether row a ranks below row b. Ids are compared only where scores are equal."""
    if units_a != units_b:
        return units_a < units_b
    return id_before(b, a, starts, data)


@part
def sift_down(units: Any, rows: Any, size: int, starts: Any, data: Any) -> None:
    """Put the root of a heap of that size where it belongs."""
    u, r = units[0], rows[0]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and is_worse(units[right], rows[right], units[child], rows[child], starts, data):
            child = right
        if not is_worse(units[child], rows[child], u, r, starts, data):
            break
        units[at], rows[at] = units[child], rows[child]
        at = child
    units[at], rows[at] = u, r


@part
def offer(units: Any, rows: Any, size: int, u: int, r: int, starts: Any, data: Any) -> int:
    """Add a document, dropping the worst where the heap is full. units, rows: (k). Returns the size after it."""
    if size == units.size:
        if is_worse(units[0], rows[0], u, r, starts, data):
            units[0], rows[0] = u, r
            sift_down(units, rows, size, starts, data)
        return size
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if not is_worse(u, r, units[parent], rows[parent], starts, data):
            break
        units[at], rows[at] = units[parent], rows[parent]
        at = parent
    units[at], rows[at] = u, r
    return size + 1


@part
def sort_heap(units: Any, rows: Any, starts: Any, data: Any) -> None:
    """Turn a heap into a ranking, best first."""
    for size in range(units.size - 1, 0, -1):
        units[0], units[size] = units[size], units[0]
        rows[0], rows[size] = rows[size], rows[0]
        sift_down(units, rows, size, starts, data)
