"""Functions that return columns: texts to vectors, and vectors to scores and terms."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from spladelake.config import DEFAULT_MODEL
from spladelake.config.model_kinds import Capability, kind_of_model
from spladelake.encoder import Checkpoint, EncoderSettings, resolve_checkpoint
from spladelake.errors import UsageError
from spladelake.functions.columns import METADATA, VECTOR_NAME, given_column
from spladelake.names import suggestion
from spladelake.spark.encode.column import KINDS, ON_ERROR, Kind, OnError, encode_udf
from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.retrieve.vector_functions import DEFAULT_TERMS, decode_udf, dot_udf, explain_udf


def encode(
    column: Column | str,
    *,
    model: str = DEFAULT_MODEL,
    kind: Kind = "document",
    max_active_dims: int | None = None,
    max_length: int | None = None,
    minimum_weight: float = 0.0,
    on_error: OnError = "raise",
) -> Column:
    """Return the sparse vectors of a column of texts: struct<indices: array<int>, values: array<float>>.

        documents.withColumn("vector", sl.encode("text", model="splade-tiny"))

    A null, empty or blank text has empty arrays. Each Python worker loads the model once.

    The column is part of a plan, so each action encodes again, and a filter on the vectors themselves, such as
    `where("size(vector.indices) > 0")`, makes Spark encode twice in one action. Write the vectors to a table before you
    filter on them or use them more than once.

    - column: a string column, or its name.
    - model: as `--model` of encode_texts.
    - kind: document or query. Models may encode the two in different ways.
    - max_active_dims: most terms of a vector, the heaviest ones.
    - max_length: tokens of a text, special ones included; longer texts are cut.
    - minimum_weight: lighter terms are dropped.
    - on_error: the result for a text on which the model fails. raise: the job ends with the error. null: a null vector.
      struct: an empty vector, with the reason in a third field `error` (null for all other texts).

    Raises UsageError if the model is no SPLADE model or cannot be used. Spark raises AnalysisException if the column is
    missing or holds no texts.
    """
    for name, value, known in (("kind", kind, KINDS), ("on_error", on_error, ON_ERROR)):
        if value not in known:
            raise UsageError(
                f"encode, {name}", f"the value is {value!r}", suggestion(str(value), known), "Correct the value."
            )
    settings = EncoderSettings(max_length=max_length, max_active_dims=max_active_dims, minimum_weight=minimum_weight)
    return encoded_texts(
        given_column(column, "encode", example="text"), text_checkpoint(model, settings), kind, on_error
    )


def encoded_texts(text: Column, checkpoint: Checkpoint, kind: Kind, on_error: OnError = "raise") -> Column:
    """Return the vectors of a column of texts, with the model in the metadata of the column."""
    # collate takes strings only, so that a column of another type is refused when the plan is made.
    valid = F.make_valid_utf8(F.collate(text, "UTF8_BINARY"))
    vector: Column = encode_udf(WorkerSpec(checkpoint.for_kind(kind), None), kind, on_error)(valid)
    return vector.alias(VECTOR_NAME, metadata={METADATA: json.dumps(_made_by(checkpoint, kind))})


def _made_by(checkpoint: Checkpoint, kind: str) -> dict[str, Any]:
    """Return what later functions need to know of the vectors: `files` identifies the model, whatever its settings."""
    return {
        "model": checkpoint.name,
        "model_id": checkpoint.model_id,
        "files": hashlib.sha256(json.dumps(checkpoint.file_digests).encode()).hexdigest(),
        "settings": asdict(checkpoint.settings),
        "vocabulary_size": checkpoint.vocabulary_size,
        "kind": kind,
    }


def text_checkpoint(model: str, settings: EncoderSettings | None = None) -> Checkpoint:
    """Return the checkpoint of a model that can encode a text alone.

    Raises UsageError if it is none: BM25 learns from a collection, other models are no SPLADE models.
    """
    if not isinstance(model, str):
        raise UsageError("model", f"the type is {type(model).__name__}", "wanted the name of a model", "Name a model.")
    if Capability.SQL_FUNCTIONS not in kind_of_model(model).capabilities:
        raise UsageError(
            f"model {model}",
            "the weights of the model depend on a whole collection",
            "wanted a SPLADE model",
            f"Use the job instead: spladelake encode_texts --lake LAKE --model {model}",
        )
    return resolve_checkpoint(model, settings=settings or EncoderSettings())


def dot(first: Column | str, second: Column | str) -> Column:
    """Return the exact dot product of two vectors as a double, equal to the score of retrieval to the last bit.

    The product with a null vector is null.

    - first, second: columns of vectors, or their names.
    """
    product: Column = dot_udf()(given_column(first, "dot"), given_column(second, "dot"))
    return product.alias("score")


def decode(vector: Column | str, *, model: str = DEFAULT_MODEL, k: int = DEFAULT_TERMS) -> Column:
    """Return the heaviest terms of vectors by name: array<struct<token: string, weight: float>>, heaviest first.

    Between equal weights the lower term id comes first. The terms of a null vector are null.

    - vector: a column of vectors, or its name.
    - model: the model of the vectors.
    - k: most terms of a vector.

    Raises UsageError for an unusable model and an invalid k.
    """
    terms: Column = decode_udf(text_checkpoint(model))(given_column(vector, "decode"), F.lit(_number(k, "decode")))
    return terms.alias("terms")


def explain(
    query: Column | str, document: Column | str, *, model: str = DEFAULT_MODEL, k: int = DEFAULT_TERMS
) -> Column:
    """Return the terms that make up a score, the largest contribution first.

    The result is array<struct<token: string, query_weight: float, doc_weight: float, contribution: double>>. A
    contribution is the product of a term's two weights. All contributions of a pair add up to its score.

    - query, document: columns of vectors, or their names.
    - model: the model of the vectors.
    - k: most terms of a pair.

    Raises UsageError for an unusable model and an invalid k.
    """
    sides = (given_column(side, "explain") for side in (query, document))
    terms: Column = explain_udf(text_checkpoint(model))(*sides, F.lit(_number(k, "explain")))
    return terms.alias("terms")


def _number(k: int, place: str) -> int:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise UsageError(
            f"{place}, k",
            f"the value is {k!r}",
            "wanted a whole number of 1 or more",
            "Set k to how many terms you want.",
        )
    return k
