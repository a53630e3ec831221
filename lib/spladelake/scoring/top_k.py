"""Exact top k of many queries over any number of blocks of documents.

    top = TopK(Queries.of(query_vectors, vocabulary_size=30522), k=100)
    for first, block in blocks_of(document_vectors, vocabulary_size=30522):
        top.add(block, doc_ids[first : first + len(block)])
    ranked = top.result()

The score of a query and a document is the sum over shared terms of query weight × document weight, counted in two
integers (see `units`). Only documents that share a term are candidates. The order is descending score, then ascending
doc_id. So blocks, tasks, passes and skipped work never change a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import DataError, UsageError
from spladelake.scoring.blocks import BLOCK_DOCUMENTS, Block, blocks_of
from spladelake.scoring.columns import LANES
from spladelake.scoring.doc_ids import DocIds, IdTable
from spladelake.scoring.kernel import cut_all, mark_rows, offer_ranked, rank_all, renumber_rows, score_block
from spladelake.scoring.queries import Queries
from spladelake.scoring.ranked import Ranked
from spladelake.scoring.shortlist import places_for
from spladelake.scoring.units import MOST_UNITS, SCORE_UNITS
from spladelake.scoring.workspace import workspace
from spladelake.vectors import SparseVectors

# Bytes reserved for the columns of a block: 4,096 terms at 8,192 documents. A block touches only the part it needs.
SCRATCH_BYTES = 32 * 2**20


class TooLargeError(DataError):
    """A score that is too large to be exact. number: the query's number."""

    def __init__(self, number: int, found: str, wanted: str, fix: str) -> None:
        super().__init__(f"query number {number}", found, wanted, fix)
        self.number = number

    def named(self, query_id: str) -> DataError:
        """Return the error with the query's id as its place."""
        return DataError(f"query {query_id!r}", self.found, self.wanted, self.fix)


class Shortlists:
    """The best documents of each query so far, with the ids of those documents."""

    def __init__(self, queries: int, *, k: int, suffix: int = 0) -> None:
        """Reserve about 1.5 k places of 20 bytes per query; memory is used as they fill. Raises UsageError if k < 1.

        - suffix: see `shortlist.Ids`.
        """
        if k < 1:
            raise UsageError(
                "k", f"the value is {k}", "wanted 1 or more", "Set k to how many documents you want for each query."
            )
        self.k = k
        self.units = np.empty((queries, places_for(k)), dtype=np.int64)
        self.rests = np.empty((queries, places_for(k)), dtype=np.int64)
        self.rows = np.empty((queries, places_for(k)), dtype=np.int32)
        self.sizes = np.zeros(queries, dtype=np.int32)
        # Units below which a document is dropped; 0 keeps every document that shares a term.
        self.thresholds = np.zeros(queries, dtype=np.int64)
        self.ids = IdTable(suffix)

    def drop_unused_ids(self) -> None:
        """Drop the ids that no shortlist holds, if that frees much memory."""
        if self.ids.wants_compaction:
            used = np.zeros(self.ids.rows, dtype=np.bool_)
            mark_rows(self.rows, self.sizes, used)
            renumber_rows(self.rows, self.sizes, self.ids.keep(used))

    def cut(self) -> None:
        """Drop all but the k best of each query."""
        ids = self.ids
        cut_all(
            self.k, self.units, self.rests, self.rows, self.sizes, self.thresholds,
            ids.starts, ids.data, ids.keys, ids.suffix,
        )  # fmt: skip

    def ranked(self, first: int) -> Ranked:
        """Return the k best documents of each query; query 0 of the shortlists is query `first` of the run."""
        self.cut()
        count = int(self.sizes.sum())
        units, rests = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
        rows, queries = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
        rank_all(
            self.units, self.rests, self.rows, self.sizes,
            self.ids.starts, self.ids.data, self.ids.keys, self.ids.suffix, units, rests, rows, queries,
        )  # fmt: skip
        return Ranked(queries + np.int32(first), DocIds(self.ids.starts, self.ids.data).take(rows), units, rests)


@dataclass(frozen=True)
class ScoringWork:
    """Counts of the work done.

    Pairs of a query and a block that were neither filtered nor scored in full were skipped: none of their documents
    could reach the k-th score.

    - documents: documents seen.
    - looked_up: exact scores of single documents.
    - filtered: query-block pairs that the filter bounded.
    - scored_in_full: query-block pairs whose documents were all scored.
    - products: products in the join of these queries and documents, skipped or not.
    """

    documents: int
    looked_up: int
    filtered: int
    scored_in_full: int
    products: int


class TopK:
    """The k best documents of each query of a pass, over all added blocks."""

    def __init__(
        self,
        queries: Queries,
        *,
        k: int,
        lower_bounds: NDArray[np.int64] | None = None,
        density: NDArray[np.float32] | None = None,
        suffix: int = 0,
    ) -> None:
        """Start with empty shortlists.

        - k: number of documents per query.
        - lower_bounds: int64 (queries), units below which documents are left out. The k-th scores of a part of the
          documents (`lower_bounds()` of another TopK) leave the k best unchanged. A minimum score works too, in units
          rounded down: documents less than one unit below it are still listed.
        - density: float32 (queries), expected share of a block's documents that are candidates, such as `density` of
          the TopK that gave the bounds; None for all. It affects only the speed.
        - suffix: if the added ids are of passages, their last bytes, which tell passages of a document apart. Each
          document is then ranked once, by its best passage. 0 if ids are of documents.
        """
        self._queries = queries
        self._best = Shortlists(len(queries), k=k, suffix=suffix)
        if lower_bounds is not None:
            if len(lower_bounds) != len(queries):
                found = f"there are {len(lower_bounds)} bounds, but {len(queries)} queries"
                fix = "Give the bounds of a TopK with the same queries."
                raise UsageError("lower_bounds", found, "wanted one bound for each query", fix)
            np.maximum(lower_bounds, 0, out=self._best.thresholds)
        # Before the first block, every document is expected to be a candidate.
        self._density = np.ones(len(queries), dtype=np.float32) if density is None else density.copy()
        self._scratch = np.empty(0, dtype=np.uint8)
        self._counters = np.zeros(4, dtype=np.int64)
        self._documents = 0

    def add(self, block: Block, doc_ids: DocIds | Sequence[str]) -> None:
        """Score a block. doc_ids: the ids of its documents, unique in the corpus.

        Raises DataError if the block has another vocabulary, or if a score may exceed 2^32.
        """
        queries, best, ids = self._queries, self._best, DocIds.of(doc_ids)
        _check_fit(block, queries, ids)
        first_row = best.ids.append(ids)
        # Many pages are never touched, but to get and to return them takes longer than to score one query.
        scratch_bytes = min(SCRATCH_BYTES, len(queries.terms) * (len(block) + LANES))
        if scratch_bytes > len(self._scratch):
            self._scratch = np.empty(scratch_bytes, dtype=np.uint8)
        too_large = score_block(
            len(block), block.term_ids, block.starts, block.peaks, block.ordinals, block.weights,
            queries.indptr, queries.slots, queries.weights, queries.terms, queries.uses,
            best.k, best.units, best.rests, best.rows, best.sizes, best.thresholds, self._density,
            first_row, best.ids.starts, best.ids.data, best.ids.keys, best.ids.suffix, self._scratch,
            *workspace(len(block)), self._counters,
        )  # fmt: skip
        if too_large >= 0:
            raise TooLargeError(
                queries.first + too_large,
                f"the score of the query with a document may exceed {MOST_UNITS / SCORE_UNITS:,.0f}",
                "wanted a smaller score, because larger scores are not exact",
                "Correct weights that are too large, or scale all weights down.",
            )
        self._documents += len(block)
        best.drop_unused_ids()

    def add_vectors(
        self, vectors: SparseVectors, doc_ids: DocIds | Sequence[str], *, block_size: int = BLOCK_DOCUMENTS
    ) -> None:
        """Invert documents block by block, and score the blocks."""
        ids = DocIds.of(doc_ids)
        for first, block in blocks_of(vectors, vocabulary_size=self._queries.vocabulary_size, block_size=block_size):
            self.add(block, ids.slice(first, first + len(block)))

    def lower_bounds(self) -> NDArray[np.int64]:
        """Return the units of each query's k-th document so far, else its given bound: int64 (queries)."""
        self._best.cut()
        return self._best.thresholds.copy()

    @property
    def density(self) -> NDArray[np.float32]:
        """The share of the last block's documents that were candidates, by query: float32 (queries)."""
        return self._density.copy()

    def result(self) -> Ranked:
        """Return the k best documents of each query; more blocks may be added afterwards."""
        return self._best.ranked(self._queries.first)

    @property
    def work(self) -> ScoringWork:
        """The work done so far."""
        return ScoringWork(self._documents, *map(int, self._counters))


def merge(parts: Sequence[Ranked], *, k: int, suffix: int = 0) -> Ranked:
    """Return the k best documents of each query among results over disjoint sets of documents or of passages.

    - suffix: of ids of passages, see TopK.
    """
    queries = max((int(part.queries.max()) + 1 for part in parts if len(part)), default=0)
    best = Shortlists(queries, k=k, suffix=suffix)
    for part in parts:
        first_row = best.ids.append(part.doc_ids)
        offer_ranked(
            k, best.units, best.rests, best.rows, best.sizes, best.thresholds,
            part.queries, part.units, part.rests, first_row,
            best.ids.starts, best.ids.data, best.ids.keys, best.ids.suffix,
        )  # fmt: skip
        best.drop_unused_ids()
    return best.ranked(0)


def _check_fit(block: Block, queries: Queries, ids: DocIds) -> None:
    """Raise DataError if the block does not fit the queries or the ids."""
    if block.vocabulary_size != queries.vocabulary_size:
        raise DataError(
            "block of documents", f"the vocabulary has {block.vocabulary_size} terms",
            f"wanted the vocabulary of the queries, with {queries.vocabulary_size} terms",
            "Encode documents and queries with the same model.",
        )  # fmt: skip
    if len(ids) != len(block):
        raise DataError(
            "block of documents", f"there are {len(ids)} ids for {len(block)} documents",
            "wanted one id for each document",
            "Give the ids of the block's rows.",
        )  # fmt: skip
