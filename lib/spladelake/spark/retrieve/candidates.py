"""The candidates that ranking tasks pass to merging tasks, packed as binary columns, and the merge in a worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spladelake.passages.aggregate import Aggregate
from spladelake.passages.ids import DIGITS, ID_SUFFIX
from spladelake.scoring import DocIds, Ranked, merge
from spladelake.scoring.checks import repeated_id

# One row for each run and query. Spark moves binary columns at the speed of memory.
CANDIDATES = pa.schema(
    [
        ("run", pa.int32()),
        ("query_id", pa.string()),
        ("units", pa.binary()),
        ("rests", pa.binary()),
        ("id_lengths", pa.binary()),
        ("ids", pa.binary()),
    ]
)
CANDIDATES_DDL = "run int, query_id string, units binary, rests binary, id_lengths binary, ids binary"

RANKED = pa.schema(
    [
        ("run", pa.int32()),
        ("query_id", pa.string()),
        ("doc_id", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float64()),
    ]
)
RANKED_DDL = "run int, query_id string, doc_id string, rank int, score double"
# Of vectors of passages: with the number of the best passage.
RANKED_BY_PASSAGE = RANKED.append(pa.field("passage", pa.int32()))
RANKED_BY_PASSAGE_DDL = f"{RANKED_DDL}, passage int"

# Most rows of candidates or of a ranking in one Arrow batch, about 30 MB.
ROWS_AT_ONCE = 1_000_000


# The run of rows that hold no candidates but ids of documents, all ids of a bucket in the rows of one `query_id`. The
# merge finds ids that occur twice: 10,000,000 ids in tasks of some 150,000.
LISTED, BUCKETS = -1, 64


def packed(ranked: Ranked, *, run: int, names: pa.StringArray) -> Iterator[pa.RecordBatch]:
    """Pack a ranking into CANDIDATES rows, one a query.

    - names: the id of each query number in `ranked`.
    """
    edges = np.flatnonzero(np.r_[True, np.diff(ranked.queries) != 0, True]) if len(ranked) else np.zeros(1, np.int64)
    first = 0
    while first < len(edges) - 1:
        # Take as many whole queries as fit, at least one.
        last = max(first + 1, int(np.searchsorted(edges, edges[first] + ROWS_AT_ONCE, side="right")) - 1)
        rows = edges[first : last + 1]
        start, end = int(rows[0]), int(rows[-1])
        starts = ranked.doc_ids.starts
        columns = [
            pa.array(np.full(last - first, run), pa.int32()),
            names.take(pa.array(ranked.queries[rows[:-1]])),
            _binary(ranked.units[start:end], 8 * (rows - start)),
            _binary(ranked.rests[start:end], 8 * (rows - start)),
            _binary(np.diff(starts[start : end + 1]).astype(np.int32), 4 * (rows - start)),
            _binary(ranked.doc_ids.data[starts[start] : starts[end]], starts[rows] - starts[start]),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=CANDIDATES)
        first = last


def _binary(data: NDArray[Any], offsets: NDArray[Any]) -> pa.BinaryArray:
    """Return a binary column over the bytes of an array."""
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def listed_ids(ids: DocIds) -> pa.RecordBatch:
    """Pack ids of documents into CANDIDATES rows of the run LISTED, one a bucket."""
    buckets = ids.buckets(BUCKETS)
    ids = ids.take(np.argsort(buckets, kind="stable").astype(np.int32))
    found, firsts = np.unique(np.sort(buckets), return_index=True)
    rows = np.r_[firsts, len(ids)].astype(np.int64)
    none = np.zeros(len(found) + 1, dtype=np.int64)
    columns = [
        pa.array(np.full(len(found), LISTED), pa.int32()),
        pa.array(found).cast(pa.string()),
        *(_binary(np.empty(0, np.int64), none) for _ in ("units", "rests")),
        _binary(np.diff(ids.starts).astype(np.int32), 4 * rows),
        _binary(ids.data, ids.starts[rows]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=CANDIDATES)


def unpacked(batch: pa.RecordBatch) -> Ranked:
    """Unpack CANDIDATES rows of one run. The number of a query is the row of the batch."""
    units, counts = _flat(batch.column("units"), np.int64)
    rests, _ = _flat(batch.column("rests"), np.int64)
    lengths, _ = _flat(batch.column("id_lengths"), np.int32)
    data, _ = _flat(batch.column("ids"), np.uint8)
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    queries = np.repeat(np.arange(batch.num_rows, dtype=np.int32), counts)
    return Ranked(queries, DocIds(starts, data), units, rests)


def _flat(column: pa.BinaryArray, dtype: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return all values of a binary column as one array, and the number of values in each row."""
    _, offsets, data = column.buffers()
    places = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    raw = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
    size = np.dtype(dtype).itemsize
    return raw[places[0] : places[-1]].view(dtype), np.diff(places) // size


@dataclass(frozen=True)
class Kept:
    """The rules that choose a run's final rows from its candidates.

    - k: most documents of a query.
    - exclude_self: whether to leave out a document with the query's id.
    - minimum_score: lowest score to keep.
    - aggregate: how the passages of a document make its score; None if the vectors are of whole texts.
    """

    k: int
    exclude_self: bool
    minimum_score: float
    aggregate: Aggregate | None = None

    @property
    def suffix(self) -> int:
        """Bytes at the end of an id that tell the passages of a document apart; 0 if these are not put together."""
        return ID_SUFFIX if self.aggregate is not None and self.aggregate.ranks_documents else 0

    @property
    def adds_up(self) -> bool:
        """Whether the score of a document comes from several passages."""
        return self.aggregate is not None and self.aggregate.adds_up

    @property
    def first_only(self) -> bool:
        """Whether only the first passage of a document counts."""
        return self.aggregate is not None and self.aggregate.kind == "first"

    @property
    def depth(self) -> int:
        """The number of documents that tasks must find: k, plus one that exclude_self may leave out."""
        return self.k + self.exclude_self


@dataclass(frozen=True)
class MergeCandidates:
    """The function for mapInArrow: merges CANDIDATES rows of all ranking tasks into RANKED rows.

    All rows of a (run, query) must be in one task. Raises DataError if an id of a document occurs twice.

    - kept: the rules of each run.
    - place: the table of document vectors, for messages.
    """

    kept: tuple[Kept, ...]
    place: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parts: dict[int, list[tuple[pa.StringArray, Ranked]]] = {}
        listed: dict[str, list[pa.StringArray]] = {}
        for batch in batches:
            for run in batch.column("run").unique().to_pylist():
                of_run = batch.filter(pc.equal(batch.column("run"), run))
                if run == LISTED:
                    for row, bucket in enumerate(of_run.column("query_id").to_pylist()):
                        listed.setdefault(bucket, []).append(_strings(unpacked(of_run.slice(row, 1)).doc_ids))
                else:
                    parts.setdefault(run, []).append((of_run.column("query_id"), unpacked(of_run)))
        # Bucket after bucket, so that the table of different ids stays small.
        for bucket in sorted(listed):
            self._refuse_repeated(pa.chunked_array(listed.pop(bucket)))
        for run in sorted(parts):
            yield from self._merged(run, parts.pop(run))

    def _refuse_repeated(self, ids: pa.ChunkedArray) -> None:
        if pc.count_distinct(ids).as_py() < len(ids):
            counts = pc.value_counts(ids)
            raise repeated_id(self.place, counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py())

    def _merged(self, run: int, parts: list[tuple[pa.StringArray, Ranked]]) -> Iterator[pa.RecordBatch]:
        kept = self.kept[run]
        asked = pc.unique(pa.chunked_array([of for of, _ in parts], pa.string())).sort()
        dense = [Ranked(pc.index_in(of, asked).to_numpy()[p.queries], p.doc_ids, p.units, p.rests) for of, p in parts]
        ranked = finished(merge(dense, k=kept.depth, suffix=kept.suffix), asked, kept)
        names, schema = _strings(ranked.doc_ids), RANKED
        columns = [
            pa.array(np.full(len(ranked), run), pa.int32()),
            asked.take(pa.array(ranked.queries)),
            documents(names, kept.suffix),
            pa.array(ranked.ranks, pa.int32()),
            pa.array(ranked.scores, pa.float64()),
        ]
        if kept.aggregate is not None:
            columns.append(pc.utf8_slice_codeunits(names, -DIGITS).cast(pa.int32()))
            schema = RANKED_BY_PASSAGE
        rows = pa.RecordBatch.from_arrays(columns, schema=schema)
        for first in range(0, rows.num_rows, ROWS_AT_ONCE):
            yield rows.slice(first, ROWS_AT_ONCE)


def finished(ranked: Ranked, asked: pa.StringArray, kept: Kept) -> Ranked:
    """Apply a run's rules to its merged candidates and return at most k rows of each query.

    - asked: the id of each query number in `ranked`.
    """
    counts = ranked.scores >= kept.minimum_score
    if kept.exclude_self:
        same = pc.equal(asked.take(pa.array(ranked.queries)), documents(_strings(ranked.doc_ids), kept.suffix))
        counts &= ~same.to_numpy(zero_copy_only=False)
    ranked = _rows(ranked, np.flatnonzero(counts))
    return _rows(ranked, np.flatnonzero(ranked.ranks <= kept.k)) if kept.exclude_self else ranked


def documents(ids: pa.StringArray, suffix: int) -> pa.StringArray:
    """Return the documents of ids of passages; the ids themselves if the suffix is 0."""
    return pc.utf8_slice_codeunits(ids, 0, -suffix) if suffix else ids


def ranked_columns(kept: Iterable[Kept]) -> tuple[pa.Schema, str]:
    """Return the columns of the merged rows of some runs, for Arrow and for Spark."""
    if any(of_run.aggregate is not None for of_run in kept):
        return RANKED_BY_PASSAGE, RANKED_BY_PASSAGE_DDL
    return RANKED, RANKED_DDL


def _rows(ranked: Ranked, rows: NDArray[np.int64]) -> Ranked:
    if len(rows) == len(ranked):
        return ranked
    return Ranked(
        ranked.queries[rows], ranked.doc_ids.take(rows.astype(np.int32)), ranked.units[rows], ranked.rests[rows]
    )


def _strings(ids: DocIds) -> pa.StringArray:
    """Return ids as an Arrow column over the same bytes."""
    buffers = [None, pa.py_buffer(ids.starts.astype(np.int32)), pa.py_buffer(ids.data)]
    return pa.Array.from_buffers(pa.string(), len(ids), buffers)
