"""The tables that a retrieval reads, each at one version, and the lineage of its runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from spladelake.config import Ranking, RetrieveRun
from spladelake.spark.retrieve.blocks import (
    QueryBatch,
)
from spladelake.spark.retrieve.vector_checks import (
    Survey,
    check_rows,
    check_same_model,
    surveyed,
    surveyed_table,
    vocabulary_size,
)
from spladelake.spark.retrieve.worker import VECTOR_COLUMNS, vectors_of
from spladelake.spark.tables.create import require
from spladelake.spark.tables.driver_rows import collected
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, VECTORS

# What the driver ranks itself: so many bytes of files, some 20,000 documents, and so many rows of rankings. On less
# than that, starting tasks takes longer than ranking (tests/bench/bench_small.py).
DRIVER_BYTES, DRIVER_ROWS = 16 * 2**20, 1_000_000


@dataclass(frozen=True)
class Inputs:
    """The tables of a retrieval, each at one version."""

    lake: Lake
    model: str
    documents: TableRef
    queries: TableRef
    versions: Mapping[str, int]
    document_rows: DataFrame
    query_rows: DataFrame
    survey: Survey
    asked: QueryBatch
    vocabulary_size: int
    # (id, indices, values, model_id) of all documents, if the driver ranks them.
    documents_here: pa.Table | None


def inputs_of(session: SparkSession, lake: Lake, model: str, options: RetrieveRun) -> Inputs:
    """The tables of a retrieval, checked and each at its newest version.

    Raises DataError if a table is missing, holds bad vectors, or was made by another model than the other side.
    """
    documents, queries = lake.vectors(model, "documents"), lake.vectors(model, "queries")
    made_by = f"spladelake encode_texts --lake {lake.root} --model {options.model}"
    for ref in (documents, queries):
        require(session, ref, VECTORS, made_by=made_by)
    versions = {"documents": documents.version(session), "queries": queries.version(session)}
    if any(ranking.where for ranking in options.rankings(model).values()):
        texts = lake.table("documents")
        require(session, texts, DOCUMENTS, made_by=f"spladelake ingest_texts --lake {lake.root} …")
        versions["texts"] = texts.version(session)
    document_rows = documents.read(session, version=versions["documents"])
    query_rows = queries.read(session, version=versions["queries"])
    # All queries come to the driver. They are few and small beside documents: 55,578 of MS MARCO take 10 MB.
    columns = [*VECTOR_COLUMNS.names, "model_id"]
    table = collected(session, queries, columns, version=versions["queries"], most_bytes=sys.maxsize)
    assert table is not None
    asked = surveyed_table(table)
    here = _documents_here(session, documents, columns, versions["documents"], options, queries=asked.rows)
    survey = surveyed(document_rows) if here is None else surveyed_table(here)
    check_same_model((documents, survey), (queries, asked))
    size = vocabulary_size(session, documents, queries)
    check_rows(session, queries, query_rows, asked, size=size)
    batch = query_batch(table, str(queries), size)
    return Inputs(lake, model, documents, queries, versions, document_rows, query_rows, survey, batch, size, here)


def _documents_here(
    session: SparkSession, ref: TableRef, columns: list[str], version: int, options: RetrieveRun, *, queries: int
) -> pa.Table | None:
    """The document vectors in the driver, if it shall rank them: if asked to, or if they and the rankings are few."""
    if options.strategy == "driver":
        return collected(session, ref, columns, version=version, most_bytes=sys.maxsize)
    rows = queries * sum(ranking.k for ranking in options.rankings("").values())
    if options.strategy != "auto" or options.since_version is not None or rows > DRIVER_ROWS:
        return None
    return collected(session, ref, columns, version=version, most_bytes=DRIVER_BYTES)


def run_lineage(inputs: Inputs, run_id: str, ranking: Ranking, *, documents_version: int | None = None) -> Lineage:
    """What a run is made from; how it is computed is no part of it, since it does not change a row."""
    version = inputs.versions["documents"] if documents_version is None else documents_version
    tables: dict[str, Any] = {
        "documents": [str(inputs.documents), version],
        "queries": [str(inputs.queries), inputs.versions["queries"]],
    }
    if ranking.where is not None:
        tables["texts"] = [str(inputs.lake.table("documents")), inputs.versions["texts"]]
    settings = {k: v for k, v in ranking.model_dump().items() if k == "k" or v != Ranking.model_fields[k].default}
    return Lineage("retrieve_run", tables, settings, scope=run_id)


def collected_queries(rows: DataFrame, place: str, vocabulary_size: int) -> QueryBatch:
    """All queries of (id, indices, values) rows on the driver, by id."""
    return query_batch(rows.select(*VECTOR_COLUMNS.names).toArrow(), place, vocabulary_size)


def query_batch(table: pa.Table, place: str, vocabulary_size: int) -> QueryBatch:
    """The queries of a table that is here, by id."""
    batches = table.select(VECTOR_COLUMNS.names).sort_by("id").combine_chunks().to_batches()
    batch = batches[0].cast(VECTOR_COLUMNS) if batches else pa.RecordBatch.from_pylist([], schema=VECTOR_COLUMNS)
    vectors, ids = vectors_of(batch, place=place, vocabulary_size=vocabulary_size)
    return QueryBatch(ids.to_strings(), vectors, vocabulary_size)
