"""Read the rows of a run from lines, JSON, predictions, Parquet or Delta."""

from __future__ import annotations

from pathlib import PurePosixPath

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import ImportRun
from spladelake.errors import UsageError
from spladelake.files.folders import without_companions
from spladelake.files.formats import first_keys, suffix_of
from spladelake.files.guesses import told
from spladelake.files.json_pairs import LISTS
from spladelake.files.jsonl import jsonl_run_parser
from spladelake.files.line_forms import run_layout
from spladelake.files.rows import LineParser
from spladelake.files.run_lines import RunLine, run_line_parser
from spladelake.spark.exchange.run_columns import RunRows, deciding, is_finite, parquet_rows, table_rows
from spladelake.spark.ingest import file_heads
from spladelake.spark.ingest.json_files import json_records
from spladelake.spark.ingest.source import TABLE_PREFIX, Source
from spladelake.spark.ingest.sources import check_heads, check_hidden_files
from spladelake.spark.ingest.text_files import lines_of, parsed_lines
from spladelake.spark.tables import storage
from spladelake.spark.tables.schemas import RUNS

_PREDICTION = "query_id string, results array<struct<corpus_id: string, score: double>>"
# Formats of a source; runs in lines have the format trec.
_FORMATS = {"json": "json", "parquet": "parquet"}
_PLACE = ("file", "block", "seq", "reason")


def run_format(session: SparkSession, options: ImportRun, location: str) -> str:
    """Return the format of an input of runs: lines, jsonl, json, predictions, parquet or delta."""
    given = options.run_format
    if given not in ("auto", "trec", "csv"):
        return given
    if given != "auto":
        return "lines"
    if location.startswith(TABLE_PREFIX) or storage.exists(session, f"{location}/_delta_log"):
        return "delta"
    files, _ = _data_files(session, location)
    suffix = suffix_of(files[0].path if files else location)
    if suffix in (".parquet", ".parq"):
        return "parquet"
    if suffix not in (".json", ".jsonl", ".ndjson"):
        return "lines"
    return _json_format(file_heads.first_lines(session, files), is_lines=suffix != ".json")


def _json_format(first: list[bytes], *, is_lines: bool) -> str:
    """Return the format of a JSON input: predictions or jsonl (one record per line), or json (one value)."""
    filled = [line for line in first if line.strip()]
    keys = first_keys(filled[:1])
    names = told("runs", keys)
    if "results" in keys:
        return "predictions" if "query_id" in keys and b'"corpus_id"' in filled[0] else "json"
    if {"query_id", "doc_id"} <= names.keys() and {"rank", "score"} & names.keys():
        return "jsonl"
    return "json" if (keys and "query_id" not in names) or not is_lines else "predictions"


def _source(session: SparkSession, location: str, kind: str) -> Source:
    check_hidden_files(session, location)
    read, all_files = _data_files(session, location)
    return Source("runs", location, _FORMATS.get(kind, "trec"), files=read, all_files=all_files)


def _data_files(session: SparkSession, location: str) -> tuple[tuple[storage.InputFile, ...], bool]:
    """Return the files of an input without those that accompany data, and whether these are all its files."""
    files = storage.input_files(session, location)
    names = set(without_companions([file.path for file in files]))
    return tuple(file for file in files if file.path in names), len(names) == len(files)


def run_rows(session: SparkSession, location: str, kind: str, options: ImportRun) -> RunRows:
    """Return the rows of an input. Raises DataError if its columns or keys cannot be recognised.

    - location: path or table of the input.
    - kind: the format, from `run_format`.
    - options: the options of import_run.
    """
    if kind == "delta":
        return _named(table_rows(session, location, options), location, options, is_table=True)
    source = _source(session, location, kind)
    check_heads(session, source)
    if kind == "predictions":
        found = RunRows(_predictions(session, source), options.order == "ranks", lines=source)
    elif kind == "json":
        found = _json_rows(session, source, options)
    elif kind == "parquet":
        found = parquet_rows(session, source, options)
    else:
        found = _line_rows(session, source, kind, options)
    return _named(found, location, options, is_table=False)


def _named(found: RunRows, location: str, options: ImportRun, *, is_table: bool) -> RunRows:
    """Add the name of the run: from --ranking, else from the rows, else from the file name."""
    frame = found.frame
    if options.ranking_name is not None and not is_table:
        frame = frame.withColumn("run_id", F.lit(options.ranking_name))
    elif (stem := options.ranking_name or _stem(location)) is not None:
        frame = frame.withColumn("run_id", F.coalesce("run_id", F.lit(stem)))
    elif not frame.where("run_id IS NULL AND reason IS NULL").isEmpty():
        raise UsageError(
            "--ranking",
            "the option is missing",
            "wanted a name for the run, because rows of the input name none",
            "Set --ranking to the name of the run.",
        )
    if found.by_rank:
        frame = frame.withColumn("score", -F.col("rank").cast("double"))
    return RunRows(frame.select(*_PLACE, *RUNS.column_names), found.by_rank, found.read_as, found.lines)


def _stem(location: str) -> str | None:
    """Return the name of a run from the name of its file; None for a pattern."""
    name = PurePosixPath(location).name.split(".")[0]
    return None if not name or "*" in name else name


def _line_rows(session: SparkSession, source: Source, kind: str, options: ImportRun) -> RunRows:
    first = file_heads.first_lines(session, source.listed(session))
    by_rank, read_as = options.order == "ranks", None
    parser: LineParser[RunLine]
    if kind == "jsonl":
        names = told("runs", first_keys(first))
        by_rank, read_as = deciding(names, by_rank)
        parser = jsonl_run_parser(names or {"query_id": "query_id", "doc_id": "doc_id"}, by_rank=by_rank)
    else:
        layout = run_layout(first, place=source.location)
        if layout is not None:
            by_rank, missing = deciding(layout.columns, by_rank)
            read_as = f"{layout.read_as}; {missing}" if missing else layout.read_as
        parser = run_line_parser(layout, by_rank=by_rank)
    return RunRows(parsed_lines(session, source, parser), by_rank, read_as, source)


def _json_rows(session: SparkSession, source: Source, options: ImportRun) -> RunRows:
    """Return the rows of files with one JSON value each; in lists without scores, the order decides."""
    by_rank = options.order == "ranks"
    rows, files = json_records(session, source, by_rank=by_rank), source.listed(session)
    listed = LISTS.match(file_heads.first_bytes(session, files))
    return RunRows(rows, by_rank, "lists of documents, best first, without scores" if listed else None)


def _predictions(session: SparkSession, source: Source) -> DataFrame:
    """Return the rows of sentence-transformers' predictions: one line per query, with an array of results."""
    lines = lines_of(session, source).withColumn("value", F.col("line").cast("string")).where(F.trim("value") != "")
    parsed = lines.select("file", "block", "seq", F.from_json("value", _PREDICTION).alias("line"))
    item = F.struct(F.lit(None).cast("string").alias("corpus_id"), F.lit(None).cast("double").alias("score"))
    # A line without results keeps one row, which carries the reason.
    results = F.when(F.col("line.results").isNull(), F.array(item)).otherwise(F.col("line.results"))
    rows = parsed.select("file", "block", "seq", "line.query_id", F.posexplode(results).alias("place", "item"))
    reason = (
        F.when(F.col("query_id").isNull(), "the line is not a prediction, because it has no query_id")
        .when(F.col("item.corpus_id").isNull(), "the line is not a prediction, because its results have no corpus_id")
        .when((F.trim("query_id") == "") | (F.trim("item.corpus_id") == ""), "an id is empty")
        .when(~is_finite(F.col("item.score")), "a score is missing or not a finite number")
    )
    return rows.select(
        "file",
        "block",
        "seq",
        reason.alias("reason"),
        F.lit(None).cast("string").alias("run_id"),
        "query_id",
        F.col("item.corpus_id").alias("doc_id"),
        (F.col("place") + 1).alias("rank"),
        F.col("item.score").alias("score"),
    )
