"""The scoring of pairs in a Python worker: one cross-encoder a process, and one score for pairs of equal texts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
from pyspark.accumulators import Accumulator

from spladelake.spark.encode.models import ModelCache

if TYPE_CHECKING:
    from spladelake.reranker import CrossCheckpoint, CrossEncoder

SCORE_BATCH = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("score", pa.float64())])


@dataclass(frozen=True)
class RerankerSpec:
    """The cross-encoder that a worker loads, and the tokens of its batches (None for the default)."""

    checkpoint: CrossCheckpoint
    token_budget: int | None

    def load(self, *, threads: int | None, device: str | None) -> CrossEncoder:
        """Verify the files of the cross-encoder and load it."""
        from spladelake.reranker import CrossEncoder

        return CrossEncoder.load(self.checkpoint, threads=threads, device=device, token_budget=self.token_budget)


# One model at a time: re-ranking jobs seldom alternate between models.
rerankers: ModelCache[CrossEncoder] = ModelCache(capacity=1)


@dataclass(frozen=True)
class ScorePairBatches:
    """The function for mapInArrow: turns (query_id, doc_id, query, document, pair) into (query_id, doc_id, score).

    `pair` is a hash of both texts. Rows of equal `pair` must follow each other; the model scores them once.
    """

    loads_model: ClassVar[bool] = True
    spec: RerankerSpec
    totals: Accumulator[dict[str, float]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        last: dict[str, float] = {}  # The last pair of the previous batch: the next batch may begin with it.
        for batch in batches:
            if batch.num_rows == 0:
                continue
            keys = batch.column("pair").to_pylist()
            fresh: dict[str, int] = {}
            for row, key in enumerate(keys):
                if key not in last:
                    fresh.setdefault(key, row)
            found = {**last, **self._score(batch, fresh)}
            scores = np.array([found[key] for key in keys], dtype=np.float64)
            last = {keys[-1]: found[keys[-1]]}
            columns = [batch.column("query_id").cast(pa.string()), batch.column("doc_id").cast(pa.string())]
            yield pa.RecordBatch.from_arrays([*columns, pa.array(scores, pa.float64())], schema=SCORE_BATCH)

    def _score(self, batch: pa.RecordBatch, fresh: dict[str, int]) -> dict[str, float]:
        """Return the score of every pair in `fresh`, which maps a pair to the row that holds its texts."""
        encoder, loaded_now = rerankers.get(self.spec)
        rows = pa.array(list(fresh.values()), pa.int64())
        queries, documents = (batch.column(name).take(rows).to_pylist() for name in ("query", "document"))
        scored = encoder.score(list(zip(queries, documents, strict=True)))
        self.totals.add(
            {
                "model_loads": int(loaded_now),
                "pairs": len(fresh),
                "tokens": scored.tokens,
                "padded_tokens": scored.padded_tokens,
            }
        )
        return dict(zip(fresh, scored.scores.astype(np.float64).tolist(), strict=True))
