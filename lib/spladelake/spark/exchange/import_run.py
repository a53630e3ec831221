"""The import job: rankings that another system made, from its files into `runs`."""

from __future__ import annotations

import logging
import time
from pathlib import PurePosixPath

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.config import ImportRun
from spladelake.errors import DataError, UsageError
from spladelake.files.formats import suffix_of
from spladelake.results import ImportRunResult
from spladelake.spark.evaluate.run_checks import answers
from spladelake.spark.ingest.job import with_lines
from spladelake.spark.ingest.sources import TABLE_PREFIX, Source, places, records, table_ref
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.tables import storage
from spladelake.spark.tables.create import require
from spladelake.spark.tables.lineage import Lineage, is_current
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import RUNS
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)

_KEYS = ("run_id", "query_id", "doc_id")
_PREDICTION = "query_id string, results array<struct<corpus_id: string, score: double>>"
# Runs in one input: each is a commit of its own, so that it can be replaced alone.
MOST_RUNS = 100


def import_run(session: SparkSession, options: ImportRun) -> ImportRunResult:
    """Read run files into `runs`, each run in one commit; a line that is no row, or a repeated document, is refused."""
    location = storage.absolute(options.run) if not options.run.startswith(TABLE_PREFIX) else options.run
    if not location.startswith(TABLE_PREFIX):
        storage.require_input(session, location, option="--run")
    kind, target = _format_of(session, options, location), Lake(options.lake).table("runs")
    made_from = (
        table_ref(location).version(session) if kind == "delta" else storage.input_fingerprint(session, location)
    )
    inputs = {"run": [location, made_from]}
    settings = {"format": kind, "order": options.order}
    started = time.monotonic()
    found = _rows(session, location, kind, options).persist(StorageLevel.DISK_ONLY)
    try:
        _check(session, found, location, kind)
        sizes = {r["run_id"]: r["count"] for r in found.groupBy("run_id").count().limit(MOST_RUNS + 1).collect()}
        if len(sizes) > MOST_RUNS:
            raise DataError(
                location,
                f"it holds more than {MOST_RUNS} runs",
                "the last column of a TREC run is the name of the run, equal in all lines of a run",
                "Give --run-id, or import the files separately.",
            )
        lineages = {run_id: Lineage("import_run", inputs, settings, scope=run_id) for run_id in sorted(sizes)}
        stale = [i for i in lineages if options.force or not is_current(session, target, lineages[i])]
        ranked = _ranked(found, by_rank=options.order == "ranks")
        against = 0 if options.order == "ranks" or not stale else _against_scores(found)
        for run_id in stale:
            describe(session, f"import {run_id}")
            rows = ranked.where(F.col("run_id") == run_id).orderBy("query_id", "rank")
            where = f"run_id = {sql_string(run_id)}"
            replace_rows(session, target, RUNS, rows, lineage=lineages[run_id], where=where)
    finally:
        found.unpersist()
        describe(session)
    result: ImportRunResult = {
        "status": "written" if stale else "skipped",
        "table": str(target),
        "run_ids": sorted(sizes),
    }
    if not stale:
        return result
    if against:
        log.warning(
            "%s: %d ranks contradict the scores. The scores decided; with --order ranks the ranks decide.",
            location,
            against,
        )
    rows_written = sum(sizes[run_id] for run_id in stale)
    seconds = round(time.monotonic() - started, 2)
    return {**result, "rows": rows_written, "ranks_against_scores": against, "seconds": seconds}


def _format_of(session: SparkSession, options: ImportRun, location: str) -> str:
    if options.run_format != "auto":
        return options.run_format
    if location.startswith(TABLE_PREFIX) or storage.exists(session, f"{location}/_delta_log"):
        return "delta"
    return "predictions" if suffix_of(location) in (".jsonl", ".json") else "trec"


def _rows(session: SparkSession, location: str, kind: str, options: ImportRun) -> DataFrame:
    """(file, block, seq, reason, run_id, query_id, doc_id, rank, score): every row of the input, usable or not."""
    source = Source("runs", location, "trec")
    if kind == "trec":
        rows = records(session, source)
        if options.run_id is not None:
            rows = rows.withColumn("run_id", F.lit(options.run_id))
    elif kind == "delta":
        rows = _table_rows(session, table_ref(location), options.run_id)
    else:
        rows = _predictions(session, location, options.run_id or _stem(location))
    return rows.select("file", "block", "seq", "reason", *RUNS.column_names)


def _table_rows(session: SparkSession, ref: TableRef, run_id: str | None) -> DataFrame:
    """Rows of a `runs` table, such as that of another lake, or of one of its runs."""
    rows = require(session, ref, RUNS, made_by="spladelake retrieve_run …")
    if run_id is not None:
        rows = rows.where(F.col("run_id") == run_id)
    missing = F.col("query_id").isNull() | F.col("doc_id").isNull() | F.col("score").isNull() | F.isnan("score")
    reason = F.when(missing, "a row lacks an id or a number as its score")
    return rows.select(
        F.lit(str(ref)).alias("file"), F.lit(0).alias("block"), F.lit(0).alias("seq"), reason.alias("reason"), "*"
    )


def _stem(location: str) -> str:
    name = PurePosixPath(location).name.split(".")[0]
    if not name or "*" in name:
        raise UsageError("--run-id", "it is missing", "predictions do not name their run", "Give the run a name.")
    return name


def _predictions(session: SparkSession, location: str, run_id: str) -> DataFrame:
    """Rows of sentence-transformers' predictions: a line a query, its results in an array."""
    reader = session.read.option("lineSep", "\n").option("recursiveFileLookup", "true")
    lines = reader.text(location).where(F.trim("value") != "")
    parsed = lines.select(
        F.col("_metadata.file_path").alias("file"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("seq"),
        F.from_json("value", _PREDICTION).alias("line"),
    )
    item = F.struct(F.lit(None).cast("string").alias("corpus_id"), F.lit(None).cast("double").alias("score"))
    # A line that holds no results keeps one row, to carry the reason.
    results = F.when(F.col("line.results").isNull(), F.array(item)).otherwise(F.col("line.results"))
    rows = parsed.select("file", "block", "seq", "line.query_id", F.posexplode(results).alias("place", "item"))
    reason = (
        F.when(F.col("query_id").isNull(), "it is not a prediction: no query_id")
        .when(F.col("item.corpus_id").isNull(), "it is not a prediction: results hold no corpus_id")
        .when(F.col("item.score").isNull() | F.isnan("item.score"), "a score is missing or not a number")
    )
    return rows.select(
        "file",
        "block",
        "seq",
        reason.alias("reason"),
        F.lit(run_id).alias("run_id"),
        "query_id",
        F.col("item.corpus_id").alias("doc_id"),
        (F.col("place") + 1).alias("rank"),
        F.col("item.score").alias("score"),
    )


def _check(session: SparkSession, found: DataFrame, location: str, kind: str) -> None:
    """Refuse an input without rows, with a line that is none, or with a document twice in a ranking."""
    rows = found.count()
    if rows == 0:
        raise DataError(location, "it holds no row", "wanted a run", "Check the program that wrote the file.")
    bad = found.where(F.col("reason").isNotNull())
    if not bad.isEmpty():
        raise _faulty(session, bad, location, kind, rows, "every line must be a row", "Correct or remove the lines.")
    if not answers(found, rows=rows, keys=_KEYS[:-1]).where("repeated > 0").isEmpty():
        several = found.groupBy(*_KEYS).agg(
            F.count("*").alias("times"), F.max(F.struct("file", "block", "seq")).alias("at")
        )
        several = several.where("times > 1").select(
            "at.*",
            F.concat(
                F.lit("document "), "doc_id", F.lit(" is listed "), "times", F.lit(" times for query "), "query_id"
            ).alias("reason"),
        )
        if not several.isEmpty():
            wanted, fix = (
                "a run has each document once for a query",
                "Remove the repeated lines, or name --run-id for one run a file.",
            )
            raise _faulty(session, several, location, kind, rows, wanted, fix)


def _faulty(
    session: SparkSession, bad: DataFrame, location: str, kind: str, rows: int, wanted: str, fix: str
) -> DataError:
    count = bad.count()
    first = bad.orderBy("file", "block", "seq").limit(3)
    if kind == "trec":
        first = with_lines(first, places(session, Source("runs", location, "trec")), header_lines=0)
        at = F.concat(F.lit(" line "), F.col("line").cast("string"))
    else:
        at = F.lit("")
    shown = first.select(storage.plain_path(F.col("file")).alias("file"), at.alias("at"), "reason").collect()
    examples = "; ".join(f"{PurePosixPath(r['file']).name}{r['at']}: {r['reason']}" for r in shown)
    return DataError(location, f"{count:,} of {rows:,} rows cannot be used; {examples}", wanted, fix)


def _ranked(found: DataFrame, *, by_rank: bool) -> DataFrame:
    """Rows of `runs`: ranked by score, equal ones by ascending doc_id, as every run of the table is."""
    score = -F.col("rank").cast("double") if by_rank else F.col("score")
    order = Window.partitionBy("run_id", "query_id").orderBy(F.desc("score"), "doc_id")
    rows = found.select("run_id", "query_id", "doc_id", score.alias("score"))
    return rows.withColumn("rank", F.row_number().over(order)).select(*RUNS.column_names)


def _against_scores(found: DataFrame) -> int:
    """Rows that stand below one of a lower score by the ranks of the file."""
    before = Window.partitionBy("run_id", "query_id").orderBy("rank").rowsBetween(Window.unboundedPreceding, -1)
    lowest = found.select("score", F.min("score").over(before).alias("lowest"))
    return lowest.where("score > lowest").count()
