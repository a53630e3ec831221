"""A shortlist: the best documents of a query so far, by descending score, then ascending doc_id, and undecided ones.

If the ids are of passages, a cut keeps only the best passage of each document, the first of equal ones.

A cut moves the k best documents to the front, the worst of them to place k - 1, and drops the rest. New documents are
appended, and a full shortlist is cut again. A heap would stay in order, but each new document would touch places all
over it, which are outside the caches with thousands of queries.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spladelake.scoring.compiled import part

# Places behind the first k: a share of k plus a few. Fewer places mean more cuts, each of which reads every place once
# or twice. More places mean a threshold that rises later.
SPARE_SHARE = 1 / 2
SPARE_LEAST = 8
# After a block, a shortlist with more new documents than this share of k is cut.
CUT_SHARE = 1 / 8


class Places(NamedTuple):
    """Scored documents: int64 units and rests of the score, int32 row of each in the table of ids."""

    units: Any
    rests: Any
    rows: Any


class Ids(NamedTuple):
    """The table of ids: row i is the bytes `starts[i]:starts[i + 1]` of `data` (see `doc_ids`).

    - keys: int64, a hash of the document of each row; only if suffix is above 0.
    - suffix: bytes at the end of an id that tell passages of a document apart; 0 if ids are of documents.
    """

    starts: Any
    data: Any
    keys: Any
    suffix: int


def places_for(k: int) -> int:
    """Return the number of places in a shortlist of k documents."""
    return k + int(k * SPARE_SHARE) + SPARE_LEAST


@part
def id_before(a: int, b: int, ids: Ids) -> Any:
    """Return whether the id of row a sorts before the id of row b by UTF-8 bytes, the order of code points.

    Passages sort by the ids of their documents, then by their suffixes.
    """
    i, j = ids.starts[a], ids.starts[b]
    end_i, end_j = ids.starts[a + 1] - ids.suffix, ids.starts[b + 1] - ids.suffix
    while i < end_i and j < end_j:
        if ids.data[i] != ids.data[j]:
            return ids.data[i] < ids.data[j]
        i += 1
        j += 1
    if end_i - i != end_j - j:
        return end_i - i < end_j - j
    for place in range(ids.suffix):
        if ids.data[end_i + place] != ids.data[end_j + place]:
            return ids.data[end_i + place] < ids.data[end_j + place]
    return False


@part
def is_same_document(a: int, b: int, ids: Ids) -> Any:
    """Return whether the passages of rows a and b are of one document."""
    i, j = ids.starts[a], ids.starts[b]
    size = ids.starts[a + 1] - i
    if ids.keys[a] != ids.keys[b] or ids.starts[b + 1] - j != size:
        return False
    for place in range(size - ids.suffix):  # noqa: SIM110 - compiled
        if ids.data[i + place] != ids.data[j + place]:
            return False
    return True


@part
def keep_best_passages(places: Places, size: int, ids: Ids) -> int:
    """Keep only the best passage of each document; return the new size."""
    slots = 16
    while slots < 2 * size:
        slots *= 2
    table = np.full(slots, -1, np.int32)
    kept = 0
    for i in range(size):
        document = at(places, i)
        slot = ids.keys[document[2]] & np.int64(slots - 1)
        while table[slot] >= 0 and not is_same_document(places.rows[table[slot]], document[2], ids):
            slot = (slot + 1) & np.int64(slots - 1)
        if table[slot] < 0:
            table[slot] = kept
            put(places, kept, document)
            kept += 1
        elif is_better(document, at(places, table[slot]), ids):
            put(places, table[slot], document)
    return kept


@part
def is_better(a: Any, b: Any, ids: Ids) -> Any:
    """Return whether document a ranks above document b, each (units, rests, row). Ids are compared only in a tie."""
    if a[0] != b[0]:
        return a[0] > b[0]
    if a[1] != b[1]:
        return a[1] > b[1]
    return id_before(a[2], b[2], ids)


@part
def at(places: Places, i: int) -> Any:
    """Return the document at a place: (units, rests, row)."""
    return places.units[i], places.rests[i], places.rows[i]


@part
def put(places: Places, i: int, document: Any) -> None:
    """Write a document to a place."""
    places.units[i], places.rests[i], places.rows[i] = document[0], document[1], document[2]


@part
def offer_all(
    places: Places, size: int, k: int, threshold: int, new_units: Any, new_rests: Any, new_documents: Any,
    first_row: int, ids: Ids,
) -> Any:  # fmt: skip
    """Add documents to a shortlist; documents with fewer units than the threshold are dropped.

    Returns the new size and the new threshold: the units of the k-th document after a cut, else the old threshold.
    """
    has_worst, before = size >= k, size
    for i in range(new_units.size):
        document = new_units[i], new_rests[i], first_row + new_documents[i]
        if document[0] < threshold or (has_worst and not is_better(document, at(places, k - 1), ids)):
            continue
        if size == places.units.size:
            size = cut(places, size, k, ids)
            before, has_worst = size, size >= k
            if has_worst:
                threshold = max(threshold, places.units[k - 1])
                if not is_better(document, at(places, k - 1), ids):
                    continue
        put(places, size, document)
        size += 1
    if size >= k and (not has_worst or size - before > k * CUT_SHARE):
        size = cut(places, size, k, ids)
        if size >= k:
            threshold = max(threshold, places.units[k - 1])
    return size, threshold


@part
def cut(places: Places, size: int, k: int, ids: Ids) -> int:
    """Move the k best to the front, the worst of them to k - 1, by Hoare's selection; return the new size (≤ k)."""
    if ids.suffix > 0:
        size = keep_best_passages(places, size, ids)
    low, high = 0, size - 1
    while low < high and size > 0:
        pivot = at(places, (low + high) >> 1)
        i, j = low, high
        while i <= j:
            while is_better(at(places, i), pivot, ids):
                i += 1
            while is_better(pivot, at(places, j), ids):
                j -= 1
            if i <= j:
                swap(places, i, j)
                i += 1
                j -= 1
        if j < k - 1:
            low = i
        if k - 1 < i:
            high = j
    return min(size, k)


@part
def swap(places: Places, i: int, j: int) -> None:
    """Exchange two documents."""
    document = at(places, i)
    put(places, i, at(places, j))
    put(places, j, document)
