"""What runs inside a Python worker to encode texts: one model a process, Arrow batches in and out."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.accumulators import Accumulator, AccumulatorParam

if TYPE_CHECKING:
    from spladelake.encoder import Checkpoint, EncodedBatch, SpladeEncoder

# One schema constant for every batch: Spark matches the columns by position.
VECTOR_BATCH = pa.schema(
    [
        ("id", pa.string()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float32())),
        ("tokens", pa.int32()),
        ("truncated", pa.bool_()),
        ("text_sha256", pa.string()),
        ("status", pa.string()),
        ("model_id", pa.string()),
    ]
)


class Totals(AccumulatorParam[dict[str, float]]):
    """A dictionary of sums, added up over all tasks."""

    def zero(self, value: dict[str, float]) -> dict[str, float]:
        return {}

    def addInPlace(self, value1: dict[str, float], value2: dict[str, float]) -> dict[str, float]:  # noqa: N802
        for key, amount in value2.items():
            value1[key] = value1.get(key, 0) + amount
        return value1


@dataclass(frozen=True)
class WorkerSpec:
    """Which encoder a worker needs: the key of its cache."""

    checkpoint: Checkpoint
    token_budget: int | None


_lock = threading.Lock()
_loaded: dict[WorkerSpec, SpladeEncoder] = {}
# A worker serves one model at a time; a second is kept so that alternating jobs do not reload.
_CAPACITY = 2


def cached_encoder(spec: WorkerSpec) -> tuple[SpladeEncoder, bool]:
    """The encoder of this process for a spec, loaded and verified on first use; and whether it was loaded now."""
    with _lock:
        if spec in _loaded:
            return _loaded[spec], False
        from spladelake.encoder import SpladeEncoder

        context = TaskContext.get()
        while len(_loaded) >= _CAPACITY:
            del _loaded[next(iter(_loaded))]
        _loaded[spec] = SpladeEncoder.load(
            spec.checkpoint,
            threads=context.cpus() if context else None,
            device=_device(context),
            token_budget=spec.token_budget,
        )
        return _loaded[spec], True


def _device(context: TaskContext | None) -> str | None:
    """The GPU that Spark gave this task; None leaves the choice to the encoder (CUDA if there is one, else CPU)."""
    if forced := os.environ.get("SPLADELAKE_DEVICE"):
        return forced
    gpu = context.resources().get("gpu") if context else None
    return f"cuda:{gpu.addresses[0]}" if gpu else None


@dataclass(frozen=True)
class EncodeBatches:
    """The function given to mapInArrow: batches of (id, text, repaired) to batches of `vectors` rows."""

    spec: WorkerSpec
    kind: Literal["document", "query"]
    totals: Accumulator[dict[str, float]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        for batch in batches:
            encoder, loaded_now = cached_encoder(self.spec)
            if loaded_now:
                self.totals.add({"model_loads": 1})
            texts: list[str | None] = batch.column("text").to_pylist()
            encoded = with_repaired(encoder.encode(texts, kind=self.kind), batch.column("repaired").to_pylist())
            yield vector_batch(batch.column("id"), texts, encoded, self.spec.checkpoint.model_id)
            self.totals.add(_totals(encoded))


def with_repaired(encoded: EncodedBatch, repaired: Sequence[bool]) -> EncodedBatch:
    """The batch with status `repaired` for texts whose invalid bytes were replaced before they came here."""
    if not any(repaired):
        return encoded
    status = [
        "repaired" if mended and found == "ok" else found
        for mended, found in zip(repaired, encoded.status, strict=True)
    ]
    return replace(encoded, status=status)


def vector_batch(ids: pa.Array, texts: Sequence[str | None], encoded: EncodedBatch, model_id: str) -> pa.RecordBatch:
    """One Arrow batch of `vectors` rows; the list columns wrap the encoder's arrays without a copy by element."""
    vectors = encoded.vectors
    offsets = pa.array(vectors.indptr.astype(np.int32))
    columns = [
        ids.cast(pa.string()),
        pa.ListArray.from_arrays(offsets, pa.array(vectors.indices, pa.int32())),
        pa.ListArray.from_arrays(offsets, pa.array(vectors.values, pa.float32())),
        pa.array(encoded.tokens, pa.int32()),
        pa.array(encoded.truncated, pa.bool_()),
        pa.array([text_sha256(text) for text in texts], pa.string()),
        pa.array(encoded.status, pa.string()),
        pa.array([model_id] * len(texts), pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=VECTOR_BATCH)


def text_sha256(text: str | None) -> str | None:
    """Hash of a text's UTF-8 bytes; lone surrogates count as they are."""
    return None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _totals(encoded: EncodedBatch) -> dict[str, float]:
    stats = encoded.stats
    totals: dict[str, float] = {
        "texts": stats.texts,
        "tokens": stats.tokens,
        "padded_tokens": stats.padded_tokens,
        "seconds": stats.seconds,
        "active_dims": len(encoded.vectors.indices),
        "truncated": int(np.count_nonzero(encoded.truncated)),
    }
    for status in encoded.status:
        totals[f"status_{status}"] = totals.get(f"status_{status}", 0) + 1
    return totals
