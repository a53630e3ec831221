"""The export jobs of runs, judgements and measures: each writes one file for another tool."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spladelake.config import ExportMeasures, ExportRun
from spladelake.errors import DataError
from spladelake.files import write_judgements, write_run
from spladelake.files.results import evaluator_csv, model_card_block, write_trec_eval
from spladelake.files.trec import write_lines
from spladelake.measures.notes import COUNTS
from spladelake.results import ExportMeasuresResult, ExportRunResult
from spladelake.spark.tables import storage
from spladelake.spark.tables.create import require
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import JUDGEMENTS, MEASURES, QUERIES, RUNS
from spladelake.spark.tables.suggestions import made_by, missing_run


def export_run(session: SparkSession, options: ExportRun) -> ExportRunResult:
    """Write a run, the judgements, or both. The driver holds one partition of the rows at a time."""
    lake, result = Lake(options.lake), {}
    if options.output is not None:
        ref = lake.table("runs")
        rows = require(session, ref, RUNS, made_by=made_by("retrieve_run", lake, ranking=options.ranking_name))
        run = _of_run(rows, options.ranking_name or "", ref)
        write = _trec_run if options.output_format == "trec" else _predictions(session, lake)
        result["run"] = _written(session, options.output, lambda path: write(path, run))
    if options.judgements is not None:
        maker = made_by("ingest_texts", lake, judgements="FILE")
        judged = require(session, lake.table("judgements"), JUDGEMENTS, made_by=maker)
        result["judgements"] = _written(session, options.judgements, lambda path: _trec_judgements(path, judged))
    return cast("ExportRunResult", {"status": "written", **result})


def export_measures(session: SparkSession, options: ExportMeasures) -> ExportMeasuresResult:
    """Write the measures of one run in the format of another tool."""
    ref, run_id = Lake(options.lake).table("measures"), options.ranking_name or ""
    maker = made_by("evaluate_run", Lake(options.lake), ranking=run_id)
    rows = _of_run(require(session, ref, MEASURES, made_by=maker), run_id, ref)
    means = {
        row["measure"]: row["value"]
        for row in rows.where("query_id IS NULL").collect()
        if row["measure"] not in COUNTS and row["value"] is not None
    }
    if options.output_format == "trec_eval":
        values = rows.where("query_id IS NOT NULL").orderBy("query_id", "measure")
        table = _written(session, options.output, lambda path: _trec_eval(path, values, means))
    else:
        if options.output_format == "csv":
            text = evaluator_csv(means, place=f"{ref}, run {run_id!r}")
        else:
            text = model_card_block(means, model=options.model_name or run_id, dataset=options.dataset)
        table = _written(
            session, options.output, lambda path: write_lines(path, [text], lambda row, _: row) * len(means)
        )
    return cast("ExportMeasuresResult", {"status": "written", "run_id": run_id, **table})


def _of_run(rows: DataFrame, run_id: str, ref: TableRef) -> DataFrame:
    found = rows.where(F.col("run_id") == run_id)
    if found.isEmpty():
        raise missing_run(rows.sparkSession, ref, run_id, fix="Correct --ranking.")
    return found


def _written(session: SparkSession, output: str, write: Callable[[Path], int]) -> dict[str, Any]:
    """Write a local file; for a path on another file system, write a temporary file and upload it."""
    started, target = time.monotonic(), storage.absolute(output)
    if "://" in target:
        with tempfile.TemporaryDirectory(prefix="spladelake-export-") as folder:
            local = Path(folder) / "file"
            rows = write(local)
            storage.upload(session, local, target)
    else:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        rows = write(Path(target))
    return {"status": "written", "file": target, "rows": rows, "seconds": round(time.monotonic() - started, 2)}


def _local(frame: DataFrame) -> Iterator[Row]:
    return frame.toLocalIterator(prefetchPartitions=True)


def _trec_run(path: Path, run: DataFrame) -> int:
    rows = run.select("run_id", "query_id", "doc_id", "rank", "score").orderBy("query_id", "rank")
    return write_run(path, (tuple(row) for row in _local(rows)))


def _trec_judgements(path: Path, judgements: DataFrame) -> int:
    rows = judgements.select("query_id", "doc_id", "relevance").orderBy("query_id", "doc_id")
    return write_judgements(path, (tuple(row) for row in _local(rows)))


def _trec_eval(path: Path, values: DataFrame, means: dict[str, float]) -> int:
    queries = ((row["measure"], row["query_id"], row["value"]) for row in _local(values))
    averages = ((measure, "all", value) for measure, value in means.items())
    return write_trec_eval(path, (row for rows in (queries, averages) for row in rows))


def _predictions(session: SparkSession, lake: Lake) -> Callable[[Path, DataFrame], int]:
    """Return a writer of sentence-transformers' predictions: one line per query, with its text and its results."""
    maker = made_by("ingest_texts", lake, queries="FILE")
    texts = require(session, lake.table("queries"), QUERIES, made_by=maker).select("query_id", "text")

    def write(path: Path, run: DataFrame) -> int:
        rows = run.join(texts, "query_id", "left").orderBy("query_id", "rank")
        found = groupby(_local(rows), key=lambda row: (row["query_id"], row["text"]))
        return write_lines(path, ((*key, list(group)) for key, group in found), _prediction_line)

    return write


def _prediction_line(row: tuple[str, str | None, list[Row]], place: str) -> str:
    query_id, text, results = row
    for result in results:
        if not math.isfinite(result["score"]):
            wanted = "wanted a finite number, because JSON cannot hold infinity or NaN"
            raise DataError(place, f"the score is {result['score']}", wanted, "Make the run again with finite scores.")
    found = [{"corpus_id": result["doc_id"], "score": result["score"]} for result in results]
    return json.dumps({"query_id": query_id, "query": text, "results": found}) + "\n"
