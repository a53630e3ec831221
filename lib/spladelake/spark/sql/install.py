"""Define the views and functions of a collection in a running session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.pandas.functions import arrow_udf

from spladelake.bm25 import BM25_MODEL
from spladelake.config import DEFAULT_MODEL
from spladelake.encoder import Checkpoint, resolve_checkpoint
from spladelake.errors import DataError, SpladelakeError
from spladelake.names import short_name
from spladelake.spark.encode.encoder_cache import WorkerSpec, cached_encoder
from spladelake.spark.session.settings import session_settings
from spladelake.spark.sql.definitions import Collection, Definition, definitions
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.split_files import ROW_READER, make_readable

PYTHON_FUNCTIONS = ("encode_query", "text_terms")
# Sums that do not fit and casts that lose end in an error. Views and functions keep the setting they are defined under.
ANSI = {"spark.sql.ansi.enabled": "true"}
_VECTOR = "struct<indices: array<int>, `values`: array<float>>"


@dataclass(frozen=True)
class Installed:
    """What was defined, and of what was not the reason and what to do."""

    names: tuple[str, ...]
    missing: dict[str, str]


def install(session: SparkSession, *, lake: str, model: str = DEFAULT_MODEL, vectors: str | None = None) -> Installed:
    """Define the views and functions of a lake as temporary ones of the session.

    model: encodes questions, and names the vectors unless `vectors` does. What a table or the model is missing for is
    left out, with the reason. Raises DataError where the lake has none of the tables.
    """
    collection = Collection(Lake(lake), short_name(vectors or model))
    present = _present(session, collection)
    if not present:
        raise DataError(lake, "it holds no table of spladelake", "wanted documents, vectors or runs", "Correct --lake.")
    missing = {
        name: f"there is no {ref}; make it with {collection.made_by(name, model)}"
        for name, ref in collection.tables.items()
        if name not in present
    }
    checkpoint = _encoding(session, present, model, missing)
    if checkpoint is not None:
        session.udf.register("encode_query", _encode_query(WorkerSpec(checkpoint, None)))
        session.udf.register("text_terms", _text_terms(checkpoint))
    defined = list(PYTHON_FUNCTIONS) if checkpoint is not None else []
    model_id = checkpoint.model_id if checkpoint is not None else ""
    with session_settings(session, ANSI):
        for definition, lacking in _resolved(session, collection, present, defined, model_id=model_id):
            if lacking is None:
                session.sql(definition.statement)
                defined.append(definition.name)
            elif lacking != definition.name:  # the view of a table that is not there has its reason already
                missing[definition.name] = f"it needs {lacking}: {missing.get(lacking, 'nothing was measured yet')}"
    return Installed(tuple(dict.fromkeys(defined)), {k: v for k, v in missing.items() if k not in defined})


def script(session: SparkSession, *, lake: str, model: str = DEFAULT_MODEL, vectors: str | None = None) -> str:
    """The same definitions as a file for spark-sql or a Thrift server, without those that need Python."""
    collection = Collection(Lake(lake), short_name(vectors or model))
    present = _present(session, collection)
    kept = [definition for definition, lacking in _resolved(session, collection, present, []) if lacking is None]
    head = f"-- Views and functions over {lake}, for spark-sql -i or a Thrift session with Delta Lake.\n\n"
    row_reader = {ROW_READER: "false"} if session.conf.get(ROW_READER, "true") == "false" else {}
    for key, value in {**ANSI, **row_reader}.items():
        head += f"SET {key} = {value};\n\n"
    return head + "\n\n".join(f"{definition.statement};" for definition in kept) + "\n"


def _present(session: SparkSession, collection: Collection) -> dict[str, TableRef]:
    """The tables that are there, which the session can read from then on."""
    present = {name: ref for name, ref in collection.tables.items() if ref.exists(session)}
    for ref in present.values():
        make_readable(session, ref)
    return present


def _resolved(
    session: SparkSession,
    collection: Collection,
    present: dict[str, TableRef],
    functions: list[str],
    *,
    model_id: str = "",
) -> Iterator[tuple[Definition, str | None]]:
    """Every definition in order, with the first thing it needs that is not there. functions: those of Python."""
    known = {*present, *functions, *(["measure_columns"] if _has_means(present, session) else [])}
    for definition in definitions(session, collection, present, model_id=model_id):
        lacking = next((name for name in definition.needs if name not in known), None)
        if lacking is None:
            known.add(definition.name)
        yield definition, lacking


def _has_means(present: dict[str, TableRef], session: SparkSession) -> bool:
    return "measures" in present and not present["measures"].read(session).where("query_id IS NULL").isEmpty()


def _encoding(
    session: SparkSession, present: dict[str, TableRef], model: str, missing: dict[str, str]
) -> Checkpoint | None:
    """The model that the functions of Python run; where it cannot serve, `missing` says why instead."""
    try:
        if model == BM25_MODEL:
            why = "it encodes by a SPLADE model; for BM25 use the command `spladelake search --model bm25`"
        elif "document_vectors" not in present:
            why = missing["document_vectors"]
        else:
            checkpoint = resolve_checkpoint(model)
            found = table_properties(session, present["document_vectors"]).get("spladelake.model_id")
            if found in (None, checkpoint.model_id):
                return checkpoint
            why = (
                f"the vectors are of the model_id {str(found)[:12]}, {model} with its own settings is "
                f"{checkpoint.model_id[:12]}; name the model and vectors that belong together"
            )
    except SpladelakeError as error:
        why = str(error)
    missing.update(dict.fromkeys(PYTHON_FUNCTIONS, why))
    return None


def _encode_query(spec: WorkerSpec):  # type: ignore[no-untyped-def]
    """The SQL function encode_query(text): the vector of a question, by the model that the worker keeps loaded."""

    def encode_query(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        for texts in batches:
            encoder = cached_encoder(spec)
            vectors = encoder.encode(texts.to_pylist(), kind="query").vectors
            offsets = pa.array(vectors.indptr, pa.int32())
            parts = [
                pa.ListArray.from_arrays(offsets, pa.array(vectors.indices, pa.int32())),
                pa.ListArray.from_arrays(offsets, pa.array(vectors.values, pa.float32())),
            ]
            yield pa.StructArray.from_arrays(parts, ["indices", "values"])

    return arrow_udf(encode_query, _VECTOR)  # type: ignore[call-overload]


def _text_terms(checkpoint: Checkpoint):  # type: ignore[no-untyped-def]
    """The SQL function text_terms(text): tokens of a document's text as the model reads it, special ones too."""
    spec = WorkerSpec(checkpoint, None)

    def text_terms(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        for texts in batches:
            encoder = cached_encoder(spec)
            yield pa.array(encoder.token_ids(texts.to_pylist()), pa.list_(pa.int32()))

    return arrow_udf(text_terms, "array<int>")  # type: ignore[call-overload]
