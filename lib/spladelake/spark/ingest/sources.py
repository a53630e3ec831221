"""Inputs of ingest_texts as one kind of frame: records with their place in the input, or with a reason against them.

Columns of such a frame: file, block, seq (where the record stands), raw (its bytes, where rejected), reason (null for
a usable record), then the columns of the table it goes to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegralType, StringType, StructType

from spladelake.config import IngestTexts
from spladelake.errors import DataError, UsageError
from spladelake.files import LineParser, Rejected
from spladelake.files.formats import COMPRESSED, GUESSES, OPTIONAL_COLUMNS, format_of, line_parser, suffix_of
from spladelake.spark.tables import storage
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import DOCUMENTS, JUDGEMENTS, QUERIES, RUNS
from spladelake.spark.tables.sql_text import quoted

TABLE_PREFIX = "table:"
_PLACE = (
    StructType()
    .add("file", "string")
    .add("block", "long")
    .add("seq", "long")
    .add("raw", "binary")
    .add("reason", "string")
)
_PLACE_ARROW = [
    ("file", pa.string()),
    ("block", pa.int64()),
    ("seq", pa.int64()),
    ("raw", pa.binary()),
    ("reason", pa.string()),
]
_ARROW_TYPES = {"string": pa.string(), "int": pa.int32(), "double": pa.float64()}

# One record a line, read by the parsers of ring 1; the others are read by Spark's own sources.
LINE_FORMATS = ("jsonl", "tsv", "qrels", "trec")
SCHEMAS: dict[str, TableSchema] = {
    "documents": DOCUMENTS,
    "queries": QUERIES,
    "judgements": JUDGEMENTS,
    "runs": RUNS,
}


@dataclass(frozen=True)
class Source:
    """One input: which table it fills, where it is, its format and the names of its columns where given.

    label: what to call it where its files are made anew at every run. version: of a Delta table, the one to read.
    """

    kind: str
    location: str
    format: str
    columns: tuple[tuple[str, str], ...] = ()
    label: str | None = None
    version: int | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that identify a record."""
        return {"documents": ("doc_id",), "queries": ("query_id",)}.get(self.kind, ("query_id", "doc_id"))

    @property
    def schema(self) -> TableSchema:
        return SCHEMAS[self.kind]

    def fingerprint(self, session: SparkSession) -> Any:
        """What changes when the input does: the version of a Delta table, else names, sizes and times of its files."""
        if self.format == "delta":
            return [self.location, self.version]
        return [self.location, storage.input_fingerprint(session, self.location)]


def table_ref(location: str) -> TableRef:
    """`table:NAME` is a table of the catalog, anything else a folder."""
    if location.startswith(TABLE_PREFIX):
        return TableRef(name=location.removeprefix(TABLE_PREFIX))
    return TableRef(path=location)


def named_sources(session: SparkSession, options: IngestTexts) -> list[Source]:
    """The inputs that --documents, --queries and --judgements name."""
    mapped = {
        "documents": (
            ("doc_id", options.document_id),
            ("title", options.document_title),
            ("text", options.document_text),
        ),
        "queries": (("query_id", options.query_id), ("text", options.query_text)),
        "judgements": (),
    }
    sources = []
    for kind, columns in mapped.items():
        location, file_format = getattr(options, kind), getattr(options, f"{kind}_format")
        if location is None:
            continue
        if not location.startswith(TABLE_PREFIX):
            location = storage.absolute(location)
            storage.require_input(session, location, option=f"--{kind}")
        if file_format == "auto":
            file_format = guess_format(session, location, kind)
        given = tuple((name, column) for name, column in columns if column is not None)
        if given and file_format in ("tsv", "qrels"):
            raise UsageError(
                location,
                f"columns are named, but {file_format} has none",
                "its columns go by their place: id, text",
                "Leave the column options out, or read it with a header as csv.",
            )
        version = _delta_version(session, location) if file_format == "delta" else None
        sources.append(Source(kind, location, file_format, given, version=version))
    return sources


def guess_format(session: SparkSession, location: str, kind: str) -> str:
    """Format of an input by its name, or by the first file of a folder."""
    if location.startswith(TABLE_PREFIX) or storage.exists(session, f"{location}/_delta_log"):
        return "delta"
    name = location
    if inside := storage.folders(session, location):
        name = next(iter(storage.children(session, inside[0])), location)
    found = format_of(name)
    if kind == "judgements" and found in ("tsv", None):
        return "qrels"
    if found is None:
        raise UsageError(
            location,
            f"the format cannot be told from the name (…{suffix_of(name)})",
            "wanted jsonl, tsv, csv, parquet or a Delta table",
            f"Say it with --{kind.replace('_', '-')}-format.",
        )
    return found


def beir_sources(session: SparkSession, folder: str, split: str) -> list[Source]:
    """The inputs of a BEIR folder; judgements are left out where it has no qrels folder at all."""
    folder = storage.absolute(folder)
    storage.require_input(session, folder, option="--source")
    sources = []
    for kind, stem in (("documents", "corpus"), ("queries", "queries")):
        known = {f"{stem}.jsonl{suffix}" for suffix in ("", *COMPRESSED)}
        names = [name for name in storage.children(session, folder) if name in known]
        if len(names) > 1:
            raise DataError(
                folder, f"it holds {' and '.join(names)}", f"wanted one file of {kind}", "Keep the one that is meant."
            )
        if not names:
            raise DataError(
                folder,
                f"it has no {stem}.jsonl",
                "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/",
                "Correct --source, or name the files with --documents, --queries and --judgements.",
            )
        sources.append(Source(kind, f"{folder}/{names[0]}", "jsonl"))
    splits = [name.removesuffix(".tsv") for name in storage.children(session, f"{folder}/qrels")]
    if splits and split not in splits:
        raise DataError(
            f"{folder}/qrels", f"it has no {split}.tsv", f"it holds the splits {', '.join(splits)}", "Correct --split."
        )
    if splits:
        sources.append(Source("judgements", f"{folder}/qrels/{split}.tsv", "qrels"))
    return sources


def records(session: SparkSession, source: Source) -> DataFrame:
    """Every record of an input, usable or not."""
    if source.format in LINE_FORMATS:
        return _line_records(session, source)
    return _column_records(session, source)


@dataclass(frozen=True)
class ParseLines:
    """The function given to mapInArrow: (file, block, seq, line) batches to records."""

    parser: LineParser[Any]
    schema: TableSchema

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        columns = [(c.name, _ARROW_TYPES[c.type]) for c in self.schema.columns]
        arrow = pa.schema([*_PLACE_ARROW, *columns])
        blank = (None,) * len(columns)
        for batch in batches:
            lines = batch.column("line").to_pylist()
            parsed = [self.parser(line) for line in lines]
            is_row = [row is not None for row in parsed]
            rejected = [isinstance(row, Rejected) for row in parsed]
            rows = [blank if row is None or bad else row for row, bad in zip(parsed, rejected, strict=True)]
            place = [
                batch.column("file"),
                batch.column("block"),
                batch.column("seq"),
                pa.array([line if bad else None for line, bad in zip(lines, rejected, strict=True)], pa.binary()),
                pa.array([row.reason if isinstance(row, Rejected) else None for row in parsed], pa.string()),
            ]
            by_column = zip(*rows, strict=True)
            values = [pa.array(column, kind) for column, (_, kind) in zip(by_column, columns, strict=True)]
            yield pa.RecordBatch.from_arrays([*place, *values], schema=arrow).filter(pa.array(is_row))


def _lines(session: SparkSession, source: Source) -> DataFrame:
    """Every line of a text input: (file, block, seq, line)."""
    # Line feeds only: a text may hold U+0085 or a lone carriage return.
    reader = session.read.option("lineSep", "\n").option("recursiveFileLookup", "true")
    lines = reader.text(source.location)
    return lines.select(
        F.col("_metadata.file_path").alias("file"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("seq"),
        F.col("value").cast("binary").alias("line"),
    )


def places(session: SparkSession, source: Source) -> DataFrame:
    """Where every line or record of an input stands: (file, block, seq), as `records` numbers them."""
    frame = _lines(session, source) if source.format in LINE_FORMATS else _column_records(session, source)
    return frame.select("file", "block", "seq")


def _line_records(session: SparkSession, source: Source) -> DataFrame:
    parser = line_parser(source.kind, source.format, dict(source.columns), place=source.location)
    parse = ParseLines(parser, source.schema)
    return _lines(session, source).mapInArrow(parse, _record_schema(source.schema))


def _record_schema(schema: TableSchema) -> StructType:
    return StructType([*_PLACE.fields, *schema.struct.fields])


def _delta_version(session: SparkSession, location: str) -> int:
    ref = table_ref(location)
    if not ref.exists(session):
        raise DataError(location, "there is no Delta table", "wanted one", "Correct the location.")
    return ref.version(session)


def _column_records(session: SparkSession, source: Source) -> DataFrame:
    """Records of csv, parquet or Delta: columns chosen by name, checked by expressions."""
    frame = _read_columns(session, source)
    # Names of our own, so that an input may have columns named file, block or seq.
    frame = frame.select(
        "*",
        F.col("_metadata.file_path").alias("__file"),
        F.col("_metadata.file_block_start").alias("__block"),
        F.monotonically_increasing_id().alias("__seq"),
    )
    names = column_names(source, frame)
    values = {column.name: _value(source, frame, column.name, names[column.name]) for column in source.schema.columns}
    reason = F.coalesce(
        F.when(F.col("_corrupt_record").isNotNull(), "the record does not have the header's number of columns"),
        *(_replaced_fault(source, value) for value in values.values()),
        *(_id_fault(names[key] or key, values[key]) for key in source.keys),
        *(_text_fault(names[c] or c, values[c]) for c in values if c not in source.keys and c != "relevance"),
        *([_relevance_fault(names["relevance"] or "", values["relevance"])] if "relevance" in values else []),
    )
    record = F.coalesce(F.col("_corrupt_record"), F.to_json(F.struct(*(v.alias(n) for n, v in values.items()))))
    typed = [v.try_cast("int").alias(n) if n == "relevance" else v.alias(n) for n, v in values.items()]
    place = [F.col(f"__{name}").alias(name) for name in ("file", "block", "seq")]
    checked = frame.select(*place, record.cast("binary").alias("raw"), reason.alias("reason"), *typed)
    return checked.withColumn("raw", F.when(F.col("reason").isNotNull(), F.col("raw")))


def _read_columns(session: SparkSession, source: Source) -> DataFrame:
    """The columns of an input, and `_corrupt_record`: the text of a record that does not fit the header."""
    if source.format == "csv":
        # enforceSchema=false: a file of the folder whose header differs fails, instead of being read by position.
        reader = session.read.options(header=True, multiLine=True, escape='"', recursiveFileLookup=True)
        header = reader.csv(source.location).columns
        schema = ", ".join(f"{quoted(name)} string" for name in [*header, "_corrupt_record"])
        reader = reader.schema(schema).options(columnNameOfCorruptRecord="_corrupt_record", enforceSchema=False)
        return reader.csv(source.location)
    if source.format == "delta":
        frame = table_ref(source.location).read(session, version=source.version)
    else:
        frame = session.read.parquet(source.location)
    return frame.withColumn("_corrupt_record", F.lit(None).cast("string"))


def column_names(source: Source, frame: DataFrame) -> dict[str, str | None]:
    """Name in the input of each table column; None for a title that the input does not have."""
    present = [name for name in frame.columns if not name.startswith("__") and name != "_corrupt_record"]
    named, chosen = dict(source.columns), {}
    for column, guesses in GUESSES[source.kind].items():
        wanted = (named[column],) if column in named else guesses
        found = next((name for name in wanted if name in present), None)
        if found is None and (column in named or (source.kind, column) not in OPTIONAL_COLUMNS):
            option = f"--{source.kind.removesuffix('s')}-{column.removeprefix('doc_').removeprefix('query_')}"
            raise DataError(
                source.location,
                f"it has no column {' or '.join(map(repr, wanted))} (it has {', '.join(present)})",
                f"every {source.schema.name} table needs {column}",
                f"Name the column with {option}." if source.kind != "judgements" else "Rename the column.",
            )
        chosen[column] = found
    return chosen


def _value(source: Source, frame: DataFrame, column: str, name: str | None) -> Column:
    """A table column as a string, from a column of the input whose type can stand for it."""
    if name is None:
        return F.lit(None).cast("string")
    kind = frame.schema[name].dataType
    ids = column.endswith("_id") or column == "relevance"
    if not (isinstance(kind, StringType) or (ids and isinstance(kind, IntegralType))):
        raise DataError(
            source.location,
            f"column {name!r} is {kind.simpleString()}",
            f"{column} wants {'a string or a whole number' if ids else 'a string'}",
            "Cast it, or name another column.",
        )
    return F.col(quoted(name)).cast("string")


def _id_fault(name: str, value: Column) -> Column:
    return (
        F.when(value.isNull(), f'"{name}" is missing; every record needs one')
        .when(F.trim(value) == "", f'"{name}" is empty; ids need at least one character')
        .when(~F.is_valid_utf8(value), f'"{name}" is not valid UTF-8')
        .when(value.contains("\0"), f'"{name}" holds a NUL character; ids must be text')
    )


def _text_fault(name: str, value: Column) -> Column:
    return F.when(~F.is_valid_utf8(value), f'"{name}" is not valid UTF-8; files must be UTF-8')


def _replaced_fault(source: Source, value: Column) -> Column:
    """Spark's csv reader puts U+FFFD where a byte is not UTF-8, so that alone tells of it."""
    reason = "it holds bytes that are not UTF-8 (or U+FFFD itself, which stands for them); files must be UTF-8"
    return F.when(F.lit(source.format == "csv") & value.contains("\ufffd"), reason)


def _relevance_fault(name: str, value: Column) -> Column:
    whole = value.rlike("^-?[0-9]{1,10}$") & value.try_cast("int").isNotNull()
    found = F.concat(F.lit(f'"{name}" is '), F.coalesce(value, F.lit("missing")), F.lit("; it must be an integer"))
    return F.when(~F.coalesce(whole, F.lit(False)), found)
