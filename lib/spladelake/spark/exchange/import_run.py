"""The import job: it reads the rankings of another system into `runs`."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from pathlib import PurePosixPath

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.config import ImportRun
from spladelake.errors import DataError
from spladelake.names import amount
from spladelake.results import ImportRunResult
from spladelake.spark.evaluate.run_checks import answers
from spladelake.spark.exchange.run_files import run_format, run_rows
from spladelake.spark.ingest.columns import exact_names
from spladelake.spark.ingest.job import with_lines
from spladelake.spark.ingest.source import TABLE_PREFIX, Source, table_ref
from spladelake.spark.ingest.sources import places
from spladelake.spark.session.file_uris import plain_path
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.tables import storage
from spladelake.spark.tables.lineage import Lineage, is_current
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import RUNS
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)

_AGAINST = "rank in the input contradicts its score", "ranks in the input contradict their scores"
_KEYS = ("run_id", "query_id", "doc_id")
# Unusable rows that a message shows.
_SHOWN = 3
# Most runs in one input. Each run is a separate commit, so it can be replaced alone.
MOST_RUNS = 100


def import_run(session: SparkSession, options: ImportRun) -> ImportRunResult:
    """Read run files into `runs`, each run in one commit.

    Raises DataError for unusable lines and repeated documents.
    """
    location = storage.absolute(options.run) if not options.run.startswith(TABLE_PREFIX) else options.run
    if not location.startswith(TABLE_PREFIX):
        storage.require_input(session, location, option="--run")
    kind, target = run_format(session, options, location), Lake(options.lake).table("runs")
    made_from = (
        table_ref(location).version(session) if kind == "delta" else storage.input_fingerprint(session, location)
    )
    inputs = {"run": [location, made_from]}
    settings = {"format": kind, "order": options.order}
    started = time.monotonic()
    with exact_names(session) if kind == "parquet" else nullcontext():
        run = run_rows(session, location, kind, options)
        found = run.frame.persist(StorageLevel.DISK_ONLY)
    try:
        with exact_names(session) if kind == "parquet" else nullcontext():
            rows = found.count()
        if rows == 0:
            raise _empty(location, kind, options)
        _check(session, found, rows, location, run.lines)
        sizes = {r["run_id"]: r["count"] for r in found.groupBy("run_id").count().limit(MOST_RUNS + 1).collect()}
        if len(sizes) > MOST_RUNS:
            raise _too_many_runs(location, kind)
        lineages = {run_id: Lineage("import_run", inputs, settings, scope=run_id) for run_id in sorted(sizes)}
        stale = [i for i in lineages if options.force or not is_current(session, target, lineages[i])]
        ranked = _ranked(found)
        against = 0 if run.by_rank or not stale else _against_scores(found)
        for run_id in stale:
            describe(session, f"import {run_id}")
            selected = ranked.where(F.col("run_id") == run_id).orderBy("query_id", "rank")
            where = f"run_id = {sql_string(run_id)}"
            replace_rows(session, target, RUNS, selected, lineage=lineages[run_id], where=where)
    finally:
        found.unpersist()
        describe(session)
    result: ImportRunResult = {
        "status": "written" if stale else "skipped",
        "table": str(target),
        "run_ids": sorted(sizes),
    }
    if run.read_as is not None:
        result["read_as"] = run.read_as
    if not stale:
        return result
    if run.read_as is not None:
        log.info("%s: the input was read as follows: %s", location, run.read_as)
    if against:
        fix = "so the job ranked by score (add --order ranks to keep the ranks)"
        log.warning("%s: %s, %s", location, amount(against, *_AGAINST), fix)
    rows_written = sum(sizes[run_id] for run_id in stale)
    seconds = round(time.monotonic() - started, 2)
    return {**result, "rows": rows_written, "ranks_against_scores": against, "seconds": seconds}


def _empty(location: str, kind: str, options: ImportRun) -> DataError:
    """Return the error for an input without rows. kind: its format."""
    if kind == "delta" and options.ranking_name is not None:
        found = f"the table has no row of the run {options.ranking_name!r}"
        return DataError(location, found, "wanted at least one row of this run", "Correct --ranking or --run.")
    fix = "Correct --run, or check the program that wrote the input."
    return DataError(location, "the input has no rows", "wanted at least one row of a run", fix)


def _too_many_runs(location: str, kind: str) -> DataError:
    """Return the error for an input with more than MOST_RUNS names of runs. kind: its format."""
    fix = "If all rows belong to one run, set --ranking to its name. If not, split the input into several files."
    if kind == "delta":
        fix = "Set --ranking to the name of one run, and import the other runs in the same way."
    found = f"the input has more than {MOST_RUNS} different run names"
    return DataError(location, found, f"wanted at most {MOST_RUNS} runs in one input", fix)


def _check(session: SparkSession, found: DataFrame, rows: int, location: str, lines: Source | None) -> None:
    """Raise DataError if an input has an unusable line, or a document twice in a ranking."""
    bad = found.where(F.col("reason").isNotNull())
    if not bad.isEmpty():
        unusable = bad.count()
        more = " | …" if unusable > _SHOWN else ""
        raise DataError(
            location,
            f"{unusable:,} of {rows:,} rows cannot be used",
            "wanted only usable rows",
            f"Correct or remove these rows: {_examples(session, bad, lines)}{more}",
        )
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
            repeated = f"a query lists the same document more than once ({amount(several.count(), 'case')})"
            raise DataError(
                location,
                f"{repeated}, such as {_examples(session, several, lines)}",
                "wanted each document at most once for a query",
                "Remove the repeated rows. If the input has several files, and each is a run of its own, import each "
                "file with its own --ranking.",
            )


def _examples(session: SparkSession, bad: DataFrame, lines: Source | None) -> str:
    """Return the places and reasons of the first rows. If no line is known, the ids of a row tell its place."""
    first = bad.orderBy("file", "block", "seq").limit(_SHOWN)
    if lines is not None:
        first = with_lines(first, places(session, lines), header_lines=0)
        at = F.concat(F.lit(" line "), F.col("line").cast("string"))
    elif {"query_id", "doc_id"} <= {*first.columns}:
        at = F.concat(
            *(
                F.coalesce(F.concat(F.lit(f", {name} '"), F.col(name), F.lit("'")), F.lit(""))
                for name in ("query_id", "doc_id")
            )
        )
    else:
        at = F.lit("")
    shown = first.select(plain_path(F.col("file")).alias("file"), at.alias("at"), "reason").collect()
    return " | ".join(f"{PurePosixPath(r['file']).name}{r['at']}: {r['reason']}" for r in shown)


def _ranked(found: DataFrame) -> DataFrame:
    """Return rows of `runs`, ranked by score and, for equal scores, by ascending doc_id."""
    order = Window.partitionBy("run_id", "query_id").orderBy(F.desc("score"), "doc_id")
    rows = found.select("run_id", "query_id", "doc_id", "score")
    return rows.withColumn("rank", F.row_number().over(order)).select(*RUNS.column_names)


def _against_scores(found: DataFrame) -> int:
    """Return the number of rows that the file ranks below a row with a lower score."""
    before = Window.partitionBy("run_id", "query_id").orderBy("rank").rowsBetween(Window.unboundedPreceding, -1)
    ranked = found.where(F.col("rank").isNotNull())
    lowest = ranked.select("score", F.min("score").over(before).alias("lowest"))
    return lowest.where("score > lowest").count()
