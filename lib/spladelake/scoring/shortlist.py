"""A shortlist: the best documents of a query so far, score descending, then doc_id ascending, and some to be decided.

A document is a row of the table of ids `starts`, `data` (see `doc_ids`). Once a shortlist has k documents, its first k
are the best of those it was cut to, the worst of them last; new ones are put behind, and it is cut when it is full. A
heap would be always in order, but each new document would read places all over it: with thousands of queries those
are outside the caches.
"""

from __future__ import annotations

from typing import Any

from spladelake.scoring.compiled import part

# Places behind the first k, as a share of k and in any case. A cut costs as much as looking at every place once or
# twice, and until then the threshold stays behind what was found.
SPARE_SHARE = 1 / 2
SPARE_LEAST = 8
# A cut after a block pays when this share of k was put behind.
CUT_SHARE = 1 / 8


def places_for(k: int) -> int:
    """Places of a shortlist of k documents."""
    return k + int(k * SPARE_SHARE) + SPARE_LEAST


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
def is_better(units_a: int, a: int, units_b: int, b: int, starts: Any, data: Any) -> Any:
    """Whether row a ranks above row b. Ids are compared only where scores are equal."""
    if units_a != units_b:
        return units_a > units_b
    return id_before(a, b, starts, data)


@part
def offer_all(
    units: Any, rows: Any, size: int, k: int, threshold: int, new_units: Any, new_documents: Any, first_row: int,
    starts: Any, data: Any,
) -> Any:  # fmt: skip
    """Add documents to a shortlist; those below the threshold are dropped. units, rows: (places).

    Returns its size and the threshold after it: the units of the k-th document, or what it was.
    """
    has_worst, before = size >= k, size
    for i in range(new_units.size):
        u, r = new_units[i], first_row + new_documents[i]
        if u < threshold or (has_worst and not is_better(u, r, units[k - 1], rows[k - 1], starts, data)):
            continue
        if size == units.size:
            size, before, has_worst = cut(units, rows, size, k, starts, data), k, True
            threshold = max(threshold, units[k - 1])
            if not is_better(u, r, units[k - 1], rows[k - 1], starts, data):
                continue
        units[size], rows[size] = u, r
        size += 1
    if size >= k and (not has_worst or size - before > k * CUT_SHARE):
        size = cut(units, rows, size, k, starts, data)
        threshold = max(threshold, units[k - 1])
    return size, threshold


@part
def cut(units: Any, rows: Any, size: int, k: int, starts: Any, data: Any) -> int:
    """Put the k best first, the worst of them at k - 1, by Hoare's selection. Returns the size after it: k at most."""
    low, high = 0, size - 1
    while low < high and size > 0:
        middle = (low + high) >> 1
        u, r = units[middle], rows[middle]
        i, j = low, high
        while i <= j:
            while is_better(units[i], rows[i], u, r, starts, data):
                i += 1
            while is_better(u, r, units[j], rows[j], starts, data):
                j -= 1
            if i <= j:
                swap(units, rows, i, j)
                i += 1
                j -= 1
        if j < k - 1:
            low = i
        if k - 1 < i:
            high = j
    return min(size, k)


@part
def swap(units: Any, rows: Any, i: int, j: int) -> None:
    """Exchange two documents."""
    units[i], units[j] = units[j], units[i]
    rows[i], rows[j] = rows[j], rows[i]


@part
def sort(units: Any, rows: Any, starts: Any, data: Any) -> None:
    """Sort documents, best first, by heapsort: its time does not depend on their order."""
    for root in range(units.size // 2 - 1, -1, -1):
        sift_down(units, rows, root, units.size, starts, data)
    for last in range(units.size - 1, 0, -1):
        swap(units, rows, 0, last)
        sift_down(units, rows, 0, last, starts, data)


@part
def sift_down(units: Any, rows: Any, root: int, size: int, starts: Any, data: Any) -> None:
    """Move a document down a heap of that size, whose root is the worst, to where it belongs."""
    while 2 * root + 1 < size:
        child, right = 2 * root + 1, 2 * root + 2
        if right < size and is_better(units[child], rows[child], units[right], rows[right], starts, data):
            child = right
        if not is_better(units[root], rows[root], units[child], rows[child], starts, data):
            return
        swap(units, rows, root, child)
        root = child
