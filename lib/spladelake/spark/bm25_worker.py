"""What runs inside a Python worker for BM25: texts to counted words, counted words to weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spladelake.bm25.settings import Bm25Settings
from spladelake.bm25.weights import document_weights
from spladelake.bm25.words import word_counter
from spladelake.encoder.texts import clean_texts
from spladelake.spark.worker import VECTOR_BATCH

COUNTED_BATCH = pa.schema(
    [
        ("id", pa.string()),
        ("terms", pa.list_(pa.string())),
        ("counts", pa.list_(pa.int32())),
        ("tokens", pa.int32()),
        ("text_sha256", pa.string()),
        ("status", pa.string()),
    ]
)


@dataclass(frozen=True)
class Statistics:
    """What BM25 needs to know of all documents beside the frequency of each word; empty documents count."""

    documents: int
    average_length: float
    vocabulary_size: int


@dataclass(frozen=True)
class CountWords:
    """The function given to mapInArrow: (id, text, text_sha256, repaired) to (id, terms, counts, tokens, …) rows."""

    settings: Bm25Settings

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counter = word_counter(self.settings)
        for batch in batches:
            texts, statuses = clean_texts(batch.column("text").to_pylist())
            counts = [counter.count(text) for text in texts]
            for row, repaired in enumerate(batch.column("repaired").to_pylist()):
                if statuses[row] in ("ok", "repaired"):
                    statuses[row] = "blank" if not counts[row] else "repaired" if repaired else statuses[row]
            columns = [
                batch.column("id").cast(pa.string()),
                pa.array([list(of_text) for of_text in counts], pa.list_(pa.string())),
                pa.array([list(of_text.values()) for of_text in counts], pa.list_(pa.int32())),
                pa.array([of_text.total() for of_text in counts], pa.int32()),
                batch.column("text_sha256").cast(pa.string()),
                pa.array(statuses, pa.string()),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=COUNTED_BATCH)


@dataclass(frozen=True)
class WeighWords:
    """The function given to mapInArrow: (id, tokens, text_sha256, status, term_id, count, df) to `vectors` rows.

    term_id, count, df: arrays of one length, ascending by term_id. statistics: of the documents; None for queries,
    whose weights are their counts.
    """

    settings: Bm25Settings
    statistics: Statistics | None
    model_id: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            sizes = pc.list_value_length(batch.column("term_id")).to_numpy(zero_copy_only=False)
            offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
            indices = batch.column("term_id").flatten().cast(pa.int32())
            values = self._values(batch, sizes)
            columns = [
                batch.column("id").cast(pa.string()),
                pa.ListArray.from_arrays(offsets, indices),
                pa.ListArray.from_arrays(offsets, pa.array(values, pa.float32())),
                batch.column("tokens"),
                pa.array([False] * batch.num_rows, pa.bool_()),
                batch.column("text_sha256").cast(pa.string()),
                batch.column("status").cast(pa.string()),
                pa.array([self.model_id] * batch.num_rows, pa.string()),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=VECTOR_BATCH)

    def _values(self, batch: pa.RecordBatch, sizes: NDArray[np.int64]) -> NDArray[np.float32]:
        counts: NDArray[np.int64] = batch.column("count").flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        if self.statistics is None:
            return counts.astype(np.float32)
        return document_weights(
            counts,
            batch.column("df").flatten().to_numpy(zero_copy_only=False).astype(np.int64),
            np.repeat(batch.column("tokens").to_numpy(zero_copy_only=False).astype(np.int64), sizes),
            documents=self.statistics.documents,
            average_length=self.statistics.average_length,
            k1=self.settings.k1,
            b=self.settings.b,
        )
