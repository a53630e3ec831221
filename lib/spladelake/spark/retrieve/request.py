"""The tables that a retrieval reads, each at one version, and the lineage of the runs that it writes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import Ranking, RetrieveRun
from spladelake.spark.encode.text_tables import TextTable, required_texts
from spladelake.spark.retrieve.query_rows import QueryBatch, query_batch
from spladelake.spark.retrieve.vector_checks import (
    Survey,
    check_rows,
    check_same_model,
    surveyed,
    surveyed_table,
    vocabulary_size,
)
from spladelake.spark.retrieve.vector_rows import VECTOR_COLUMNS
from spladelake.spark.tables.create import require
from spladelake.spark.tables.driver_rows import collected
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import VECTORS
from spladelake.spark.tables.suggestions import encoded_by

# The driver ranks up to this many bytes of files, about 20,000 documents, and up to this many rows of rankings. For
# less, starting tasks takes longer than ranking (tests/bench/bench_small.py).
DRIVER_BYTES, DRIVER_ROWS = 16 * 2**20, 1_000_000


@dataclass(frozen=True)
class RetrievalInputs:
    """The tables of a retrieval, each at one version.

    - documents, queries: the tables of vectors.
    - versions: version by name; "texts" is the table of the documents' texts, if a condition needs it.
    - texts: this table; None if no condition needs it.
    - document_rows, query_rows: the vectors.
    - survey: the summary of the document vectors.
    - asked: all queries.
    - vocabulary_size: dimensions of the vectors.
    - documents_here: (id, indices, values, model_id) of all documents if the driver ranks them, else None.
    """

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
    documents_here: pa.Table | None
    texts: TextTable | None = None

    def text_rows(self, session: SparkSession) -> tuple[TextTable, DataFrame] | None:
        """Return the table of the documents' texts and its rows; None if no condition needs it."""
        if self.texts is None:
            return None
        return self.texts, self.texts.ref.read(session, version=self.versions["texts"])

    @property
    def passages(self) -> bool:
        """Whether the vectors are of passages."""
        return "passage" in self.document_rows.columns


def inputs_of(session: SparkSession, lake: Lake, model: str, options: RetrieveRun) -> RetrievalInputs:
    """Check the tables of a retrieval and return them, each at its newest version.

    Raises DataError if a table is missing or holds bad vectors, or if queries and documents have different models.
    """
    documents, queries = lake.vectors(model, "documents"), lake.vectors(model, "queries")
    made_by = encoded_by(lake, model=options.model, vectors=options.vectors)
    for ref in (documents, queries):
        require(session, ref, VECTORS, made_by=made_by)
    versions = {"documents": documents.version(session), "queries": queries.version(session)}
    texts = None
    if any(ranking.where for ranking in options.rankings(model).values()):
        texts = required_texts(session, lake, documents)
        versions["texts"] = texts.ref.version(session)
    # In blocks, a retrieval may sample data files.
    read_documents = documents.read if options.strategy in ("auto", "driver") else documents.scan
    document_rows = read_documents(session, version=versions["documents"])
    query_rows = queries.scan(session, version=versions["queries"])  # only some ways of ranking read them
    # The driver reads all queries. They are few and small: 55,578 queries of MS MARCO take 10 MB.
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
    return RetrievalInputs(
        lake, model, documents, queries, versions, document_rows, query_rows, survey, batch, size, here, texts
    )


def _documents_here(
    session: SparkSession, ref: TableRef, columns: list[str], version: int, options: RetrieveRun, *, queries: int
) -> pa.Table | None:
    """Read the document vectors into the driver if the strategy says so or the data are small; else return None."""
    if options.strategy == "driver":
        return collected(session, ref, columns, version=version, most_bytes=sys.maxsize)
    rows = queries * sum(ranking.k for ranking in options.rankings("").values())
    if options.strategy != "auto" or options.since_version is not None or rows > DRIVER_ROWS:
        return None
    return collected(session, ref, columns, version=version, most_bytes=DRIVER_BYTES)


def run_lineage(
    inputs: RetrievalInputs, run_id: str, ranking: Ranking, *, documents_version: int | None = None
) -> Lineage:
    """Return the lineage of a run. The strategy is no part of it, because it does not change a row.

    - documents_version: version of the document vectors, None for the version in `inputs`.
    """
    version = inputs.versions["documents"] if documents_version is None else documents_version
    tables: dict[str, Any] = {
        "documents": [str(inputs.documents), version],
        "queries": [str(inputs.queries), inputs.versions["queries"]],
    }
    if ranking.where is not None:
        assert inputs.texts is not None
        tables["texts"] = [str(inputs.texts.ref), inputs.versions["texts"]]
    settings = {k: v for k, v in ranking.model_dump().items() if k == "k" or v != Ranking.model_fields[k].default}
    return Lineage("retrieve_run", tables, settings, scope=run_id)


def rows_of_runs(session: SparkSession, target: TableRef, run_ids: list[str]) -> dict[str, tuple[int, int]]:
    """Return, for each written run, the numbers of rows and of queries with a row."""
    rows = (
        target.read(session)
        .where(F.col("run_id").isin(run_ids))
        .groupBy("run_id")
        .agg(F.count("*").alias("rows"), F.count_distinct("query_id").alias("found"))
        .collect()
    )
    return {row["run_id"]: (int(row["rows"]), int(row["found"])) for row in rows}


def counts_of_runs(found: Mapping[str, tuple[int, int]], run_ids: list[str], *, queries: int) -> dict[str, Any]:
    """Return the numbers of rows, queries and queries without a hit; for each run by name if there are several."""
    counts = {}
    for run_id in run_ids:
        rows, answered = found.get(run_id, (0, 0))
        counts[run_id] = {"rows": rows, "queries": queries, "queries_without_hit": queries - answered}
    first = counts[run_ids[0]]
    return first if len(run_ids) == 1 else {**first, "runs": counts}
