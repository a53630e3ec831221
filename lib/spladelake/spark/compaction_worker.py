"""What runs inside a Python worker to compact vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from spladelake.compaction import Compaction, Statistics, compacted
from spladelake.spark.scoring_worker import vectors_of
from spladelake.spark.worker import VECTOR_BATCH
from spladelake.vectors import SparseVectors

# Rows of `vectors`, and the largest weight that was left out of each.
COMPACTED_BATCH = VECTOR_BATCH.append(pa.field("dropped", pa.float32()))


@dataclass(frozen=True)
class CompactRows:
    """The function given to mapInArrow: batches of `vectors` rows to the same rows compacted, with `dropped`."""

    how: Compaction
    statistics: Statistics
    place: str
    vocabulary_size: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            before, _ = vectors_of(batch, place=self.place, vocabulary_size=self.vocabulary_size)
            after = compacted(before, self.how, self.statistics)
            offsets = pa.array(after.indptr, pa.int32())
            columns = {
                "indices": pa.ListArray.from_arrays(offsets, pa.array(after.indices, pa.int32())),
                "values": pa.ListArray.from_arrays(offsets, pa.array(after.values, pa.float32())),
                "dropped": pa.array(_largest_dropped(before, after), pa.float32()),
            }
            names = COMPACTED_BATCH.names
            yield pa.RecordBatch.from_arrays(
                [columns[name] if name in columns else batch.column(name) for name in names], schema=COMPACTED_BATCH
            )


def _largest_dropped(before: SparseVectors, after: SparseVectors) -> np.ndarray:
    """Largest weight of each row that is no longer in it, 0 where all are."""
    row_of = [np.repeat(np.arange(len(part)), part.active_dims).astype(np.int64) for part in (before, after)]
    keys = [rows << 32 | part.indices for rows, part in zip(row_of, (before, after), strict=True)]
    gone = ~np.isin(keys[0], keys[1], assume_unique=True)
    largest = np.zeros(len(before), dtype=np.float32)
    np.maximum.at(largest, row_of[0][gone], before.values[gone])
    return largest
