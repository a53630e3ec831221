"""Exact top k of documents by the sum or the mean of their best passages.

No passage can be skipped: a document may be among the k best though none of its passages is. So every block is scored
in full. The passages of a document must follow one another; they may be in several blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from spladelake.scoring.blocks import Block
from spladelake.scoring.columns import find_terms
from spladelake.scoring.compiled import array, native, part, view
from spladelake.scoring.doc_ids import DocIds
from spladelake.scoring.filtering import empty_plan, list_terms
from spladelake.scoring.kernel import SHORTLISTS, longest
from spladelake.scoring.queries import Queries
from spladelake.scoring.ranked import Ranked
from spladelake.scoring.shortlist import Ids, Places, offer_all
from spladelake.scoring.top_k import ScoringWork, Shortlists, TooLargeError
from spladelake.scoring.totals import score_all
from spladelake.scoring.units import MOST_UNITS, REST_BITS, REST_MASK, SCORE_UNITS
from spladelake.scoring.workspace import ZEROED_BYTES, totals_in

_INT32, _FLOAT32, _INT64 = view(types.int32), view(types.float32), view(types.int64)
# The best passages of the document that is not finished, for each query: units, rests, rows of ids, and how many.
_OPEN = (array(types.int64, 2), array(types.int64, 2), array(types.int32, 2), array(types.int32))


class TopDocuments:
    """The k best documents of each query by the sum or the mean of their `best` best passages."""

    def __init__(
        self,
        queries: Queries,
        *,
        k: int,
        best: int,
        mean: bool,
        suffix: int,
        lower_bounds: NDArray[np.int64] | None = None,
    ) -> None:
        """Start with empty shortlists.

        - best: number of best passages; a document of fewer passages counts those.
        - mean: whether the sum is divided by their number, rounded down to 2^-76.
        - suffix, lower_bounds: as of TopK; the bounds are of documents.
        """
        self._queries, self._best, self._mean = queries, best, mean
        self._top = Shortlists(len(queries), k=k, suffix=suffix)
        if lower_bounds is not None:
            np.maximum(lower_bounds, 0, out=self._top.thresholds)
        self._open = (
            np.zeros((len(queries), best), dtype=np.int64),
            np.zeros((len(queries), best), dtype=np.int64),
            np.zeros((len(queries), best), dtype=np.int32),
            np.zeros(len(queries), dtype=np.int32),
        )
        self._document, self._passages = b"", 0
        self._suffix, self._seen = suffix, 0

    @property
    def density(self) -> NDArray[np.float32]:
        """As of TopK: every document is scored."""
        return np.ones(len(self._queries), dtype=np.float32)

    @property
    def work(self) -> ScoringWork:
        """The work done so far."""
        return ScoringWork(self._seen, 0, 0, 0, 0)

    def add(self, block: Block, doc_ids: DocIds) -> None:
        """Score a block of passages. doc_ids: their ids.

        Raises DataError if a score may exceed what 64 bits hold.
        """
        if not len(block):
            return
        queries, top = self._queries, self._top
        groups, counts = self._groups(doc_ids)
        first_row = top.ids.append(doc_ids)
        too_large = score_passages(
            len(block), block.term_ids, block.starts, block.peaks, block.ordinals, block.weights,
            queries.indptr, queries.slots, queries.weights, queries.terms,
            groups, counts, self._best, self._mean, *self._open,
            top.k, top.units, top.rests, top.rows, top.sizes, top.thresholds,
            first_row, top.ids.starts, top.ids.data, top.ids.keys, top.ids.suffix,
        )  # fmt: skip
        if too_large >= 0:
            raise TooLargeError(
                queries.first + too_large,
                f"the sum of the {self._best} best passages of a document may exceed {MOST_UNITS / SCORE_UNITS:,.0f}",
                "wanted a smaller sum, because larger sums are not exact",
                "Correct the weights that are too large, or choose fewer passages with --aggregate.",
            )
        self._seen += len(block)

    def _groups(self, ids: DocIds) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the number of each passage's document, and the passages of each document so far.

        Document 0 is the one that was not finished, which may have no passage in this block.
        """
        names, groups, counts = ids.to_bytes(), np.empty(len(ids), dtype=np.int32), [self._passages]
        for row, name in enumerate(names):
            if name[: -self._suffix] != self._document:
                self._document = name[: -self._suffix]
                counts.append(0)
            counts[-1] += 1
            groups[row] = len(counts) - 1
        self._passages = counts[-1]
        return groups, np.array(counts, dtype=np.int64)

    def result(self) -> Ranked:
        """Finish the last document and return the k best of each query. No block may be added afterwards."""
        top = self._top
        finish_document(
            self._passages, self._best, self._mean, *self._open,
            top.k, top.units, top.rests, top.rows, top.sizes, top.thresholds,
            top.ids.starts, top.ids.data, top.ids.keys, top.ids.suffix,
        )  # fmt: skip
        return top.ranked(self._queries.first)


@native(
    types.int64, _INT32, _INT32, _FLOAT32, view(types.uint16), _FLOAT32, _INT64, _INT32, _FLOAT32, _INT32,
    _INT32, _INT64, types.int64, types.boolean, *_OPEN, types.int64, *SHORTLISTS, array(types.int64),
    types.int64, _INT64, view(types.uint8), _INT64, types.int64,
    returns=types.int64,
)  # fmt: skip
def score_passages(
    passages: Any, term_ids: Any, starts: Any, peaks: Any, ordinals: Any, weights: Any,
    indptr: Any, slots: Any, query_weights: Any, terms: Any,
    groups: Any, counts: Any, best: Any, mean: Any, open_units: Any, open_rests: Any, open_rows: Any, open_sizes: Any,
    k: Any, units: Any, rests: Any, rows: Any, sizes: Any, thresholds: Any,
    first_row: Any, id_starts: Any, id_data: Any, keys: Any, suffix: Any,
) -> int:  # fmt: skip
    """Score the passages of a block and offer the documents that end in it to the shortlists of all queries.

    - groups: int32 (passages), document of each passage, ascending; 0 is the document that was not finished.
    - counts: int64 (documents), passages of each document.
    - open_units, open_rests, open_rows, open_sizes: the best passages of the unfinished document; changed.

    The others are as of `kernel.score_block`. Returns the first query whose sums may pass MOST_UNITS, or -1.
    """
    found = find_terms(terms, term_ids, starts, peaks)
    plan, totals = empty_plan(longest(indptr)), totals_in(np.zeros(passages * ZEROED_BYTES, np.uint8), passages)
    new_units, new_rests = np.empty(passages, np.int64), np.empty(passages, np.int64)
    new = np.empty(passages, np.int32)
    end_units, end_rests = np.empty(counts.size, np.int64), np.empty(counts.size, np.int64)
    end_rows = np.empty(counts.size, np.int32)
    ids = Ids(id_starts, id_data, keys, suffix)
    for q in range(indptr.size - 1):
        of = slice(indptr[q], indptr[q + 1])
        _, size, _, _, bound, largest = list_terms(plan, slots[of], query_weights[of], found)
        if bound * SCORE_UNITS * np.float64(best) >= MOST_UNITS:
            return q
        count = 0
        if size > 0:
            count = score_all(totals, new_units, new_rests, new, 0, 0, largest, plan, size, found, ordinals, weights)
        group, ended = 0, 0
        filled = open_sizes[q]
        for i in range(count):
            if groups[new[i]] != group:
                ended = end_document(
                    open_units[q], open_rests[q], open_rows[q], filled, counts[group], best, mean,
                    end_units, end_rests, end_rows, ended,
                )  # fmt: skip
                group, filled = groups[new[i]], 0
            filled = take_passage(
                open_units[q], open_rests[q], open_rows[q], filled, best, new_units[i], new_rests[i],
                first_row + new[i],
            )  # fmt: skip
        if group != counts.size - 1:
            ended = end_document(
                open_units[q], open_rests[q], open_rows[q], filled, counts[group], best, mean,
                end_units, end_rests, end_rows, ended,
            )  # fmt: skip
            filled = 0
        open_sizes[q] = filled
        if ended:
            sizes[q], thresholds[q] = offer_all(
                Places(units[q], rests[q], rows[q]), sizes[q], k, thresholds[q], end_units[:ended],
                end_rests[:ended], end_rows[:ended], 0, ids,
            )  # fmt: skip
    return -1


@part
def take_passage(
    units: Any, rests: Any, rows: Any, filled: int, best: int, new_units: int, new_rests: int, row: int
) -> int:  # fmt: skip
    """Put a passage among the best of its document, the best first and earlier ones before equal ones."""
    place = filled
    while place > 0 and (
        new_units > units[place - 1] or (new_units == units[place - 1] and new_rests > rests[place - 1])
    ):
        place -= 1
    if place >= best:
        return filled
    filled = min(filled + 1, best)
    for i in range(filled - 1, place, -1):
        units[i], rests[i], rows[i] = units[i - 1], rests[i - 1], rows[i - 1]
    units[place], rests[place], rows[place] = new_units, new_rests, row
    return filled


@part
def total_of(units: Any, rests: Any, filled: int, passages: int, best: int, mean: bool) -> Any:
    """Return units and rests of a document's score."""
    whole, rest = np.int64(0), np.int64(0)
    for i in range(filled):
        whole += units[i]
        rest += rests[i]
    whole, rest = whole + (rest >> REST_BITS), rest & REST_MASK
    if mean:
        parts = np.int64(min(best, passages))
        quotient = whole // parts
        rest = ((whole - quotient * parts) * np.int64(REST_MASK + 1) + rest) // parts
        whole = quotient
    return whole, rest


@part
def end_document(
    units: Any, rests: Any, rows: Any, filled: int, passages: int, best: int, mean: bool,
    end_units: Any, end_rests: Any, end_rows: Any, ended: int,
) -> int:  # fmt: skip
    """Add a document to those that ended, if one of its passages has a score; return their number."""
    if filled:
        end_units[ended], end_rests[ended] = total_of(units, rests, filled, passages, best, mean)
        end_rows[ended] = rows[0]
        ended += 1
    return ended


@native(
    types.int64, types.int64, types.boolean, *_OPEN, types.int64, *SHORTLISTS, array(types.int64),
    _INT64, view(types.uint8), _INT64, types.int64,
)  # fmt: skip
def finish_document(
    passages: Any, best: Any, mean: Any, open_units: Any, open_rests: Any, open_rows: Any, open_sizes: Any,
    k: Any, units: Any, rests: Any, rows: Any, sizes: Any, thresholds: Any,
    id_starts: Any, id_data: Any, keys: Any, suffix: Any,
) -> None:  # fmt: skip
    """Offer the unfinished document to the shortlists. passages: their number in it."""
    end_units, end_rests, end_rows = np.empty(1, np.int64), np.empty(1, np.int64), np.empty(1, np.int32)
    for q in range(sizes.size):
        if end_document(
            open_units[q], open_rests[q], open_rows[q], open_sizes[q], passages, best, mean,
            end_units, end_rests, end_rows, 0,
        ):  # fmt: skip
            sizes[q], thresholds[q] = offer_all(
                Places(units[q], rests[q], rows[q]), sizes[q], k, thresholds[q], end_units, end_rests, end_rows, 0,
                Ids(id_starts, id_data, keys, suffix),
            )  # fmt: skip
            open_sizes[q] = 0
