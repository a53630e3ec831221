"""The code that compacts vectors in a Python worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spladelake.compaction import Compaction, Statistics, compacted
from spladelake.spark.encode.worker import PASSAGE_BATCH, VECTOR_BATCH
from spladelake.spark.retrieve.vector_rows import vectors_of
from spladelake.vectors import SparseVectors

# The columns of `vectors`, the largest weight that was left out of the vector, and the vector's heaviest terms.
_ADDED = [pa.field("dropped", pa.float32()), pa.field("cluster", pa.list_(pa.int32()))]
COMPACTED_BATCH, COMPACTED_PASSAGES = (pa.schema([*batch, *_ADDED]) for batch in (VECTOR_BATCH, PASSAGE_BATCH))
# Files are sorted by this many heaviest terms, so that similar documents stand side by side.
CLUSTER_TERMS = 4


@dataclass(frozen=True)
class CompactRows:
    """The function for mapInArrow that compacts rows of `vectors` and adds `dropped` and `cluster`."""

    how: Compaction
    statistics: Statistics
    place: str
    vocabulary_size: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            before, _ = vectors_of(batch, place=self.place, vocabulary_size=self.vocabulary_size)
            after = compacted(before, self.how, self.statistics)
            indices, values = after.list_columns()
            columns = {
                "indices": indices,
                "values": values,
                "dropped": pa.array(_largest_dropped(before, after), pa.float32()),
                "cluster": pa.array(_heaviest_terms(before), pa.list_(pa.int32())),
            }
            schema = COMPACTED_PASSAGES if "passage" in batch.schema.names else COMPACTED_BATCH
            yield pa.RecordBatch.from_arrays(
                [columns[name] if name in columns else batch.column(name) for name in schema.names], schema=schema
            )


def _heaviest_terms(vectors: SparseVectors) -> list[NDArray[np.int32]]:
    """Return the heaviest terms of each row, heaviest first."""
    rows = (vectors.row(i) for i in range(len(vectors)))
    return [terms[np.lexsort((terms, -weights))[:CLUSTER_TERMS]] for terms, weights in rows]


def _largest_dropped(before: SparseVectors, after: SparseVectors) -> NDArray[np.float32]:
    """Return the largest weight that each row has lost; 0 if it has lost none."""
    row_of = [np.repeat(np.arange(len(part)), part.active_dims).astype(np.int64) for part in (before, after)]
    keys = [rows << 32 | part.indices for rows, part in zip(row_of, (before, after), strict=True)]
    gone = ~np.isin(keys[0], keys[1], assume_unique=True)
    largest = np.zeros(len(before), dtype=np.float32)
    np.maximum.at(largest, row_of[0][gone], before.values[gone])
    return largest
