"""The encoder as a function of one column, for DataFrames and SQL: texts in, sparse vectors out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Literal, get_args

import pyarrow as pa

from spladelake.errors import DataError
from spladelake.spark.encode.encoder_cache import WorkerSpec, cached_encoder
from spladelake.spark.encode.tolerant import AnyEncoder, TolerantEncoder
from spladelake.spark.encode.worker import encoded_once, surviving_encoder
from spladelake.spark.session.arrow_functions import batch_function, without_null_structs

Kind = Literal["document", "query"]
OnError = Literal["raise", "null", "struct"]
KINDS, ON_ERROR = get_args(Kind), get_args(OnError)

VECTOR = "struct<indices: array<int>, `values`: array<float>>"
VECTOR_OR_ERROR = "struct<indices: array<int>, `values`: array<float>, error: string>"


def encode_udf(spec: WorkerSpec, kind: Kind, on_error: OnError = "raise") -> Any:
    """Return the encoder as a Spark function of a string column. A worker loads the model once.

    - on_error: the result for a text on which the model fails. raise: the job ends with the error. null: a null vector.
      struct: an empty vector, with the reason in a third field `error`.
    """

    def encode(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        yield from encoded_columns(batches, spec, kind, on_error)

    returns = VECTOR_OR_ERROR if on_error == "struct" else VECTOR
    function = batch_function(encode, returns, empty=pa.string())
    return without_null_structs(function, "indices") if on_error == "null" else function


def encoded_columns(
    batches: Iterator[pa.Array], spec: WorkerSpec, kind: Kind, on_error: OnError
) -> Iterator[pa.StructArray]:
    """Yield the vectors of each batch of texts."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with ExitStack() as ending:
        encoder: AnyEncoder | None = None
        for texts in batches:
            if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
                fix = "Name a column of strings, or cast the column to string."
                raise DataError("encode", f"the column has the type {texts.type}", "wanted strings", fix)
            if encoder is None and on_error == "raise":
                encoder = cached_encoder(spec)
            elif encoder is None:
                encoder, _ = ending.enter_context(surviving_encoder(spec))
            yield vector_column(encoder, texts, kind, on_error)


def vector_column(encoder: AnyEncoder, texts: pa.Array, kind: Kind, on_error: OnError) -> pa.StructArray:
    """Return the vectors of texts as a column, equal texts encoded once."""
    tolerant = TolerantEncoder(encoder)
    distinct, row_of = encoded_once(encoder if on_error == "raise" else tolerant, texts, texts, kind)
    parts, names = distinct.vectors.take(row_of).list_columns(), ["indices", "values"]
    if on_error == "raise":
        return pa.StructArray.from_arrays(parts, names)
    reasons: list[str | None] = [None] * len(texts)
    if tolerant.reasons:
        reasons = [tolerant.reasons.get(text) for text in texts.to_pylist()]
    if on_error == "null":
        return pa.StructArray.from_arrays(parts, names, mask=pa.array([why is not None for why in reasons], pa.bool_()))
    return pa.StructArray.from_arrays([*parts, pa.array(reasons, pa.string())], [*names, "error"])
