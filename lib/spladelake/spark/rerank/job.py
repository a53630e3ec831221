"""The re-ranking job: the top of a run scored anew by a cross-encoder, one model in every Python worker."""

from __future__ import annotations

import logging
import time
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.config.rerank import RerankRun
from spladelake.errors import DataError
from spladelake.reranker import resolve_cross_encoder
from spladelake.spark.encode.texts import ROWS_PER_BATCH, SIDES, task_count, texts_of
from spladelake.spark.rerank.fuse import check_runs
from spladelake.spark.rerank.worker import RerankerSpec, ScorePairs
from spladelake.spark.session.progress import progress
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.create import require
from spladelake.spark.tables.lineage import Lineage, is_current
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, QUERIES, RUNS
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)

SCORED = "query_id string, doc_id string, score double"


def rerank_run(session: SparkSession, options: RerankRun) -> dict[str, Any]:
    """Score the top of a run of the lake with a cross-encoder, and write the new order as a run of its own."""
    lake = Lake(options.lake)
    tables = {name: lake.table(name) for name in ("documents", "queries", "runs")}
    made_by = f"spladelake ingest_texts --lake {lake.root} …"
    for name, schema in (("documents", DOCUMENTS), ("queries", QUERIES), ("runs", RUNS)):
        require(session, tables[name], schema, made_by=made_by if name != "runs" else "spladelake retrieve_run")
    checkpoint = resolve_cross_encoder(options.cross_encoder, max_length=options.max_length)
    versions = {name: ref.version(session) for name, ref in tables.items()}
    at = {name: ref.read(session, version=versions[name]) for name, ref in tables.items()}
    run = at["runs"].where(F.col("run_id") == options.run)
    lineage = Lineage(
        "rerank_run",
        {
            "run": check_runs(run, [options.run], table=tables["runs"]),
            **{f"{name}_texts": [str(tables[name]), versions[name]] for name in ("documents", "queries")},
        },
        {"model_id": checkpoint.model_id, "depth": options.depth, "rest": options.rest},
        scope=options.target,
    )
    result: dict[str, Any] = {
        "run_id": options.target, "run": options.run, "model": checkpoint.name, "model_id": checkpoint.model_id,
        "table": str(tables["runs"]),
    }  # fmt: skip
    if not options.force and is_current(session, tables["runs"], lineage):
        log.info("%s: run %s skipped, it is current", tables["runs"], options.target)
        return {**result, "status": "skipped"}
    spec = RerankerSpec(checkpoint, options.token_budget)
    return {**result, **_write(session, run, at, tables, lineage, options, spec)}


def _write(
    session: SparkSession,
    run: DataFrame,
    at: dict[str, DataFrame],
    tables: dict[str, TableRef],
    lineage: Lineage,
    options: RerankRun,
    spec: RerankerSpec,
) -> dict[str, Any]:
    """Score and write; returns what happened."""
    started = time.monotonic()
    pairs = run_pairs(run.where(F.col("rank") <= options.depth), at["queries"], at["documents"])
    pairs = pairs.persist(StorageLevel.DISK_ONLY)
    try:
        count = check_texts(pairs, tables, what="runs")
        tasks = task_count(count, slots=session.sparkContext.defaultParallelism, rows_per_task=options.rows_per_task)
        totals = session.sparkContext.accumulator({}, Totals())
        session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(ROWS_PER_BATCH))
        describe(session, f"re-rank {options.run} with {spec.checkpoint.name}")
        # Kept, as the ranking below reads the scores twice and the model must not run again for it.
        scored = scored_pairs(pairs, ScorePairs(spec, totals), tasks=tasks).persist(StorageLevel.DISK_ONLY)
        with progress(f"re-rank {options.run}", total=count, done=lambda: totals.value.get("pairs", 0)):
            scored.count()
        ranked = reranked(run, scored, depth=options.depth, keep=options.rest == "keep")
        rows = ranked.withColumn("run_id", F.lit(options.target)).orderBy("query_id", "rank")
        where = f"run_id = {sql_string(options.target)}"
        replace_rows(session, tables["runs"], RUNS, rows, lineage=lineage, where=where)
        scored.unpersist()
    finally:
        pairs.unpersist()
        describe(session)
    seconds = time.monotonic() - started
    done = dict(totals.value)
    return {
        "status": "written",
        "rows": tables["runs"].read(session).where(F.col("run_id") == options.target).count(),
        "pairs": count,
        "distinct_pairs": int(done.get("pairs", 0)),
        "seconds": round(seconds, 2),
        "pairs_per_second": round(count / seconds, 1),
        "tokens": int(done.get("tokens", 0)),
        "padding_waste": round(1 - done["tokens"] / done["padded_tokens"], 4) if done.get("padded_tokens") else 0.0,
        "model_loads": int(done.get("model_loads", 0)),
    }


def run_pairs(run: DataFrame, queries: DataFrame, documents: DataFrame) -> DataFrame:
    """(query_id, doc_id, query, document, pair, known) for every row of a run, its texts joined by id.

    pair: hash of both texts. known: whether both ids are in the tables; texts can be null where they are.
    """
    asked = texts_of(queries, SIDES["queries"]).select(
        F.col("id").alias("query_id"), F.col("text").alias("query"), F.col("text_sha256").alias("query_hash")
    )
    found = texts_of(documents, SIDES["documents"]).select(
        F.col("id").alias("doc_id"), F.col("text").alias("document"), F.col("text_sha256").alias("document_hash")
    )
    there = F.lit(True)
    joined = run.select("query_id", "doc_id").join(asked.withColumn("asked", there), "query_id", "left")
    joined = joined.join(found.withColumn("found", there), "doc_id", "left")
    hashes = (F.coalesce(name, F.lit("")) for name in ("query_hash", "document_hash"))
    known = F.col("asked").isNotNull() & F.col("found").isNotNull()
    return joined.select(
        "query_id", "doc_id", "query", "document", F.concat_ws(" ", *hashes).alias("pair"), known.alias("known")
    )


def scored_pairs(pairs: DataFrame, function: ScorePairs, *, tasks: int) -> DataFrame:
    """(query_id, doc_id, score) of `run_pairs` rows: equal pairs in one task, side by side."""
    spread = pairs.drop("known").repartition(tasks, "pair").sortWithinPartitions("pair")
    return spread.mapInArrow(function, SCORED)


def reranked(run: DataFrame, scored: DataFrame, *, depth: int, keep: bool) -> DataFrame:
    """(query_id, doc_id, rank, score): the scored documents in their new order, then, if kept, the rest in its own.

    Order of the scored is total: score descending, then doc_id ascending. A document of the rest has the lowest new
    score of its query minus its distance in ranks from depth, so that sorting by score gives the same order.
    """
    order = Window.partitionBy("query_id").orderBy(F.desc("score"), F.asc("doc_id"))
    top = scored.select("query_id", "doc_id", F.row_number().over(order).alias("rank"), "score")
    if not keep:
        return top
    lowest = scored.groupBy("query_id").agg(F.min("score").alias("lowest"))
    rest = run.where(F.col("rank") > depth).join(lowest, "query_id")
    score = (F.col("lowest") - (F.col("rank") - depth)).alias("score")
    return top.unionByName(rest.select("query_id", "doc_id", "rank", score))


def check_texts(pairs: DataFrame, tables: dict[str, TableRef], *, what: str) -> int:
    """Number of pairs; raises DataError unless the texts of all of them are there. what: the table that names them."""
    absent = ~F.col("known")
    place = F.min(F.when(absent, F.struct("query_id", "doc_id"))).alias("first")
    row = pairs.agg(F.count("*").alias("rows"), F.count_if(absent).alias("absent"), place).first()
    assert row is not None
    if row["absent"]:
        query_id, doc_id = row["first"]
        raise DataError(
            str(tables[what]),
            f"{row['absent']:,} of {row['rows']:,} pairs name a query or document without a text, "
            f"such as query {query_id!r} with document {doc_id!r}",
            f"wanted all of them in {tables['queries']} and {tables['documents']}",
            f"Ingest the missing texts, or use {what} over these tables.",
        )
    return int(row["rows"])
