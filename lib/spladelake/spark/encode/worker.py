"""Functions that encode texts inside a Python worker: one model per process, Arrow batches in and out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.accumulators import Accumulator

from spladelake.spark.encode.encoder_cache import WorkerSpec, encoders
from spladelake.spark.encode.isolated import IsolatedEncoder
from spladelake.spark.encode.models import task_share
from spladelake.spark.encode.tolerant import AnyEncoder, TolerantEncoder
from spladelake.spark.tables.schemas import PASSAGE_COLUMNS, PASSAGE_VECTORS, VECTORS

if TYPE_CHECKING:
    from spladelake.encoder import EncodedBatch

Value = TypeVar("Value")

# The schema of every batch. Spark matches its columns by position.
VECTOR_BATCH, PASSAGE_BATCH = VECTORS.arrow, PASSAGE_VECTORS.arrow

# Start of the status of a text that cannot be encoded; the reason follows.
REJECTED = "rejected: "


# Prefix of a key in the totals that counts a warning.
WARNING = "warning: "


@dataclass(frozen=True)
class EncodeBatches:
    """The function given to mapInArrow: batches of (id, text, text_sha256, repaired) to batches of `vectors` rows."""

    loads_model: ClassVar[bool] = True
    spec: WorkerSpec
    kind: Literal["document", "query"]
    totals: Accumulator[dict[str, float]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        for batch in batches:
            encoder, loaded_now = encoders.get(self.spec)
            if loaded_now:
                self.totals.add({"model_loads": 1})
            encoded = encode_batch(encoder, batch, self.kind)
            yield vector_batch(batch, encoded, self.spec.checkpoint.model_id)
            self.totals.add(_totals(encoded))


@dataclass(frozen=True)
class EncodeOrReject:
    """The function given to mapInArrow if one text must not end the job.

    Maps batches of (id, text, text_sha256, repaired, reason) to batches of `staged` rows. A text on which the model
    fails, or that comes with a reason, gets an empty vector and a status that says why. A retried task encodes in a
    child process. A text that ends the child process is then found like any other text on which the model fails.
    """

    loads_model: ClassVar[bool] = True
    spec: WorkerSpec
    kind: Literal["document", "query"]
    totals: Accumulator[dict[str, float]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        with ExitStack() as ending:
            encoder: AnyEncoder | None = None
            for batch in batches:
                encoder = encoder or self._encoder(ending)
                tolerant = TolerantEncoder(encoder)
                with warnings_counted(self.totals):
                    encoded = encode_batch(tolerant, batch, self.kind)
                statuses = _with_reasons(encoded, batch, tolerant.reasons)
                yield vector_batch(batch, encoded, self.spec.checkpoint.model_id, statuses=statuses)
                rejected = sum(status.startswith(REJECTED) for status in statuses)
                self.totals.add({**_totals(encoded), "rejected": rejected})

    def _encoder(self, ending: ExitStack) -> AnyEncoder:
        with warnings_counted(self.totals):
            encoder, loaded_now = ending.enter_context(surviving_encoder(self.spec))
        if loaded_now:
            self.totals.add({"model_loads": 1})
        return encoder


@contextmanager
def surviving_encoder(spec: WorkerSpec) -> Iterator[tuple[AnyEncoder, bool]]:
    """Give an encoder for a task that no text may end, and whether this process loaded its model now.

    A retried task gets an encoder in a child process, which is started again after a text has ended it.
    """
    context = TaskContext.get()
    if context is not None and context.attemptNumber() > 0:
        with IsolatedEncoder(spec, task_share()) as isolated:
            yield isolated, False
    else:
        yield encoders.get(spec)


def _with_reasons(encoded: EncodedBatch, batch: pa.RecordBatch, failed: dict[str | None, str]) -> list[str]:
    """Return the statuses. If a text came with a reason or the model failed on it, its status says why."""
    reasons = batch.column("reason").to_pylist()
    if failed:
        texts = batch.column("text").to_pylist()
        reasons = [said or failed.get(text) for text, said in zip(texts, reasons, strict=True)]
    return [s if why is None else f"{REJECTED}{why}" for s, why in zip(encoded.status, reasons, strict=True)]


@contextmanager
def warnings_counted(totals: Accumulator[dict[str, float]]) -> Iterator[None]:
    """Count this package's warnings while the body runs, then send the counts to the driver."""
    handler = _WarningCounter()
    logger = logging.getLogger("spladelake")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        if handler.counts:
            totals.add({f"{WARNING}{message}": count for message, count in handler.counts.items()})


class _WarningCounter(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()[:200]
        self.counts[message] = self.counts.get(message, 0) + 1


def encode_batch(encoder: AnyEncoder, batch: pa.RecordBatch, kind: Literal["document", "query"]) -> EncodedBatch:
    """Encode a batch of (id, text, text_sha256, repaired) rows, texts of the same hash once.

    Returns one row for each row of the batch. The status is `repaired` if invalid bytes were replaced before the text
    came here. The stats count each encoded text once.
    """
    distinct, row_of = encoded_once(encoder, batch.column("text"), batch.column("text_sha256"), kind)
    repaired = batch.column("repaired").to_pylist()
    return replace(
        distinct,
        vectors=distinct.vectors.take(row_of),
        tokens=distinct.tokens[row_of],
        truncated=distinct.truncated[row_of],
        status=[
            "repaired" if mended and distinct.status[row] == "ok" else distinct.status[row]
            for row, mended in zip(row_of, repaired, strict=True)
        ],
    )


def encoded_once(
    encoder: AnyEncoder, texts: pa.Array, keys: pa.Array, kind: Literal["document", "query"]
) -> tuple[EncodedBatch, NDArray[np.int64]]:
    """Encode the texts of equal keys once; return the distinct rows, and for each text its row among them."""
    encoded = keys.fill_null("").dictionary_encode()
    row_of = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    _, first = np.unique(row_of, return_index=True)
    return encoder.encode(texts.take(pa.array(first)).to_pylist(), kind=kind), row_of


def vector_batch(
    batch: pa.RecordBatch, encoded: EncodedBatch, model_id: str, *, statuses: Sequence[str] | None = None
) -> pa.RecordBatch:
    """Return an Arrow batch of `vectors` rows. The list columns wrap the encoder's arrays and copy no elements.

    Rows of passages keep the columns that say where the passage is.

    - statuses: replace the encoder's statuses.
    """
    columns = [
        batch.column("id").cast(pa.string()),
        *encoded.vectors.list_columns(),
        pa.array(encoded.tokens, pa.int32()),
        pa.array(encoded.truncated, pa.bool_()),
        batch.column("text_sha256").cast(pa.string()),
        pa.array(encoded.status if statuses is None else statuses, pa.string()),
        pa.array([model_id] * batch.num_rows, pa.string()),
    ]
    if PASSAGE_COLUMNS[0] not in batch.schema.names:
        return pa.RecordBatch.from_arrays(columns, schema=VECTOR_BATCH)
    columns += [batch.column(name).cast(PASSAGE_BATCH.field(name).type) for name in PASSAGE_COLUMNS]
    return pa.RecordBatch.from_arrays(columns, schema=PASSAGE_BATCH)


def _totals(encoded: EncodedBatch) -> dict[str, float]:
    stats = encoded.stats
    totals: dict[str, float] = {
        "texts": len(encoded.status),
        "distinct_texts": stats.texts,
        "tokens": stats.tokens,
        "padded_tokens": stats.padded_tokens,
        "seconds": stats.seconds,
        "active_dims": len(encoded.vectors.indices),
        "truncated": int(np.count_nonzero(encoded.truncated)),
    }
    for status in encoded.status:
        totals[f"status_{status}"] = totals.get(f"status_{status}", 0) + 1
    return totals
