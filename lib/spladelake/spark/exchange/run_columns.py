"""Read the rows of a run from the columns of Parquet files or of a Delta table."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spladelake.config import ImportRun
from spladelake.errors import DataError
from spladelake.files.columns import naming_fix
from spladelake.files.guesses import told
from spladelake.files.parquet_columns import wrong_type
from spladelake.files.run_lines import NO_RANK
from spladelake.spark.ingest.column_values import can_be_id, column_text, field_at, number_fault
from spladelake.spark.ingest.columns import Shard, parquet_shards
from spladelake.spark.ingest.source import Source, table_ref
from spladelake.spark.tables.create import require
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import RUNS
from spladelake.spark.tables.suggestions import Maker

_IDS = {"query_id": "ids of queries", "doc_id": "ids of documents"}
_BY_RANK = "the ranks decide the order, because there are no scores"


@dataclass(frozen=True)
class RunRows:
    """The rows of an input of runs.

    - frame: (file, block, seq, reason, run_id, query_id, doc_id, rank, score), one row for each row of the input; an
      unusable row has a reason. If ranks decide, the score is the negative rank.
    - by_rank: whether ranks decide the order instead of scores.
    - read_as: how an unusual format was interpreted, as a text for the user; None for a usual format.
    - lines: the input, if each row comes from one of its lines, so that errors can name the line.
    """

    frame: DataFrame
    by_rank: bool
    read_as: str | None = None
    lines: Source | None = None


def deciding(columns: Collection[str | None], by_rank: bool) -> tuple[bool, str | None]:
    """Return whether ranks decide, and a text for the user if they decide only because there are no scores."""
    return (by_rank, None) if "score" in columns else (True, None if by_rank else _BY_RANK)


def parquet_rows(session: SparkSession, source: Source, options: ImportRun) -> RunRows:
    """Return the rows of Parquet files, each read by its own columns. Execute it within `exact_names`.

    Raises DataError if a file lacks a needed column, or if a column has a type that it cannot have.
    """
    shards = parquet_shards(session, source)
    names = [{column: name for column, name in shard.names.items() if name is not None} for shard in shards]
    _check_scores(source.location, shards, ranks=options.order == "ranks")
    by_rank, read_as = deciding(names[0], options.order == "ranks")
    frames = [
        _rows(
            shard.frame,
            (shard.place["file_path"], shard.place["file_block_start"]),
            found,
            {column: _cleaned(column, shard.values[column]) for column in found},
            by_rank=by_rank,
        )
        for shard, found in zip(shards, names, strict=True)
    ]
    return RunRows(reduce(DataFrame.unionByName, frames), by_rank, _read_as(names, read_as))


def _check_scores(place: str, shards: list[Shard], *, ranks: bool) -> None:
    """Raise DataError if a file has neither scores nor ranks, or not those that decide, or if only some have scores."""
    for shard in shards:
        _check_order(shard.first.name, list(shard.first.types), shard.names, ranks=ranks)
    scored = [shard.first.name for shard in shards if shard.names["score"] is not None]
    if not ranks and 0 < len(scored) < len(shards):
        other = next(shard.first.name for shard in shards if shard.names["score"] is None)
        found, fix = f"{scored[0]} has scores, but {other} has only ranks", "Import these files separately."
        raise DataError(place, found, "wanted the same columns in every file", fix)


def _check_order(place: str, present: list[str], names: Mapping[str, str | None], *, ranks: bool) -> None:
    """Raise DataError if no column can decide the order. ranks: whether ranks must."""
    among = f"(columns: {', '.join(present)})"
    if names.get("rank") is None and names.get("score") is None:
        raise DataError(
            place, f"no column holds scores or ranks {among}", "wanted a column such as score",
            "Rename the column that holds scores to score, or the one with ranks to rank, or leave this input out.",
        )  # fmt: skip
    if ranks and names.get("rank") is None:
        raise DataError(
            place, f"no column holds ranks {among}", "wanted a column of ranks, because of --order ranks",
            "Rename the column that holds ranks to rank, or leave out --order.",
        )  # fmt: skip


def _read_as(names: list[dict[str, str]], read_as: str | None) -> str | None:
    """Return the description of columns with other names than in `runs`, and of what decides the order."""
    other = [f"{column} is the column {name}" for found in names for column, name in found.items() if column != name]
    return "; ".join(filter(None, (", ".join(dict.fromkeys(other)), read_as))) or None


def table_rows(session: SparkSession, location: str, options: ImportRun) -> RunRows:
    """Return the rows of a `runs` table, or of Delta columns that are recognised by their names."""
    ref = table_ref(location)
    if _is_runs(session, ref):
        return RunRows(_rows_of_runs(session, ref, options.ranking_name), options.order == "ranks")
    frame = ref.read(session)
    present, names = frame.columns, told("runs", frame.columns)
    for column in ("query_id", "doc_id"):
        if column not in names:
            found = f"no column holds {_IDS[column]} (columns: {', '.join(present)})"
            raise DataError(location, found, f"wanted a column such as {column}", naming_fix("runs", column))
    _check_order(location, present, names, ranks=options.order == "ranks")
    by_rank, read_as = deciding(names, options.order == "ranks")
    for column, name in names.items():
        if not can_be_id(kind := frame.schema[name].dataType):
            raise wrong_type(location, column, name, kind.simpleString())
    values = {column: _cleaned(column, column_text(frame.schema, column, name)) for column, name in names.items()}
    if options.ranking_name is not None and "run_id" in values:
        frame = frame.where(values["run_id"] == options.ranking_name)
    rows = _rows(frame, (F.lit(str(ref)), F.lit(0)), names, values, by_rank=by_rank)
    return RunRows(rows, by_rank, _read_as([names], read_as))


def _rows(
    frame: DataFrame,
    place: tuple[Column, Column],
    names: Mapping[str, str],
    values: Mapping[str, Column],
    *,
    by_rank: bool,
) -> DataFrame:
    """Return the place, the reason and the columns of `runs` of a frame. place: its columns for file and block."""
    return frame.select(
        place[0].alias("file"),
        place[1].alias("block"),
        F.monotonically_increasing_id().alias("seq"),
        _fault(frame.schema, names, values, by_rank=by_rank).alias("reason"),
        *(values.get(c.name, F.lit(None)).try_cast(c.type).alias(c.name) for c in RUNS.columns),
    )


def _cleaned(column: str, text: Column) -> Column:
    """Return a column as text. A placeholder for an unknown rank counts as no rank."""
    return F.when(~F.lower(text).isin(*NO_RANK), text) if column == "rank" else text


def _fault(schema: StructType, names: Mapping[str, str], values: Mapping[str, Column], *, by_rank: bool) -> Column:
    ids = [c for c in ("query_id", "doc_id", "run_id") if c in values]
    fields = ((field_at(schema, names[c]), values[c]) for c in ids)
    numbers = (number_fault(field, value) for field, value in fields if field is not None)
    faults = [fault for fault in numbers if fault is not None]
    faults += [F.when(F.coalesce(F.trim(values[c]), F.lit("")) == "", f"{c} is missing or empty") for c in ids]
    if by_rank:
        faults.append(F.when(values["rank"].try_cast("int").isNull(), "rank is missing or not a whole number"))
    else:
        faults.append(F.when(~is_finite(values["score"].try_cast("double")), "score is missing or not a finite number"))
    return F.coalesce(*faults)


def is_finite(score: Column) -> Column:
    """Return whether a score is a finite number; false for null."""
    return F.coalesce(~F.isnan(score) & (F.abs(score) < float("inf")), F.lit(False))


def _is_runs(session: SparkSession, ref: TableRef) -> bool:
    return not ref.exists(session) or set(RUNS.column_names) <= set(ref.scan(session).columns)


def _maker(ref: TableRef) -> Maker:
    """Return the maker of a `runs` table that --run names."""
    root, slash, _ = (ref.path or "").rpartition("/")
    schema, dot, _ = (ref.name or "").rpartition(".")
    lake = root if slash else f"schema:{schema}" if dot else "LAKE"
    return Maker(shlex.join(["spladelake", "retrieve_run", "--lake", lake]), "--run")


def _rows_of_runs(session: SparkSession, ref: TableRef, run_id: str | None) -> DataFrame:
    """Return the rows of a `runs` table, or of one of its runs."""
    rows = require(session, ref, RUNS, made_by=_maker(ref))
    if run_id is not None:
        rows = rows.where(F.col("run_id") == run_id)
    reason = (
        F.when(F.col("query_id").isNull(), "query_id is missing")
        .when(F.col("doc_id").isNull(), "doc_id is missing")
        .when(~is_finite(F.col("score")), "score is missing or not a finite number")
    )
    return rows.select(
        F.lit(str(ref)).alias("file"), F.lit(0).alias("block"), F.lit(0).alias("seq"), reason.alias("reason"), "*"
    )
