"""Measures of every query from the ranks of its judged documents, many queries at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spladelake.measures import Measure, parse_measure

Integers = NDArray[np.int32]

VALUES = pa.schema([("query_id", pa.string()), ("measure", pa.string()), ("value", pa.float64())])
RANK_OF = {
    "sentence-transformers": "ascending_rank",
    "trec_eval": "descending_rank",
    "ir_measures": "ascending_rank",
}
RANKS = tuple(dict.fromkeys(RANK_OF.values()))
# Cells of a matrix of rankings or grades: one million int32 and their float64 products take about 20 MB.
MAX_CELLS = 1_000_000


@dataclass(frozen=True)
class MeasureQueries:
    """The function for mapInArrow: turns (query_id, judged, hits) rows into one row for each query and measure.

    Measures that count judged documents also need the column `results`, the number of results of the query.
    """

    names: tuple[str, ...]
    level: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        measures = [parse_measure(name) for name in self.names]
        for batch in batches:
            yield from self._measured(batch, measures)

    def _measured(self, batch: pa.RecordBatch, measures: list[Measure]) -> Iterator[pa.RecordBatch]:
        if batch.num_rows == 0:
            return
        rankings = {rank: relevance_by_rank(batch.column("hits"), rank, _depth(measures)) for rank in RANKS}
        judged = grades(batch.column("judged"))
        widest = max(rows.width for rows in (*rankings.values(), judged))
        if batch.num_rows > 1 and batch.num_rows * widest > MAX_CELLS:
            half = batch.num_rows // 2
            yield from self._measured(batch.slice(0, half), measures)
            yield from self._measured(batch.slice(half), measures)
            return
        dense = {rank: rows.dense() for rank, rows in rankings.items()}
        of_judged = judged.dense()
        ids, names, values = [], [], []
        for measure in measures:
            rank = RANK_OF[measure.convention]
            if measure.counts_judged:
                flags = replace(rankings[rank], values=np.ones_like(rankings[rank].values)).dense()
                value = measure.of_many(flags, np.asarray(batch.column("results"), dtype=np.int32)[:, None])
            else:
                value = measure.of_many(dense[rank], of_judged, level=self.level)
            counted = ~np.isnan(value)
            ids.append(batch.column("query_id").filter(pa.array(counted)))
            names.append(pa.repeat(pa.scalar(measure.name), int(counted.sum())))
            values.append(pa.array(value[counted]))
        columns = [pa.concat_arrays(column) for column in (ids, names, values)]
        yield pa.RecordBatch.from_arrays(columns, schema=VALUES)


@dataclass(frozen=True)
class Ragged:
    """A sparse matrix: value, row and column of each number; all other cells are 0."""

    values: Integers
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    height: int

    @property
    def width(self) -> int:
        return int(self.columns.max(initial=-1)) + 1

    def dense(self) -> Integers:
        """Return the dense matrix, of shape (height, width)."""
        matrix = np.zeros((self.height, self.width), dtype=np.int32)
        matrix[self.rows, self.columns] = self.values
        return matrix


def relevance_by_rank(hits: pa.ListArray, rank: str, depth: int | None) -> Ragged:
    """Return the relevance of the judged documents of each query, by rank.

    - hits: list<struct<relevance, ascending_rank, descending_rank>>, null for a query without hits.
    - rank: the field of the struct that holds the rank.
    - depth: documents below this rank are left out; None keeps all.
    """
    rows, items = _rows_of(hits)
    columns = np.asarray(items.field(rank), dtype=np.int64) - 1
    values = np.asarray(items.field("relevance"), dtype=np.int32)
    kept = slice(None) if depth is None else columns < depth
    return Ragged(values[kept], rows[kept], columns[kept], len(hits))


def grades(judged: pa.ListArray) -> Ragged:
    """Return all grades of each query, in any order."""
    rows, items = _rows_of(judged)
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    columns = np.arange(len(rows)) - np.repeat(starts, lengths)
    return Ragged(np.asarray(items, dtype=np.int32), rows, columns, len(judged))


def _rows_of(lists: pa.ListArray) -> tuple[NDArray[np.int64], Any]:
    """Return the row number of each item of a list column, and the items."""
    lengths = np.asarray(lists.value_lengths().fill_null(0), dtype=np.int64)
    return np.repeat(np.arange(len(lists)), lengths), lists.flatten()


def _depth(measures: list[Measure]) -> int | None:
    depths = [measure.depth for measure in measures]
    return None if None in depths else max(depth for depth in depths if depth is not None)
