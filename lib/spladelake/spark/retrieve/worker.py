"""What runs inside a Python worker to rank documents: blocks of them against all queries of a pass."""

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
    TopK,
    check_vectors,
    from_bytes,
    ids_from_bytes,
    invert,
)
from spladelake.spark.retrieve.candidates import packed
from spladelake.spark.session.totals import DriverTotals, Here
from spladelake.vectors import SparseVectors

# What `vectors_of` reads of a row of `vectors`.
VECTOR_COLUMNS = pa.schema([("id", pa.string()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float32()))])


@dataclass(frozen=True)
class Wanted:
    """One run of a pass. number: of the run among all. depth: documents to keep. group: bit of the documents that
    count, in the column `groups`. bounds: int64 (queries), units below which no document is of interest. density:
    float32 (queries), share of the documents that are expected to reach them; all of them if None."""

    number: int
    depth: int
    group: int
    bounds: NDArray[np.int64]
    density: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Pass:
    """What every task of one pass over the documents needs: broadcast once.

    token: names the pass. place: the table of document vectors, as errors name it.
    """

    token: str
    queries: Queries
    wanted: tuple[Wanted, ...]
    place: str


class _Learned:
    """What this process found in documents of a pass that it scored before: the best scores of each run.

    They bound the k-th score of the whole corpus from below, so later tasks in this process hand over far fewer
    candidates, and how many those were says how the first block is best scored. A partition that comes again, because
    its task is tried again, is not counted again.
    """

    def __init__(self, asked: Pass) -> None:
        self.token, self.partitions = asked.token, set[int]()
        self.best = [BestScores(len(asked.queries), k=wanted.depth) for wanted in asked.wanted]
        self.densities = [wanted.density for wanted in asked.wanted]

    def start(self, asked: Pass) -> list[TopK]:
        """One empty ranking for each run, with the best bounds known so far."""
        return [
            TopK(asked.queries, k=wanted.depth, lower_bounds=np.maximum(wanted.bounds, best.bounds()), density=density)
            for wanted, best, density in zip(asked.wanted, self.best, self.densities, strict=True)
        ]

    def finish(self, asked: Pass, tops: list[TopK], found: list[Ranked], partition: int) -> None:
        """Learn from what a task found."""
        self.densities = [top.density for top in tops]
        if partition not in self.partitions:
            self.partitions.add(partition)
            for best, ranked in zip(self.best, found, strict=True):
                best.add(ranked, first=asked.queries.first)


_learned: list[_Learned] = []


def learned(asked: Pass) -> _Learned:
    """What this process knows of a pass; what it knew of another is forgotten."""
    if not _learned or _learned[0].token != asked.token:
        _learned[:] = [_Learned(asked)]
    return _learned[0]


@dataclass(frozen=True)
class _Score(ABC):
    """A function given to mapInArrow: documents in some form to CANDIDATES."""

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
    def add(self, asked: Pass, tops: list[TopK], batch: pa.RecordBatch) -> int:
        """Rank the documents of a batch; returns how many they are."""


class ScoreVectors(_Score):
    """Documents as rows of (id, indices, values, groups)."""

    def add(self, asked: Pass, tops: list[TopK], batch: pa.RecordBatch) -> int:
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
    """Documents as rows of a persisted index."""

    def add(self, asked: Pass, tops: list[TopK], batch: pa.RecordBatch) -> int:
        count = 0
        for row in range(batch.num_rows):
            block, ids = stored_block(batch, row)
            for top in tops:
                top.add(block, ids)
            count += len(block)
        return count


def stored_block(batch: pa.RecordBatch, row: int) -> tuple[Block, DocIds]:
    """A block of the index and the ids of its documents, as views of the batch."""
    terms, ordinals, weights, starts, data = (
        batch.column(name)[row].as_buffer() for name in ("terms", "ordinals", "weights", "id_starts", "ids")
    )
    return from_bytes(terms, ordinals, weights), ids_from_bytes(starts, data)


def vectors_of(batch: pa.RecordBatch, *, place: str, vocabulary_size: int) -> tuple[SparseVectors, DocIds]:
    """Vectors and ids of an Arrow batch with VECTOR_COLUMNS, without a copy.

    Raises DataError naming the first bad row.
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
    """Raise DataError naming the first bad row of a table with VECTOR_COLUMNS."""
    for batch in table.select(VECTOR_COLUMNS.names).cast(VECTOR_COLUMNS).combine_chunks().to_batches():
        vectors_of(batch, place=place, vocabulary_size=vocabulary_size)


def _refuse_nulls(names: Sequence[str], columns: Mapping[str, pa.Array], place: str) -> None:
    """Raise DataError for a null in place of an id, an array, or an element of an array."""
    for name, column in columns.items():
        if not column.null_count and (name == "id" or not column.flatten().null_count):
            continue
        if column.null_count:
            found, row = f"{name} is null", column.is_null().index(True).as_py()
        else:
            element = column.flatten().is_null().index(True).as_py()
            found, row = f"{name} holds a null", int(np.searchsorted(_offsets(column), element, side="right")) - 1
        fix = "Find the row and encode it again; the encoder never writes such a vector."
        raise DataError(f"{place}, id {names[row]!r}", found, "wanted an id, term ids and weights", fix)


class _Ids(Sequence[str]):
    """Ids of a column by row, as Python strings only where an error names one."""

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
    """Ids of an Arrow string column, without a copy of their bytes."""
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    first, last = (starts[0], starts[-1]) if len(column) else (0, 0)
    raw = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
    return DocIds(starts - first if len(column) else np.zeros(1, dtype=np.int64), raw[first:last])


def counted(ranked: Ranked, top: TopK) -> dict[str, float]:
    """What a task did for a run."""
    work = top.work
    return {
        "products": work.products,
        "candidates": len(ranked),
        "looked_up": work.looked_up,
        "filtered": work.filtered,
        "scored_in_full": work.scored_in_full,
    }
