"""Exact top k of many queries over any number of blocks of documents.

    top = TopK(Queries.of(query_vectors, vocabulary_size=30522), k=100)
    for first, block in blocks_of(document_vectors, vocabulary_size=30522):
        top.add(block, doc_ids[first : first + len(block)])
    ranked = top.result()

The score of a query and a document is the sum over shared terms of query weight × document weight, counted in two
integers (see `units`); only documents that share a term are candidates; order is score descending, then doc_id
ascending. So neither the cutting into blocks, tasks and passes nor what is skipped on the way can change a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import DataError, UsageError
from spladelake.scoring.blocks import BLOCK_DOCUMENTS, Block, blocks_of
from spladelake.scoring.doc_ids import DocIds, IdTable
from spladelake.scoring.kernel import cut_all, mark_rows, offer_ranked, rank_all, renumber_rows, score_block
from spladelake.scoring.queries import Queries
from spladelake.scoring.ranked import Ranked
from spladelake.scoring.shortlist import places_for
from spladelake.scoring.units import MOST_UNITS, SCORE_UNITS
from spladelake.vectors import SparseVectors

# Bytes for the columns of a block, of which only what a block needs is touched: 4,096 terms at 8,192 documents.
SCRATCH_BYTES = 32 * 2**20


class Shortlists:
    """The best documents of each query so far, with the ids of those documents."""

    def __init__(self, queries: int, *, k: int) -> None:
        """Memory is taken as it fills: 20 bytes a place, half as many again as k. Raises UsageError when k < 1."""
        if k < 1:
            raise UsageError("k", f"it is {k}", "1 or more is wanted", "Ask for the documents a query may get.")
        self.k = k
        self.units = np.empty((queries, places_for(k)), dtype=np.int64)
        self.rests = np.empty((queries, places_for(k)), dtype=np.int64)
        self.rows = np.empty((queries, places_for(k)), dtype=np.int32)
        self.sizes = np.zeros(queries, dtype=np.int32)
        # Units below which a document is of no interest; 0 lets all pass that share a term.
        self.thresholds = np.zeros(queries, dtype=np.int64)
        self.ids = IdTable()

    def drop_unused_ids(self) -> None:
        """Forget the ids that no shortlist holds, where that frees much."""
        if self.ids.wants_compaction:
            used = np.zeros(self.ids.rows, dtype=np.bool_)
            mark_rows(self.rows, self.sizes, used)
            renumber_rows(self.rows, self.sizes, self.ids.keep(used))

    def cut(self) -> None:
        """Drop all but the k best of each query."""
        ids = self.ids
        cut_all(self.k, self.units, self.rests, self.rows, self.sizes, self.thresholds, ids.starts, ids.data)

    def ranked(self, first: int) -> Ranked:
        """The k best, best first; query 0 of the shortlists is query `first` of the run."""
        self.cut()
        count = int(self.sizes.sum())
        units, rests = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
        rows, queries = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32)
        rank_all(
            self.units, self.rests, self.rows, self.sizes, self.ids.starts, self.ids.data,
            units, rests, rows, queries,
        )  # fmt: skip
        return Ranked(queries + np.int32(first), DocIds(self.ids.starts, self.ids.data).take(rows), units, rests)


@dataclass(frozen=True)
class Work:
    """What scoring did: documents seen, exact scores looked up one by one, and pairs of a query with a block that
    were filtered or scored in full; the other pairs were skipped, as no document could reach the k-th score.

    products: those that the join of these queries and documents makes, whatever of it was skipped.
    """

    documents: int
    looked_up: int
    filtered: int
    scored_in_full: int
    products: int


class TopK:
    """The k best documents of each query of a pass, over the blocks it is given."""

    def __init__(
        self,
        queries: Queries,
        *,
        k: int,
        lower_bounds: NDArray[np.int64] | None = None,
        density: NDArray[np.float32] | None = None,
    ) -> None:
        """lower_bounds: whole units (queries); documents of fewer are left out. Give the k-th score that each query has
        among some of the documents (`lower_bounds()` of another TopK), and the k best stay the same. A least score, in
        units rounded down, may be given in the same way; what is below it by less than a unit is then still listed.

        density: float32 (queries), share of a block's documents that are expected to be candidates, as `density` of the
        TopK says that gave the bounds; all of them if None. It changes no result, only how soon that is there.
        """
        self._queries = queries
        self._best = Shortlists(len(queries), k=k)
        if lower_bounds is not None:
            if len(lower_bounds) != len(queries):
                found, wanted = f"{len(lower_bounds)} of them", f"{len(queries)} queries are asked"
                raise UsageError("lower_bounds", found, wanted, "Give the bounds of the same pass.")
            np.maximum(lower_bounds, 0, out=self._best.thresholds)
        # Until a block was seen, every document is expected to be a candidate.
        self._density = np.ones(len(queries), dtype=np.float32) if density is None else density.copy()
        self._scratch = np.empty(SCRATCH_BYTES, dtype=np.uint8)
        self._counters = np.zeros(4, dtype=np.int64)
        self._documents = 0

    def add(self, block: Block, doc_ids: DocIds | Sequence[str]) -> None:
        """Score a block. doc_ids: of its documents, different from all others of the corpus.

        Raises DataError when the block is of another vocabulary or a score may pass 2^32.
        """
        queries, best, ids = self._queries, self._best, DocIds.of(doc_ids)
        _check_fit(block, queries, ids)
        first_row = best.ids.append(ids)
        too_large = score_block(
            len(block), block.term_ids, block.starts, block.peaks, block.ordinals, block.weights,
            queries.indptr, queries.slots, queries.weights, queries.terms, queries.uses,
            best.k, best.units, best.rests, best.rows, best.sizes, best.thresholds, self._density,
            first_row, best.ids.starts, best.ids.data, self._scratch, self._counters,
        )  # fmt: skip
        if too_large >= 0:
            raise DataError(
                f"query number {queries.first + too_large}",
                f"its score with a document may pass {MOST_UNITS / SCORE_UNITS:.0f}",
                "scores are counted in 2^-30 of 1 as 64-bit integers",
                "Look for weights that an encoder would not give, or scale all weights down.",
            )
        self._documents += len(block)
        best.drop_unused_ids()

    def add_vectors(
        self, vectors: SparseVectors, doc_ids: DocIds | Sequence[str], *, block_size: int = BLOCK_DOCUMENTS
    ) -> None:
        """Invert documents block by block and score them."""
        ids = DocIds.of(doc_ids)
        for first, block in blocks_of(vectors, vocabulary_size=self._queries.vocabulary_size, block_size=block_size):
            self.add(block, ids.slice(first, first + len(block)))

    def lower_bounds(self) -> NDArray[np.int64]:
        """Whole units of each query's k-th document so far, or the bound given where it has fewer: int64 (queries)."""
        self._best.cut()
        return self._best.thresholds.copy()

    @property
    def density(self) -> NDArray[np.float32]:
        """Share of the last block's documents that were candidates of each query: float32 (queries)."""
        return self._density.copy()

    def result(self) -> Ranked:
        """The k best documents of each query; more blocks may be added afterwards."""
        return self._best.ranked(self._queries.first)

    @property
    def work(self) -> Work:
        """What was done so far."""
        return Work(self._documents, *map(int, self._counters))


def merge(parts: Sequence[Ranked], *, k: int) -> Ranked:
    """The k best documents of each query among partial results over different documents."""
    queries = max((int(part.queries.max()) + 1 for part in parts if len(part)), default=0)
    best = Shortlists(queries, k=k)
    for part in parts:
        first_row = best.ids.append(part.doc_ids)
        offer_ranked(
            k, best.units, best.rests, best.rows, best.sizes, best.thresholds,
            part.queries, part.units, part.rests, first_row, best.ids.starts, best.ids.data,
        )  # fmt: skip
        best.drop_unused_ids()
    return best.ranked(0)


def _check_fit(block: Block, queries: Queries, ids: DocIds) -> None:
    """Refuse a block that the queries or ids do not belong to."""
    if block.vocabulary_size != queries.vocabulary_size:
        raise DataError(
            "block of documents", f"its vocabulary has {block.vocabulary_size} terms",
            f"that of the queries has {queries.vocabulary_size}", "Encode both sides with the same model.",
        )  # fmt: skip
    if len(ids) != len(block):
        raise DataError(
            "block of documents", f"{len(ids)} ids for {len(block)} documents", "one id a document is wanted",
            "Give the ids of the rows that the block was made of.",
        )  # fmt: skip
