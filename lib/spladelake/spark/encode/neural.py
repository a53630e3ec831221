"""A neural model in the encode job: each Python worker loads the model once and encodes texts with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pyspark.sql import DataFrame, SparkSession

from spladelake.config import EncodeTexts
from spladelake.encoder import EncoderSettings
from spladelake.encoder.layout import read_layout
from spladelake.encoder.passages import Splitter
from spladelake.encoder.tokens import vocabulary_tokens
from spladelake.errors import UsageError
from spladelake.names import short_name
from spladelake.results import EncodeResult
from spladelake.spark.encode.dry_run import forecast_encode
from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.passages.changes import chosen_settings, passages_of
from spladelake.spark.encode.passages.documents import documents_of
from spladelake.spark.encode.query_models import (
    PROPERTY,
    QueryModel,
    is_same_model,
    noted_query_model,
    resolve_models,
)
from spladelake.spark.encode.side import SideJob
from spladelake.spark.encode.text_tables import sides_of, text_table
from spladelake.spark.encode.texts import SIDES, limited
from spladelake.spark.encode.update import update_vectors
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.tables.locks import alongside, exclusive, retrying
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.vocabulary import token_rows, write_vocabulary


def encode_neural(session: SparkSession, options: EncodeTexts) -> EncodeResult:
    """Encode the lake's documents, queries or both. Texts keep their vectors if text and model are unchanged."""
    settings = EncoderSettings(
        max_length=options.max_length,
        max_active_dims=options.max_active_dims,
        minimum_weight=options.minimum_weight,
        split_special_tokens=options.split_special_tokens,
    )
    lake = Lake(options.lake)
    name = short_name(options.vectors or options.model)
    query_model = noted_query_model(session, lake, name, options.model)
    if options.query_model is not None:
        query_model = QueryModel(options.query_model)
    checkpoint = resolve_models(options.model, query_model, settings=settings, sha256=options.model_sha256)
    passages = chosen_settings(session, lake, name, options)
    if passages is not None:
        Splitter.load(checkpoint.for_kind("document"), passages, verify=False)  # refuses passages that do not fit
    tables = {side: text_table(session, lake, side, options) for side in sides_of(session, lake, options)}
    result: dict[str, Any] = {"model": checkpoint.name, "model_id": checkpoint.model_id}
    if checkpoint.query_model is not None:
        result["query_model"] = checkpoint.query_model
    for side, table in tables.items():
        split = passages if side == "documents" else None
        job = SideJob(session, lake, SIDES[side], checkpoint, options, name, table, passages=split)
        result[side] = _encode_side(job)
    statuses = {result[side]["status"] for side in tables}
    result["status"] = statuses.pop() if len(statuses) == 1 else "written"
    return cast("EncodeResult", result)


def _encode_side(job: SideJob) -> dict[str, Any]:
    if job.options.dry_run:
        return _forecast(job)
    properties = table_properties(job.session, job.target) if job.target.exists(job.session) else {}
    _check_same_name(job, properties)
    job = replace(job, had=frozenset(properties))
    with alongside(lambda: _write_vocabulary(job)) as written, exclusive(str(job.target), "encode"):
        return retrying(lambda: update_vectors(job, ready=written), place=str(job.target))


def _forecast(job: SideJob) -> dict[str, Any]:
    spec, rows = WorkerSpec(job.model, job.options.token_budget), job.table.read(job.session)
    with ExitStack() as until:
        if job.passages is None:
            texts = limited(job.table.texts(rows), job.options.max_text_bytes)
        else:
            documents = limited(documents_of(job.table.parts(rows)), job.options.max_text_bytes)
            texts = kept_on_disk(passages_of(job, documents), until)
        found = forecast_encode(job.session, texts.where("reason IS NULL"), spec=spec, kind=job.side.kind)
        if job.passages is not None:
            found |= {"documents": rows.count(), "passages": str(job.passages)}
        return found


def _check_same_name(job: SideJob, properties: Mapping[str, str]) -> None:
    """Raise UsageError if the table holds compacted vectors, or vectors of another model with the same short name.

    - properties: of the table; empty if there is none.
    """
    if "spladelake.compaction" in properties:
        raise UsageError(
            str(job.target),
            "the table holds compacted vectors",
            "wanted a table that holds only vectors from encode_texts",
            "Run encode_texts with --vectors set to the name of the original vectors, then compact_vectors again.",
        )
    if job.options.vectors is not None:
        return
    wanted = job.checkpoint.name
    found = properties.get("spladelake.model", wanted)
    if not is_same_model(found, wanted):
        raise UsageError(
            str(job.target),
            f"the table holds vectors of {found}",
            f"wanted vectors of {wanted}, which has the same short name",
            "Give the new vectors a name of their own with --vectors.",
        )
    asked, held = job.checkpoint.query_model or wanted, properties.get(PROPERTY) or found
    if properties and not is_same_model(asked, held):
        raise UsageError(
            str(job.target),
            f"the vectors under this name go with queries encoded by {held}",
            f"wanted vectors that go with queries encoded by {asked}",
            "Choose another name with --vectors, or correct --query-model.",
        )


def _write_vocabulary(job: SideJob) -> None:
    """Write the model's vocabulary beside the vectors, unless it is there already."""
    checkpoint, target = job.checkpoint, job.lake.vectors(job.name, "vocabulary")

    def rows() -> DataFrame:
        folder = Path(checkpoint.folder)
        tokens = vocabulary_tokens(folder / read_layout(folder).transformer, checkpoint.vocabulary_size)
        return token_rows(job.session, tokens)

    with exclusive(str(target), "encode"):
        properties = {"model": checkpoint.name, "model_id": checkpoint.model_id}
        write_vocabulary(job.session, target, rows, properties)
