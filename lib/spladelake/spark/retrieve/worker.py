"""The ranking of documents in a Python worker: blocks of documents against all queries of a pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.accumulators import Accumulator

from spladelake.errors import MachineError
from spladelake.index.layout import from_bytes, ids_from_bytes, parts_of
from spladelake.scoring import (
    BLOCK_DOCUMENTS,
    BestScores,
    Block,
    DocIds,
    Queries,
    Ranked,
    TooLargeError,
    TopDocuments,
    TopK,
    invert,
)
from spladelake.spark.retrieve.candidates import Kept, listed_ids, packed
from spladelake.spark.retrieve.passes import Pass, passes
from spladelake.spark.retrieve.query_rows import Arrived, arrived
from spladelake.spark.retrieve.vector_rows import VECTOR_COLUMNS, vectors_of
from spladelake.spark.session.totals import DriverTotals

Top = TopK | TopDocuments

# Documents of a larger batch are scored in blocks. Arrow batches have 10,000 rows by default.
MOST_IN_BLOCK = 2 * BLOCK_DOCUMENTS


class _Learned:
    """The best scores of each run that this process has found so far in a pass.

    They are lower bounds of the k-th score over the whole corpus, so later tasks of this process hand over far fewer
    candidates. The density of candidates decides how to score the first block. A partition counts once, even if Spark
    retries its task.
    """

    def __init__(self, token: str, asked: Pass, queries: int) -> None:
        self.token, self.partitions = token, set[int]()
        rules = [wanted.asked.kept for wanted in asked.wanted]
        self.best = [BestScores(queries, k=kept.depth, shared=kept.suffix > 0) for kept in rules]
        self.densities = [None if w.expected is None else w.expected.density for w in asked.wanted]

    def start(self, asked: Pass, queries: Queries) -> list[Top]:
        """Return an empty ranking for each run, with the best bounds known so far."""
        return [
            top_of(
                queries,
                wanted.asked.kept,
                bounds=np.maximum(wanted.bounds(len(queries)), best.bounds()),
                density=density,
            )
            for wanted, best, density in zip(asked.wanted, self.best, self.densities, strict=True)
        ]

    def finish(self, tops: list[Top], found: list[Ranked], partition: int) -> None:
        """Add the results of a task to the best scores."""
        self.densities = [top.density for top in tops]
        if partition not in self.partitions:
            self.partitions.add(partition)
            for best, ranked in zip(self.best, found, strict=True):
                best.add(ranked, first=0)


def top_of(queries: Queries, kept: Kept, *, bounds: NDArray[np.int64], density: NDArray[np.float32] | None) -> Top:
    """Return an empty ranking by the rules of a run."""
    how = kept.aggregate
    if how is not None and how.adds_up:
        return TopDocuments(
            queries, k=kept.depth, best=how.best, mean=how.kind == "mean", suffix=kept.suffix, lower_bounds=bounds
        )
    return TopK(queries, k=kept.depth, lower_bounds=bounds, density=density, suffix=kept.suffix)


_learned: list[_Learned] = []


def _learned_of(asked: Pass, queries: int) -> _Learned:
    """Return the best scores that this process knows of a pass. It forgets those of an earlier pass.

    Each execution of a plan counts as a pass of its own, because its documents may have changed.
    """
    context = TaskContext.get()
    token = f"{asked.token}-{context.stageId() if context is not None else -1}"
    if not _learned or _learned[0].token != token:
        _learned[:] = [_Learned(token, asked, queries)]
    return _learned[0]


@dataclass(frozen=True)
class _Score(ABC):
    """A function for mapInArrow: ranks the documents of a partition for the queries that come with its first row.

    It turns documents into CANDIDATES rows. Subclasses read documents in different forms.
    """

    asked: Pass
    totals: Accumulator[dict[str, float]] | DriverTotals

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = next((batch for batch in batches if batch.num_rows), None)
        came = None if first is None else arrived(first, vocabulary_size=self.asked.vocabulary_size)
        if came is not None:
            yield from self.candidates(came, chain([first], batches))

    def candidates(self, came: Arrived, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the CANDIDATES rows of a partition."""
        asked, names = self.asked, pa.array(came.queries.ids, pa.string())
        self._check_memory(len(names))
        known = _learned_of(asked, len(names))
        tops = known.start(asked, Queries.of(came.queries.vectors, vocabulary_size=asked.vocabulary_size))
        listed = list[DocIds]()
        for batch in batches:
            came.check_model(batch)
            try:
                for ids in self.add(tops, batch):
                    self.totals.add({"documents": len(ids)})
                    if not asked.number:
                        listed.append(ids.copy())
            except TooLargeError as error:
                raise error.named(came.queries.ids[error.number]) from None
        found = [top.result() for top in tops]
        for wanted, ranked, top in zip(asked.wanted, found, tops, strict=True):
            yield from packed(ranked, run=wanted.number, names=names)
            self.totals.add(counted(ranked, top))
        if listed:
            yield listed_ids(DocIds.concatenate(listed))
        context = TaskContext.get()
        known.finish(tops, found, context.partitionId() if context else -1)

    def _check_memory(self, queries: int) -> None:
        runs = [wanted.asked for wanted in self.asked.wanted]
        planned = len(passes(runs, queries, task_bytes=self.asked.task_bytes))
        if planned > 1 and queries > 1:
            raise MachineError(
                "retrieve",
                f"the rankings of {queries:,} queries need more than {self.asked.task_bytes // 2**20:,} MB in each "
                "task",
                "wanted rankings that fit",
                f"Set passes={self.asked.count * planned}, or raise task_memory_mb.",
            )

    @abstractmethod
    def add(self, tops: list[Top], batch: pa.RecordBatch) -> Iterator[DocIds]:
        """Rank the documents of a batch and yield their ids, block after block."""


class ScoreVectors(_Score):
    """Ranks documents that come as rows of (id, indices, values, groups)."""

    def add(self, tops: list[Top], batch: pa.RecordBatch) -> Iterator[DocIds]:
        size = MOST_IN_BLOCK if batch.num_rows <= MOST_IN_BLOCK else BLOCK_DOCUMENTS
        for start in range(0, batch.num_rows, size):
            yield self._add_block(tops, batch.slice(start, size))

    def _add_block(self, tops: list[Top], batch: pa.RecordBatch) -> DocIds:
        size, rows = self.asked.vocabulary_size, batch.select(VECTOR_COLUMNS.names)
        vectors, ids = vectors_of(rows, place=self.asked.place, vocabulary_size=size)
        groups = batch.column("groups").to_numpy()
        blocks: dict[int, tuple[Block, DocIds]] = {}
        for wanted, top in zip(self.asked.wanted, tops, strict=True):
            group = wanted.asked.group
            if group not in blocks:
                chosen = np.flatnonzero(groups & group)
                whole = len(chosen) == len(vectors)
                block = invert(vectors if whole else vectors.take(chosen), vocabulary_size=size)
                blocks[group] = block, ids if whole else ids.take(chosen.astype(np.int32))
            top.add(*blocks[group])
        return ids


class ScoreBlocks(_Score):
    """Ranks documents that come as rows of a persisted index."""

    def add(self, tops: list[Top], batch: pa.RecordBatch) -> Iterator[DocIds]:
        for row in range(batch.num_rows):
            for block, ids in parts_of(*stored_block(batch, row)):
                for top in tops:
                    top.add(block, ids)
                yield ids


def stored_block(batch: pa.RecordBatch, row: int) -> tuple[Block, DocIds]:
    """Return a block of the index and the ids of its documents."""
    terms, ordinals, weights, starts, data = (
        batch.column(name)[row].as_buffer() for name in ("terms", "ordinals", "weights", "id_starts", "ids")
    )
    return from_bytes(terms, ordinals, weights), ids_from_bytes(starts, data)


def counted(ranked: Ranked, top: Top) -> dict[str, float]:
    """Return the counts of a task for a run."""
    work = top.work
    return {
        "products": work.products,
        "candidates": len(ranked),
        "looked_up": work.looked_up,
        "filtered": work.filtered,
        "scored_in_full": work.scored_in_full,
    }
