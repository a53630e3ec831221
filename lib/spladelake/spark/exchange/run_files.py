"""Read the rows of a run from lines, JSON, predictions, Parquet or Delta."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import ImportRun
from spladelake.errors import DataError, UsageError
from spladelake.files.formats import first_keys, suffix_of
from spladelake.files.guesses import told
from spladelake.files.json_pairs import LISTS
from spladelake.files.jsonl import jsonl_run_parser
from spladelake.files.line_forms import run_layout
from spladelake.files.rows import LineParser
from spladelake.files.run_lines import NO_RANK, RunLine, run_line_parser
from spladelake.spark.ingest import file_heads
from spladelake.spark.ingest.column_values import can_be_id, id_text, number_fault
from spladelake.spark.ingest.json_files import json_records
from spladelake.spark.ingest.source import TABLE_PREFIX, Source, table_ref
from spladelake.spark.ingest.sources import check_heads
from spladelake.spark.ingest.text_files import lines_of, parsed_lines
from spladelake.spark.tables import storage
from spladelake.spark.tables.create import require
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import RUNS
from spladelake.spark.tables.sql_text import quoted

_PREDICTION = "query_id string, results array<struct<corpus_id: string, score: double>>"
_PLACE = ("file", "block", "seq", "reason")
_BY_RANK = "the ranks decide the order, because there are no scores"


@dataclass(frozen=True)
class RunRows:
    """The rows of an input of runs.

    - frame: (file, block, seq, reason, run_id, query_id, doc_id, rank, score), one row for each row of the input; an
      unusable row has a reason. If ranks decide, the score is the negative rank.
    - by_rank: whether ranks decide the order instead of scores.
    - read_as: how an unusual format was interpreted, as a text for the user; None for a usual format.
    - lines: the input, if each row is one of its lines, so that errors can name the line.
    """

    frame: DataFrame
    by_rank: bool
    read_as: str | None = None
    lines: Source | None = None


def run_format(session: SparkSession, options: ImportRun, location: str) -> str:
    """Return the format of an input of runs: lines, jsonl, json, predictions, parquet or delta."""
    given = options.run_format
    if given not in ("auto", "trec", "csv"):
        return given
    if given != "auto":
        return "lines"
    if location.startswith(TABLE_PREFIX) or storage.exists(session, f"{location}/_delta_log"):
        return "delta"
    files = storage.input_files(session, location)
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


def _source(session: SparkSession, location: str, file_format: str) -> Source:
    return Source("runs", location, file_format, files=storage.input_files(session, location))


def run_rows(session: SparkSession, location: str, kind: str, options: ImportRun) -> RunRows:
    """Return the rows of an input. Raises DataError if its columns or keys cannot be recognised.

    - location: path or table of the input.
    - kind: the format, from `run_format`.
    - options: the options of import_run.
    """
    if kind == "predictions":
        found = RunRows(_predictions(session, location), options.order == "ranks")
    elif kind in ("lines", "jsonl"):
        found = _line_rows(session, location, kind, options)
    elif kind == "json":
        found = _json_rows(session, location, options)
    else:
        found = _column_rows(session, location, kind, options)
    return _named(found, location, options, is_table=kind == "delta")


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
            "wanted a name for the run, because the input gives none",
            "Set --ranking to the name of the run.",
        )
    if found.by_rank:
        frame = frame.withColumn("score", -F.col("rank").cast("double"))
    return RunRows(frame.select(*_PLACE, *RUNS.column_names), found.by_rank, found.read_as, found.lines)


def _stem(location: str) -> str | None:
    """Return the name of a run from the name of its file; None for a pattern."""
    name = PurePosixPath(location).name.split(".")[0]
    return None if not name or "*" in name else name


def _line_rows(session: SparkSession, location: str, kind: str, options: ImportRun) -> RunRows:
    source = _source(session, location, "trec")
    first = file_heads.first_lines(session, source.listed(session))
    by_rank, read_as = options.order == "ranks", None
    parser: LineParser[RunLine]
    if kind == "jsonl":
        names = told("runs", first_keys(first))
        by_rank, read_as = _deciding(names, by_rank)
        parser = jsonl_run_parser(names or {"query_id": "query_id", "doc_id": "doc_id"}, by_rank=by_rank)
    else:
        layout = run_layout(first, place=location)
        if layout is not None:
            by_rank, missing = _deciding(layout.columns, by_rank)
            read_as = f"{layout.read_as}; {missing}" if missing else layout.read_as
        parser = run_line_parser(layout, by_rank=by_rank)
    check_heads(session, source)
    return RunRows(parsed_lines(session, source, parser), by_rank, read_as, source)


def _deciding(columns: object, by_rank: bool) -> tuple[bool, str | None]:
    """Return whether ranks decide, and a text for the user if they decide only because there are no scores."""
    assert isinstance(columns, dict | tuple)
    return (by_rank, None) if "score" in columns else (True, None if by_rank else _BY_RANK)


def _json_rows(session: SparkSession, location: str, options: ImportRun) -> RunRows:
    """Return the rows of files with one JSON value each; in lists without scores, the order decides."""
    by_rank = options.order == "ranks"
    source = _source(session, location, "json")
    check_heads(session, source)
    rows, files = json_records(session, source, by_rank=by_rank), source.listed(session)
    listed = LISTS.match(file_heads.first_bytes(session, files))
    return RunRows(rows, by_rank, "lists of documents, best first, without scores" if listed else None)


def _column_rows(session: SparkSession, location: str, kind: str, options: ImportRun) -> RunRows:
    """Return the rows of a `runs` table, or of Parquet or Delta columns that are recognised by their names."""
    if kind == "delta":
        ref = table_ref(location)
        if _is_runs(session, ref):
            return RunRows(_table_rows(session, ref, options.ranking_name), options.order == "ranks")
        frame = ref.read(session).withColumns({"__file": F.lit(str(ref)), "__block": F.lit(0)})
    else:
        source = _source(session, location, "parquet")
        check_heads(session, source)
        paths = source.paths(session)
        frame = (
            session.read.options(**storage.reader_options(paths))
            .parquet(*paths)
            .select(
                "*", F.col("_metadata.file_path").alias("__file"), F.col("_metadata.file_block_start").alias("__block")
            )
        )
    present = [name for name in frame.columns if not name.startswith("__")]
    names = told("runs", present)
    if not {"query_id", "doc_id"} <= names.keys() or not {"rank", "score"} & names.keys():
        raise DataError(
            location,
            f"the columns are {', '.join(present)}",
            "wanted columns of query ids, document ids and scores or ranks, such as query_id, doc_id and score",
            "Rename the columns to query_id, doc_id and score.",
        )
    by_rank, read_as = _deciding(names, options.order == "ranks")
    shown = ", ".join(f"{column} is the column {name}" for column, name in names.items() if column != name)
    values = {column: _value(frame, location, column, name) for column, name in names.items()}
    if kind == "delta" and options.ranking_name is not None and "run_id" in values:
        frame = frame.where(values["run_id"] == options.ranking_name)
    rows = frame.select(
        F.col("__file").alias("file"),
        F.col("__block").alias("block"),
        F.monotonically_increasing_id().alias("seq"),
        _fault(frame, names, values, by_rank=by_rank).alias("reason"),
        *(values.get(c.name, F.lit(None)).try_cast(c.type).alias(c.name) for c in RUNS.columns),
    )
    return RunRows(rows, by_rank, "; ".join(filter(None, (shown, read_as))) or None)


def _is_runs(session: SparkSession, ref: TableRef) -> bool:
    return not ref.exists(session) or set(RUNS.column_names) <= set(ref.read(session).columns)


def _table_rows(session: SparkSession, ref: TableRef, run_id: str | None) -> DataFrame:
    """Return the rows of a `runs` table, or of one of its runs."""
    rows = require(session, ref, RUNS, made_by="spladelake retrieve_run …")
    if run_id is not None:
        rows = rows.where(F.col("run_id") == run_id)
    missing = F.col("query_id").isNull() | F.col("doc_id").isNull() | F.col("score").isNull() | F.isnan("score")
    reason = F.when(missing, "the row lacks an id or a score")
    return rows.select(
        F.lit(str(ref)).alias("file"), F.lit(0).alias("block"), F.lit(0).alias("seq"), reason.alias("reason"), "*"
    )


def _value(frame: DataFrame, location: str, column: str, name: str) -> Column:
    """Return a column of the input as text. Raises DataError if its type is not a string or a number."""
    field = frame.schema[name]
    if not can_be_id(field.dataType):
        found = f"column {name!r} has the type {field.dataType.simpleString()}"
        raise DataError(
            location,
            found,
            f"wanted strings or numbers for {column}",
            f"Convert the column, or rename it if it is not the {column} of a run.",
        )
    if column == "score":
        return F.col(quoted(name)).cast("string")
    # A placeholder for an unknown rank counts as no rank.
    return F.when(~F.lower(id_text(field)).isin(*NO_RANK), id_text(field)) if column == "rank" else id_text(field)


def _fault(frame: DataFrame, names: dict[str, str], values: dict[str, Column], *, by_rank: bool) -> Column:
    ids = [c for c in ("query_id", "doc_id", "run_id") if c in values]
    numbers = (number_fault(frame.schema[names[c]], values[c]) for c in ids)
    faults = [fault for fault in numbers if fault is not None]
    faults += [F.when(F.coalesce(F.trim(values[c]), F.lit("")) == "", f"{c} is missing or empty") for c in ids]
    if by_rank:
        faults.append(F.when(values["rank"].try_cast("int").isNull(), "rank is missing or not a whole number"))
    else:
        score = values["score"].try_cast("double")
        unusable = score.isNull() | F.isnan(score) | (F.abs(score) == float("inf"))
        faults.append(F.when(unusable, "score is missing or not a finite number"))
    return F.coalesce(*faults)


def _predictions(session: SparkSession, location: str) -> DataFrame:
    """Return the rows of sentence-transformers' predictions: one line per query, with an array of results."""
    source = _source(session, location, "trec")
    check_heads(session, source)
    lines = lines_of(session, source).withColumn("value", F.col("line").cast("string")).where(F.trim("value") != "")
    parsed = lines.select("file", "block", "seq", F.from_json("value", _PREDICTION).alias("line"))
    item = F.struct(F.lit(None).cast("string").alias("corpus_id"), F.lit(None).cast("double").alias("score"))
    # A line without results keeps one row, which carries the reason.
    results = F.when(F.col("line.results").isNull(), F.array(item)).otherwise(F.col("line.results"))
    rows = parsed.select("file", "block", "seq", "line.query_id", F.posexplode(results).alias("place", "item"))
    reason = (
        F.when(F.col("query_id").isNull(), "the line is not a prediction, because it has no query_id")
        .when(F.col("item.corpus_id").isNull(), "the line is not a prediction, because its results have no corpus_id")
        .when(F.col("item.score").isNull() | F.isnan("item.score"), "a score is missing or not a number")
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
