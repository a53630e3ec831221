"""Read vectors from Parquet files: of export_vectors, of Hugging Face datasets, or of other programs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructField, StructType

from spladelake.errors import DataError, UsageError
from spladelake.files.parquet_columns import ParquetFooter, parquet_footer, takes, type_name, wrong_type
from spladelake.names import amount
from spladelake.spark.encode.passages.ids import ending
from spladelake.spark.ingest.column_values import id_text, number_fault
from spladelake.spark.ingest.columns import type_in_spark
from spladelake.spark.ingest.source import Source
from spladelake.spark.ingest.sources import check_heads
from spladelake.spark.session.file_uris import shown_path
from spladelake.spark.tables import storage
from spladelake.spark.tables.schemas import PASSAGE_COLUMNS

SUFFIXES = (".parquet", ".parq")
# Columns that say which passage of a document a vector is of.
PLACES = tuple(name for name in PASSAGE_COLUMNS if name != "doc_sha256")
# Needed columns of the files, each with its type in the table.
_TYPES = {
    "id": "string",
    "indices": "array<bigint>",
    "values": "array<float>",
    "doc_id": "string",
    "passage": "int",
    "start": "int",
    "end": "int",
}
# Spark reads no half precision.
_FLOATS = (pa.float32(), pa.float64())
# Name and Spark type of the needed columns of a file.
Types = tuple[tuple[str, str], ...]
# Most dimensions without a vocabulary. The largest vocabularies of models have 256,000 tokens.
MOST_DIMENSIONS = 10_000_000
_WANTED = "wanted the columns id, indices (lists of whole numbers) and values (lists of numbers)"
_FIX = "Rename the columns, or write the files again with export_vectors --output-format parquet."


def parquet_vectors(session: SparkSession, path: str, *, side: str) -> DataFrame:
    """Return (id, terms, weights) of Parquet files; for vectors of passages also their places and a null doc_sha256.

    A term is the number of a dimension, as text. In a folder, only files with a suitable name are read.

    Each file is read by its own types, and only its needed columns. Execute the result within `exact_names`.

    Raises DataError if a file has other columns or a row is no vector, UsageError if queries have passages.
    """
    files = storage.input_files(session, path)
    chosen = [file for file in files if file.path.lower().endswith(SUFFIXES)] or list(files)
    if not chosen:
        raise DataError(path, "the folder has no file", "wanted at least one Parquet file", "Correct --input.")
    check_heads(session, Source("vectors", path, "parquet", files=tuple(chosen), all_files=False))
    shards: dict[Types, list[str]] = {}
    for file in chosen:
        with storage.open_input(session, file) as opened:
            footer = parquet_footer(opened, name=shown_path(file.path))
        shards.setdefault(_checked_types(footer), []).append(file.path)
    _check_alike(shards, path, side=side)
    frame = reduce(DataFrame.unionByName, (_shard(session, types, paths) for types, paths in shards.items()))
    places = [name for name in PLACES if name in frame.columns]
    _check_rows(frame, path, places=bool(places))
    extra = [F.col(name) for name in places]
    if places:
        extra.append(F.lit(None).cast("string").alias("doc_sha256"))
    terms, weights = F.col("indices").cast("array<string>").alias("terms"), F.col("values").alias("weights")
    return frame.select("id", terms, weights, *extra)


def _shard(session: SparkSession, types: Types, paths: list[str]) -> DataFrame:
    """Return the rows of files with the same types: only the needed columns, in the types of the table.

    - types: Spark's type of each needed column in the files.
    """
    schema = StructType([StructField(name, DataType.fromDDL(kind)) for name, kind in types])
    frame = session.read.options(**storage.reader_options(paths)).schema(schema).parquet(*paths)
    key = id_text(schema["id"])
    fault = number_fault(schema["id"], key)
    columns = {name: F.col(name).try_cast(kind) for name, kind in _TYPES.items() if name in schema.names}
    columns |= {"id": key, "inexact": F.lit(False) if fault is None else fault.isNotNull()}
    if "doc_id" in schema.names:
        columns["doc_id"] = id_text(schema["doc_id"])
    return frame.select(*(column.alias(name) for name, column in columns.items()))


def dimensions_of(rows: DataFrame, noted: int | None, path: str) -> int:
    """Return the number of dimensions of vectors without a vocabulary.

    - rows: rows of `parquet_vectors`.
    - noted: the number that export_vectors wrote beside the files, if it did.
    """
    largest = rows.select(F.max(F.array_max(F.col("terms").cast("array<bigint>"))).alias("largest")).first()
    assert largest is not None
    used = (-1 if largest["largest"] is None else int(largest["largest"])) + 1
    like = "set --like to the name of vectors that use the same vocabulary"
    if used > MOST_DIMENSIONS:
        raise DataError(
            path, f"the largest number in the column indices is {used - 1:,}",
            f"wanted numbers below {MOST_DIMENSIONS:,}, because each is the number of a dimension",
            f"Correct the numbers in indices, or {like}.",
        )  # fmt: skip
    if (noted or 0) > MOST_DIMENSIONS:
        raise DataError(
            path, f"export.json says that the vectors have {noted:,} dimensions",
            f"wanted at most {MOST_DIMENSIONS:,}", f"Correct dimensions in export.json, or {like}.",
        )  # fmt: skip
    return max(used, noted or 0)


def _checked_types(footer: ParquetFooter) -> Types:
    """Return Spark's type of each needed column of a file. Raises DataError for a missing or unsuitable column."""
    missing = [name for name in ("id", "indices", "values") if name not in footer.types]
    if missing:
        found = f"no column is called {missing[0]} (columns: {', '.join(footer.types)})"
        raise DataError(footer.name, found, _WANTED, _FIX)
    names = [name for name in _TYPES if name in footer.types and (name not in PLACES or "passage" in footer.types)]
    return tuple((name, _type_of(footer, name)) for name in names)


def _type_of(footer: ParquetFooter, name: str) -> str:
    kind = footer.types[name]
    if name in ("id", "doc_id"):
        if type_name(kind) == "null" or not takes("doc_id", type_name(kind)):
            raise wrong_type(footer.name, "id", name, type_name(kind))
        return type_in_spark(kind)
    if name in ("indices", "values"):
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        inner = kind.value_type if is_list else None
        is_number = inner is not None and (pa.types.is_integer(inner) or (name == "values" and inner in _FLOATS))
        if not is_number:
            wanted = "wanted lists of whole numbers" if name == "indices" else "wanted lists of numbers"
            fix = f"Convert the column to {wanted.removeprefix('wanted ')}."
            raise DataError(footer.name, f"the column {name} has the type {kind}", wanted, fix)
        return f"array<{type_in_spark(inner)}>"
    if not pa.types.is_integer(kind):
        found = f"the column {name} has the type {kind}"
        raise DataError(footer.name, found, "wanted whole numbers", "Convert the column to whole numbers.")
    return type_in_spark(kind)


def _check_alike(shards: dict[Types, list[str]], path: str, *, side: str) -> None:
    """Raise DataError if only some files say which passages their vectors are of, UsageError for passages of queries.

    - shards: files by the types of their columns.
    """
    first = {frozenset(name for name, _ in types if name in PLACES): files[0] for types, files in shards.items()}
    if len(first) > 1:
        more, fewer = sorted(first, key=len, reverse=True)[:2]
        name = next(name for name in PLACES if name in more - fewer)
        found = f"{shown_path(first[more])} has a column {name}, but {shown_path(first[fewer])} has none"
        raise DataError(path, found, "wanted the same columns in every file", "Import these files separately.")
    (places,) = first
    if places and side == "queries":
        raise UsageError(
            "--side queries", f"the vectors in {path} come from passages", "wanted vectors of queries",
            "Leave out --side, or correct --input.",
        )  # fmt: skip
    if places and len(places) < len(PLACES):
        missing = ", ".join(name for name in PLACES if name not in places)
        found = f"the vectors have a column passage, but none called {missing}"
        raise DataError(path, found, f"wanted {', '.join(PLACES)} of each passage", _FIX)


def _check_rows(frame: DataFrame, path: str, *, places: bool) -> None:
    """Raise DataError if a row is no vector, or if a document lacks a passage or has one twice."""
    faults = _faults(places=places)
    fault = F.coalesce(*(F.when(F.coalesce(one.bad, F.lit(True)), F.lit(said)) for said, one in faults.items()))
    shown = F.coalesce(F.col("id"), F.lit(""))
    row = frame.agg(
        F.min(F.when(fault.isNotNull(), F.struct(shown.alias("id"), fault.alias("fault")))).alias("f")
    ).first()
    assert row is not None
    if row["f"] is not None:
        fault, wanted = row["f"]["fault"], faults[row["f"]["fault"]].wanted
        row_id = row["f"]["id"]
        place = f"in the row with the id {row_id!r}" if row_id else "in a row"
        raise DataError(path, f"{place} {fault}", wanted, "Correct the row.")
    if not places:
        return
    _check_passages(frame, path)


def _check_passages(frame: DataFrame, path: str) -> None:
    """Raise DataError unless the passages of each document have the numbers 0, 1, 2 …, each once."""
    documents = frame.groupBy("doc_id").agg(
        F.count("*").alias("rows"), F.count_distinct("passage").alias("numbers"),
        F.min("passage").alias("least"), F.max("passage").alias("most"),
    )  # fmt: skip
    whole = (F.col("rows") == F.col("numbers")) & (F.col("least") == 0) & (F.col("most") == F.col("numbers") - 1)
    found = documents.where(~whole).orderBy("doc_id").first()
    if found is None:
        return
    if found["rows"] > found["numbers"]:
        raise DataError(
            path, f"the document {found['doc_id']!r} has a passage more than once", "wanted each passage once",
            "Remove the repeated files or rows.",
        )  # fmt: skip
    numbers = f"their numbers go from {found['least']} to {found['most']}"
    if found["numbers"] == 1:
        numbers = f"its number is {found['least']}"
    held = f"{amount(found['numbers'], 'passage')}, and {numbers}"
    raise DataError(
        path, f"the document {found['doc_id']!r} has {held}", "wanted the numbers 0, 1, 2 … without a gap",
        "Set --input to the whole export, or write the missing rows again.",
    )  # fmt: skip


@dataclass(frozen=True)
class _Fault:
    """A fault that a row can have. bad: its condition; null counts as true."""

    bad: Column
    wanted: str


def _faults(*, places: bool) -> dict[str, _Fault]:
    """Return the faults of rows, by their descriptions."""
    found = {
        "the id is missing": _Fault(F.col("id").isNull() | (F.col("id") == ""), "wanted an id in each row"),
        "the id is a number with a fraction, or too large to be exact": _Fault(
            F.col("inexact"), "wanted a text, or a whole number that is exact"
        ),
        "the vector is missing": _Fault(
            F.col("indices").isNull() | F.col("values").isNull(),
            "wanted lists in indices and values ([] for no terms)",
        ),
        "indices and values differ in length": _Fault(
            F.size("indices") != F.size("values"), "wanted one number in values for each number in indices"
        ),
        "a term or a weight is null": _Fault(
            F.exists("indices", F.isnull) | F.exists("values", F.isnull), "wanted lists of numbers only"
        ),
        "a term is below 0": _Fault(F.exists("indices", lambda term: term < 0), "wanted numbers from 0 in indices"),
        "a term occurs twice": _Fault(
            F.size(F.array_distinct("indices")) != F.size("indices"), "wanted each term once in a vector"
        ),
    }
    if places:
        found |= {
            "a column of the passage is null": _Fault(
                F.expr(" OR ".join(f"`{name}` IS NULL" for name in PLACES)),
                f"wanted a value in each of {', '.join(PLACES)}",
            ),
            "the id does not fit doc_id and passage": _Fault(
                F.col("id") != F.concat("doc_id", ending()),
                "wanted doc_id, # and the number of the passage in six digits, such as d1#000000",
            ),
            "the start of the passage is below 0": _Fault(F.col("start") < 0, "wanted a start of 0 or more"),
            "the passage ends before it starts": _Fault(
                F.col("end") < F.col("start"), "wanted an end that is not below the start"
            ),
        }
    return found
