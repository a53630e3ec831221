"""What runs inside a Python worker to score pairs: one cross-encoder a process, equal pairs once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.accumulators import Accumulator

from spladelake.spark.encode.models import ModelCache

if TYPE_CHECKING:
    from spladelake.reranker import CrossCheckpoint, CrossEncoder

SCORE_BATCH = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("score", pa.float64())])


@dataclass(frozen=True)
class RerankerSpec:
    """Which cross-encoder a worker needs."""

    checkpoint: CrossCheckpoint
    token_budget: int | None

    def load(self, *, threads: int | None, device: str | None) -> CrossEncoder:
        """The cross-encoder, its files verified."""
        from spladelake.reranker import CrossEncoder

        return CrossEncoder.load(self.checkpoint, threads=threads, device=device, token_budget=self.token_budget)


# One at a time: re-ranking jobs seldom alternate between models.
rerankers: ModelCache[CrossEncoder] = ModelCache(capacity=1)


@dataclass(frozen=True)
class ScorePairs:
    """The function given to mapInArrow: (query_id, doc_id, query, document, pair) to (query_id, doc_id, score) rows.

    pair: a hash of both texts; rows of one hash come one after another and are scored once.
    """

    spec: RerankerSpec
    totals: Accumulator[dict[str, float]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        last: dict[str, float] = {}  # the last pair of the batch before, which the next may begin with
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
        """Scores by pair of the rows that stand for a pair each."""
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
