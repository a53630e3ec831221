"""Define the views and functions of a collection in a running session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import pyarrow as pa
from pyspark.sql import SparkSession

from spladelake.config import DEFAULT_MODEL
from spladelake.config.model_kinds import Capability, kind_of_model
from spladelake.encoder import Checkpoint
from spladelake.errors import DataError, SpladelakeError
from spladelake.names import short_name
from spladelake.spark.encode.column import encode_udf
from spladelake.spark.encode.encoder_cache import WorkerSpec, cached_encoder
from spladelake.spark.encode.query_models import query_model_of, resolve_models
from spladelake.spark.encode.texts import SIDES, SideName
from spladelake.spark.session.arrow_functions import batch_function
from spladelake.spark.session.settings import session_settings
from spladelake.spark.sql.definitions import Definition, LakeTables, definitions
from spladelake.spark.sql.failures import Undefined
from spladelake.spark.sql.indexed import Indexed, IndexedVectors, define_search
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.split_files import ROW_READER, make_readable

PYTHON_FUNCTIONS = ("encode_query", "text_terms")
# An overflow or a lossy cast raises an error. Views and functions keep the setting under which they are defined.
ANSI = {"spark.sql.ansi.enabled": "true"}


@dataclass(frozen=True)
class Installed:
    """The names that were defined; for each missing name the reason and the fix."""

    names: tuple[str, ...]
    missing: dict[str, Undefined]


def install(
    session: SparkSession,
    *,
    lake: str,
    model: str = DEFAULT_MODEL,
    query_model: str | None = None,
    vectors: str | None = None,
) -> Installed:
    """Define temporary views and functions over a lake in the session.

    A definition is left out, with the reason, if a table that it needs or the model is missing.

    - model: encodes questions, and names the vectors unless `vectors` does.
    - query_model: encodes questions instead; None: the model that the vectors' table names, else `model`.

    Raises DataError if the lake has none of the tables.
    """
    collection = LakeTables(Lake(lake), short_name(vectors or model))
    present = _present(session, collection)
    if not present:
        raise DataError(
            lake,
            "the lake holds no table of spladelake",
            "wanted a table such as documents, vectors or runs",
            "Correct --lake, or fill the lake with ingest_texts first.",
        )
    missing = {
        name: Undefined(f"there is no {ref}", "wanted this table", _make(collection.made_by(name, model)))
        for name, ref in collection.tables.items()
        if name not in present
    }
    unmeasured = Undefined(
        "no run is measured yet", "wanted measures of a run", _make(collection.made_by("measures", model))
    )
    checkpoint = _encoding(session, present, model, query_model, missing)
    if checkpoint is not None:
        session.udf.register("encode_query", encode_udf(WorkerSpec(checkpoint.for_kind("query"), None), "query"))
        session.udf.register("text_terms", _text_terms(WorkerSpec(checkpoint.for_kind("document"), None)))
    defined = list(PYTHON_FUNCTIONS) if checkpoint is not None else []
    model_id = checkpoint.model_id if checkpoint is not None else ""
    searched = IndexedVectors(lake, collection.vectors, model_id)
    indexed = define_search(session, searched) if _runs_here(session) else None
    with session_settings(session, ANSI):
        for definition, lacking in _resolved(session, collection, present, defined, model_id=model_id, indexed=indexed):
            if lacking is None:
                session.sql(definition.statement)
                defined.append(definition.name)
            elif lacking != definition.name:  # a missing table has its reason already
                why = missing.get(lacking, unmeasured)
                missing[definition.name] = replace(why, needs=(lacking, *why.needs))
    return Installed(tuple(dict.fromkeys(defined)), {k: v for k, v in missing.items() if k not in defined})


def _make(command: str) -> str:
    return f"Run `{command}`, then start spladelake sql again."


def script(session: SparkSession, *, lake: str, model: str = DEFAULT_MODEL, vectors: str | None = None) -> str:
    """Return the definitions as a script for spark-sql or a Thrift server, without functions that need Python."""
    collection = LakeTables(Lake(lake), short_name(vectors or model))
    present = _present(session, collection)
    kept = [definition for definition, lacking in _resolved(session, collection, present, []) if lacking is None]
    head = f"-- Views and functions over {lake}, for spark-sql -i or a Thrift session with Delta Lake.\n\n"
    row_reader = {ROW_READER: "false"} if session.conf.get(ROW_READER, "true") == "false" else {}
    for key, value in {**ANSI, **row_reader}.items():
        head += f"SET {key} = {value};\n\n"
    return head + "\n\n".join(f"{definition.statement};" for definition in kept) + "\n"


def _present(session: SparkSession, collection: LakeTables) -> dict[str, TableRef]:
    """Return the tables that exist, and set the session so that it can read them."""
    present = {name: ref for name, ref in collection.tables.items() if ref.exists(session)}
    for name in SIDES.keys() - present.keys():
        texts = collection.texts(session, cast("SideName", name))
        if not texts.is_own and texts.ref.exists(session):
            present[name] = texts.ref
    for ref in present.values():
        make_readable(session, ref)
    return present


def _resolved(
    session: SparkSession,
    collection: LakeTables,
    present: dict[str, TableRef],
    functions: list[str],
    *,
    model_id: str = "",
    indexed: Indexed | None = None,
) -> Iterator[tuple[Definition, str | None]]:
    """Yield every definition in order, with the first name it needs that is missing, or None.

    - functions: the Python functions that are defined.
    - model_id, indexed: see `definitions`.
    """
    known = {*present, *functions, *(["measure_columns"] if _has_means(present, session) else [])}
    for definition in definitions(session, collection, present, model_id=model_id, indexed=indexed):
        lacking = next((name for name in definition.needs if name not in known), None)
        if lacking is None:
            known.add(definition.name)
        yield definition, lacking


def _runs_here(session: SparkSession) -> bool:
    """Return whether the workers run on this machine, and so see its folders."""
    return (session.conf.get("spark.master", "") or "").startswith("local[")


def _has_means(present: dict[str, TableRef], session: SparkSession) -> bool:
    return "measures" in present and not present["measures"].read(session).where("query_id IS NULL").isEmpty()


def _encoding(
    session: SparkSession,
    present: dict[str, TableRef],
    model: str,
    query_model: str | None,
    missing: dict[str, Undefined],
) -> Checkpoint | None:
    """Return the model that the Python functions run. If it cannot be used, return None and add why to `missing`."""
    try:
        kind = kind_of_model(model)
        if Capability.SQL_FUNCTIONS not in kind.capabilities:
            why = Undefined(
                f"{model} is no SPLADE model",
                "wanted a SPLADE model, because the SQL functions encode texts with it",
                "Start spladelake sql with a SPLADE model as --model, or search outside SQL with "
                f"`spladelake search --model {model}`.",
            )
        elif "document_vectors" not in present:
            why = missing["document_vectors"]
        else:
            vectors = present["document_vectors"]
            properties = table_properties(session, vectors)
            checkpoint = resolve_models(model, query_model_of(query_model, properties, place=str(vectors)))
            found = properties.get("spladelake.model_id")
            if found in (None, checkpoint.model_id):
                return checkpoint
            why = Undefined(
                f"the vectors have the model_id {str(found)[:12]}, whereas {model} with default settings has "
                f"{checkpoint.model_id[:12]}",
                "wanted the same model_id",
                "Start spladelake sql again with a --model and --vectors that belong together.",
            )
    except SpladelakeError as error:
        again = "Then start spladelake sql again."
        why = Undefined(f"{error.place} cannot be used ({error.found})", error.wanted, f"{error.fix} {again}")
    missing.update(dict.fromkeys(PYTHON_FUNCTIONS, why))
    return None


def _text_terms(spec: WorkerSpec):  # type: ignore[no-untyped-def]
    """Return the SQL function text_terms(text): the term ids of a document's tokens, special tokens included."""

    def text_terms(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        for texts in batches:
            encoder = cached_encoder(spec)
            yield pa.array(encoder.token_ids(texts.to_pylist()), pa.list_(pa.int32()))

    return batch_function(text_terms, "array<int>", empty=pa.string())
