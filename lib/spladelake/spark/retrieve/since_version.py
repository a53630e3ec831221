"""Exact updates of runs: only document vectors that changed since an earlier version are scored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from spladelake.config import Ranking
from spladelake.errors import DataError
from spladelake.names import listed
from spladelake.spark.retrieve.query_rows import QueryBatch
from spladelake.spark.retrieve.request import RetrievalInputs, run_lineage
from spladelake.spark.tables.create import require
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.spark.tables.lineage import newest_lineage
from spladelake.spark.tables.schemas import RUNS
from spladelake.spark.tables.suggestions import made_by

log = logging.getLogger(__name__)

# Vectors that encode_texts wrote are equal if these columns are: the same text, encoded by the same model.
SAME_VECTOR = ("id", "text_sha256", "model_id")


@dataclass(frozen=True)
class Changes:
    """The changes since a version, and the earlier runs.

    - added: document vectors that are new or changed since the version.
    - everything: all current document vectors.
    - previous: (run, query_id, doc_id, rank, score) of the earlier runs.
    - lost: (query_id) of queries with a listed document that was changed or deleted. The document that now follows is
      unknown, so these queries must be ranked among all documents.
    - k: the k of each run, by run number.
    """

    added: DataFrame
    everything: DataFrame
    previous: DataFrame
    lost: DataFrame
    k: list[int]


def changes_since(
    session: SparkSession, inputs: RetrievalInputs, rankings: Mapping[str, Ranking], *, version: int
) -> Changes:
    """Compare the document vectors with an earlier version of their table.

    - inputs: the tables of the retrieval.
    - rankings: settings by run_id.
    - version: the earlier version.

    Raises DataError if the version does not exist, or if a run was not made from it with the same queries and settings.
    """
    if version > inputs.versions["documents"]:
        raise DataError(
            str(inputs.documents),
            f"--since-version is {version}, but the newest version of the table is {inputs.versions['documents']}",
            "wanted a version that exists",
            "Choose a version that DESCRIBE HISTORY of the table lists.",
        )
    _check_previous(session, inputs, rankings, version)
    made = newest_lineage(session, inputs.documents)
    by_text = made is not None and made["job"] == "encode_texts"
    # Vectors of another writer may have no text, or differ for the same text, so the vectors themselves are compared.
    of_vector = (F.lit(0) if by_text else F.xxhash64("indices", "values")).alias("of_vector")
    before = inputs.documents.read(session, version=version).select(*SAME_VECTOR, of_vector).alias("before")
    now = inputs.document_rows.select("*", of_vector).alias("now")
    same = [F.col(f"before.{c}").eqNullSafe(F.col(f"now.{c}")) for c in (*SAME_VECTOR, "of_vector")]
    added = now.join(before, same, "left_anti").drop("of_vector").persist()
    gone = before.join(now.select(*SAME_VECTOR, "of_vector").alias("now"), same, "left_anti").select("id")
    numbers = F.create_map(*[F.lit(x) for pair in zip(rankings, range(len(rankings)), strict=True) for x in pair])
    runs = inputs.lake.table("runs").read(session).where(F.col("run_id").isin(list(rankings)))
    previous = runs.select(numbers[F.col("run_id")].alias("run"), "query_id", "doc_id", "rank", "score").persist()
    lost = previous.join(gone, previous["doc_id"] == gone["id"], "left_semi").select("query_id").distinct()
    log.info("since version %d: %s document vectors are new or changed", version, f"{added.count():,}")
    return Changes(added, inputs.document_rows, previous, lost, [ranking.k for ranking in rankings.values()])


def _check_previous(
    session: SparkSession, inputs: RetrievalInputs, rankings: Mapping[str, Ranking], version: int
) -> None:
    """Raise DataError unless every run was made from this version of the vectors, these queries and these settings."""
    runs = inputs.lake.table("runs")
    require(session, runs, RUNS, made_by=made_by("retrieve_run", inputs.lake, vectors=inputs.model))
    for run_id, ranking in rankings.items():
        found = newest_lineage(session, runs, scope=run_id)
        wanted = run_lineage(inputs, run_id, ranking, documents_version=version)
        if found is None or found["fingerprint"] != wanted.fingerprint:
            difference, fix = _difference(found, wanted.inputs)
            raise DataError(
                str(runs),
                f"run {run_id!r} {difference}",
                f"wanted a run made from version {version} of {inputs.documents} with the queries and options of this "
                "command",
                f"{fix}, or leave out --since-version." if fix else "Leave out --since-version.",
            )


def _difference(found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> tuple[str, str]:
    """Return what differs from the wanted run, and a fix other than to leave out --since-version; "" for none."""
    if found is None:
        return "is missing, or was not made by retrieve_run", ""
    if found["job"] != "retrieve_run":
        return f"was made by {found['job']}", "Set --ranking to a run that retrieve_run made"
    made = found["inputs"]
    if made != wanted:
        tables = (f"version {version} of {table}" for table, version in made.values())
        fix = "Give the vectors, queries and condition that the run was made with"
        if {**made, "documents": wanted["documents"]} == wanted and made["documents"][0] == wanted["documents"][0]:
            fix = f"Set --since-version to {made['documents'][1]}"
        return f"was made from {listed(tables, 'and')}", fix
    said = listed((f"{name} {value}" for name, value in found["settings"].items()), "and")
    return f"was made with {said}", "Give these options"


def merged_with_previous(
    session: SparkSession,
    changes: Changes,
    queries: QueryBatch,
    rank: Callable[[QueryBatch, DataFrame], DataFrame],
) -> DataFrame:
    """Return (run, query_id, doc_id, rank, score), equal to a full retrieval from the current vectors.

    The best documents of a query are among its earlier best and the added ones, unless an earlier one was changed or
    deleted. The table holds scores as doubles. If an earlier and an added document have equal doubles, their exact
    scores may still differ, so the query is ranked again among all documents.

    - changes: the changes since the earlier version.
    - queries: all queries.
    - rank: a function that ranks queries among documents.
    """
    found = rank(queries, changes.added).persist()
    tied = (
        changes.previous.join(found.select("run", "query_id", "score").distinct(), ["run", "query_id", "score"])
        .select("query_id")
        .distinct()
    )
    again = {row["query_id"] for row in changes.lost.union(tied).distinct().collect()}
    log.info(
        "%s of %s queries are ranked again among all documents, because earlier results changed or scores tie",
        f"{len(again):,}",
        f"{len(queries.ids):,}",
    )
    rows = np.array([row for row, query_id in enumerate(queries.ids) if query_id in again], dtype=np.int64)
    merged = _best(changes, changes.previous.unionByName(found))
    if not len(rows):
        return merged
    names = frame_of(session, [{"query_id": query_id} for query_id in sorted(again)], "query_id string")
    kept = merged.join(F.broadcast(names), "query_id", "left_anti").select(merged.columns)
    return kept.unionByName(rank(queries.take(rows), changes.everything))


def _best(changes: Changes, rows: DataFrame) -> DataFrame:
    # Documents with equal doubles are all earlier or all added, so their ranks already follow the exact scores.
    order = Window.partitionBy("run", "query_id").orderBy(F.desc("score"), F.asc("rank"))
    k = F.create_map(*[F.lit(x) for pair in enumerate(changes.k) for x in pair])[F.col("run")]
    ranked = rows.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= k)
    return ranked.select("run", "query_id", "doc_id", "rank", "score")
