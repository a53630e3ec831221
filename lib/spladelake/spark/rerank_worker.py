"""What runs inside a Python worker to score pairs: one cross-encoder a process, equal pairs once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.accumulators import Accumulator

from spladelake.spark.worker import task_device

if TYPE_CHECKING:
    from spladelake.reranker import CrossCheckpoint, CrossEncoder

SCORE_BATCH = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("score", pa.float64())])


@dataclass(frozen=True)
class RerankerSpec:
    """Which cross-encoder a worker needs: the key of its cache."""

    checkpoint: CrossCheckpoint
    token_budget: int | None


_lock = threading.Lock()
_loaded: dict[RerankerSpec, CrossEncoder] = {}


def cached_reranker(spec: RerankerSpec) -> tuple[CrossEncoder, bool]:
    """The cross-encoder of this process, loaded and verified on first use; and whether it was loaded now."""
    with _lock:
        if spec in _loaded:
            return _loaded[spec], False
        from spladelake.reranker import CrossEncoder

        context = TaskContext.get()
        _loaded.clear()
        _loaded[spec] = CrossEncoder.load(
            spec.checkpoint,
            threads=context.cpus() if context else None,
            device=task_device(context),
            token_budget=spec.token_budget,
        )
        return _loaded[spec], True


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
        encoder, loaded_now = cached_reranker(self.spec)
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
