"""The ranking of documents in a Python worker: blocks of documents against all queries of a pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import Broadcast, TaskContext
from pyspark.accumulators import Accumulator

from spladelake.errors import DataError
from spladelake.scoring import (
    BestScores,
    Block,
    DocIds,
    Queries,
    Ranked,
    TopDocuments,
    TopK,
    check_vectors,
    from_bytes,
    ids_from_bytes,
    invert,
)
from spladelake.spark.retrieve.candidates import Kept, packed
from spladelake.spark.session.totals import DriverTotals, Here
from spladelake.vectors import SparseVectors

Top = TopK | TopDocuments

# The columns that `vectors_of` reads.
VECTOR_COLUMNS = pa.schema([("id", pa.string()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float32()))])


@dataclass(frozen=True)
class Wanted:
    """One run of a pass.

    - number: the run's number among all runs.
    - depth: number of documents to keep for each query.
    - group: the bit that marks, in the column `groups`, the documents that this run ranks.
    - bounds: int64 (queries), score in units below which documents are skipped.
    - density: float32 (queries), expected share of documents that reach the bounds; None for all of them.
    - kept: the rules of the run.
    """

    number: int
    depth: int
    group: int
    bounds: NDArray[np.int64]
    density: NDArray[np.float32] | None = None
    kept: Kept | None = None


@dataclass(frozen=True)
class Pass:
    """The inputs of every task of one pass over the documents, broadcast once.

    - token: identifies the pass.
    - queries: the queries of the pass.
    - wanted: the runs of the pass.
    - place: the table of document vectors, for messages.
    """

    token: str
    queries: Queries
    wanted: tuple[Wanted, ...]
    place: str


class _Learned:
    """The best scores of each run that this process has found so far in a pass.

    They are lower bounds of the k-th score over the whole corpus, so later tasks of this process hand over far fewer
    candidates. The density of candidates decides how to score the first block. A partition counts once, even if Spark
    retries its task.
    """

    def __init__(self, asked: Pass) -> None:
        self.token, self.partitions = asked.token, set[int]()
        self.best = [
            BestScores(len(asked.queries), k=wanted.depth, shared=wanted.kept is not None and wanted.kept.suffix > 0)
            for wanted in asked.wanted
        ]
        self.densities = [wanted.density for wanted in asked.wanted]

    def start(self, asked: Pass) -> list[Top]:
        """Return an empty ranking for each run, with the best bounds known so far."""
        return [
            top_of(
                asked.queries,
                wanted.kept,
                k=wanted.depth,
                bounds=np.maximum(wanted.bounds, best.bounds()),
                density=density,
            )
            for wanted, best, density in zip(asked.wanted, self.best, self.densities, strict=True)
        ]

    def finish(self, asked: Pass, tops: list[Top], found: list[Ranked], partition: int) -> None:
        """Add the results of a task to the best scores."""
        self.densities = [top.density for top in tops]
        if partition not in self.partitions:
            self.partitions.add(partition)
            for best, ranked in zip(self.best, found, strict=True):
                best.add(ranked, first=asked.queries.first)


def top_of(
    queries: Queries, kept: Kept | None, *, k: int, bounds: NDArray[np.int64], density: NDArray[np.float32] | None
) -> Top:
    """Return an empty ranking by the rules of a run."""
    how = None if kept is None else kept.aggregate
    suffix = 0 if kept is None else kept.suffix
    if how is not None and how.adds_up:
        mean = how.kind == "mean"
        return TopDocuments(queries, k=k, best=how.best, mean=mean, suffix=suffix, lower_bounds=bounds)
    return TopK(queries, k=k, lower_bounds=bounds, density=density, suffix=suffix)


_learned: list[_Learned] = []


def learned(asked: Pass) -> _Learned:
    """Return the best scores that this process knows of a pass. It forgets those of an earlier pass."""
    if not _learned or _learned[0].token != asked.token:
        _learned[:] = [_Learned(asked)]
    return _learned[0]


@dataclass(frozen=True)
class _Score(ABC):
    """A function for mapInArrow: turns documents into CANDIDATES rows. Subclasses read documents in different forms."""

    asked: Broadcast[Pass] | Here[Pass]
    totals: Accumulator[dict[str, float]] | DriverTotals

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        asked = self.asked.value
        known = learned(asked)
        tops = known.start(asked)
        for batch in batches:
            self.totals.add({"documents": self.add(asked, tops, batch)})
        found = [top.result() for top in tops]
        for wanted, ranked, top in zip(asked.wanted, found, tops, strict=True):
            yield from packed(ranked, run=wanted.number)
            self.totals.add(counted(ranked, top))
        context = TaskContext.get()
        known.finish(asked, tops, found, context.partitionId() if context else -1)

    @abstractmethod
    def add(self, asked: Pass, tops: list[Top], batch: pa.RecordBatch) -> int:
        """Rank the documents of a batch and return their number."""


class ScoreVectors(_Score):
    """Ranks documents that come as rows of (id, indices, values, groups)."""

    def add(self, asked: Pass, tops: list[Top], batch: pa.RecordBatch) -> int:
        size = asked.queries.vocabulary_size
        vectors, ids = vectors_of(batch, place=asked.place, vocabulary_size=size)
        groups = batch.column("groups").to_numpy()
        blocks: dict[int, tuple[Block, DocIds]] = {}
        for wanted, top in zip(asked.wanted, tops, strict=True):
            if wanted.group not in blocks:
                rows = np.flatnonzero(groups & wanted.group)
                whole = len(rows) == len(vectors)
                block = invert(vectors if whole else vectors.take(rows), vocabulary_size=size)
                blocks[wanted.group] = block, ids if whole else ids.take(rows.astype(np.int32))
            top.add(*blocks[wanted.group])
        return int(batch.num_rows)


class ScoreBlocks(_Score):
    """Ranks documents that come as rows of a persisted index."""

    def add(self, asked: Pass, tops: list[Top], batch: pa.RecordBatch) -> int:
        count = 0
        for row in range(batch.num_rows):
            block, ids = stored_block(batch, row)
            for top in tops:
                top.add(block, ids)
            count += len(block)
        return count


def stored_block(batch: pa.RecordBatch, row: int) -> tuple[Block, DocIds]:
    """Return a block of the index and the ids of its documents, as views of the batch."""
    terms, ordinals, weights, starts, data = (
        batch.column(name)[row].as_buffer() for name in ("terms", "ordinals", "weights", "id_starts", "ids")
    )
    return from_bytes(terms, ordinals, weights), ids_from_bytes(starts, data)


def vectors_of(batch: pa.RecordBatch, *, place: str, vocabulary_size: int) -> tuple[SparseVectors, DocIds]:
    """Return the vectors and ids of an Arrow batch with VECTOR_COLUMNS, without a copy.

    - batch: the rows.
    - place: the table of the rows, for messages.
    - vocabulary_size: dimensions of the vectors.

    Raises DataError that names the first bad row.
    """
    ids, indices, values = (batch.column(name) for name in ("id", "indices", "values"))
    names = _Ids(ids)
    _refuse_nulls(names, {"id": ids, "indices": indices, "values": values}, place)
    indptr, value_indptr = _offsets(indices), _offsets(values)
    vectors = SparseVectors(
        indptr,
        indices.flatten().to_numpy(zero_copy_only=False),
        values.flatten().to_numpy(zero_copy_only=False),
    )
    check_vectors(vectors, vocabulary_size=vocabulary_size, place=place, ids=names, value_indptr=value_indptr)
    return vectors, doc_ids_of(ids)


def check_table(table: pa.Table, *, place: str, vocabulary_size: int) -> None:
    """Raise DataError that names the first bad row of a table with VECTOR_COLUMNS."""
    for batch in table.select(VECTOR_COLUMNS.names).cast(VECTOR_COLUMNS).combine_chunks().to_batches():
        vectors_of(batch, place=place, vocabulary_size=vocabulary_size)


def _refuse_nulls(names: Sequence[str], columns: Mapping[str, pa.Array], place: str) -> None:
    """Raise DataError if an id, an array, or an element of an array is null."""
    for name, column in columns.items():
        if not column.null_count and (name == "id" or not column.flatten().null_count):
            continue
        if column.null_count:
            found, row = f"{name} is null", column.is_null().index(True).as_py()
        else:
            element = column.flatten().is_null().index(True).as_py()
            found, row = f"{name} holds a null", int(np.searchsorted(_offsets(column), element, side="right")) - 1
        fix = "Encode the text of this row again. The encoder never writes such a vector."
        raise DataError(
            f"{place}, id {names[row]!r}", found, "wanted an id, and term ids and weights without nulls", fix
        )


class _Ids(Sequence[str]):
    """The ids of a column by row. An id becomes a Python string only if an error names it."""

    def __init__(self, column: pa.StringArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row: Any) -> Any:
        return self._column[row].as_py()


def _offsets(column: pa.ListArray) -> NDArray[np.int64]:
    offsets = column.offsets.to_numpy().astype(np.int64)
    return np.asarray(offsets - offsets[0], dtype=np.int64)


def doc_ids_of(column: pa.StringArray) -> DocIds:
    """Return the ids of an Arrow string column, without a copy of their bytes."""
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    first, last = (starts[0], starts[-1]) if len(column) else (0, 0)
    raw = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
    return DocIds(starts - first if len(column) else np.zeros(1, dtype=np.int64), raw[first:last])


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
