"""Read records of text files: one record in each line, or in one or more lines of csv."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spladelake.files import LineParser, Rejected
from spladelake.files.csv_records import checked_row, csv_layout, csv_rows
from spladelake.files.formats import line_keeper, line_parser
from spladelake.files.kept import KeepingParser
from spladelake.files.rows import MalformedError
from spladelake.spark.ingest import file_heads
from spladelake.spark.ingest.source import Source
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.file_uris import person_path
from spladelake.spark.tables import storage
from spladelake.spark.tables.schema import TableSchema

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
_CSV_ROWS = 5_000


def table_arrow_schema(schema: TableSchema) -> pa.Schema:
    """Return the Arrow schema of the records of an input for a table."""
    return pa.schema([*_PLACE_ARROW, *schema.arrow])


def record_schema(schema: TableSchema) -> StructType:
    """Return the Spark schema of the records of an input for a table."""
    return StructType([*_PLACE.fields, *schema.struct.fields])


@dataclass(frozen=True)
class ParseLines:
    """The function for mapInArrow: turns batches of (file, block, seq, line) into records."""

    parser: LineParser[Any]
    schema: TableSchema

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        columns = [(field.name, field.type) for field in self.schema.arrow]
        arrow = table_arrow_schema(self.schema)
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


@dataclass(frozen=True)
class ParseCsv:
    """The function for mapInArrow: turns all lines of some files, in order, into records. seq is the record's line."""

    kind: str
    columns: tuple[tuple[str, str], ...]
    schema: TableSchema
    keep: tuple[str, ...] = ()

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arrow = table_arrow_schema(self.schema)
        rows: list[tuple[Any, ...]] = []
        for row in self._rows(batches):
            rows.append(row)
            if len(rows) == _CSV_ROWS:
                yield _batch(rows, arrow)
                rows = []
        if rows:
            yield _batch(rows, arrow)

    def _rows(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[Any, ...]]:
        blank = (None,) * len(self.schema.columns)
        pairs = (
            pair
            for batch in batches
            for pair in zip(batch.column("file").to_pylist(), batch.column("line").to_pylist(), strict=True)
        )
        for file, lines in groupby(pairs, itemgetter(0)):
            place = person_path(file)
            layout_of = partial(csv_layout, self.kind, dict(self.columns), place=place, keep=self.keep)
            found = csv_rows((line for _, line in lines), layout_of, place=place)
            if found is None:
                continue
            layout, records = found
            for record in records:
                try:
                    yield (file, 0, record.line, None, None, *checked_row(record, layout))
                except MalformedError as fault:
                    yield (file, 0, record.line, record.raw, str(fault), *blank)


def _batch(rows: list[tuple[Any, ...]], arrow: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, arrow.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow)


def _reader(session: SparkSession, source: Source) -> tuple[DataFrameReader, list[str]]:
    """Return a reader of lines, and the paths for it."""
    paths = source.paths(session)
    # Line feeds only: a text may hold U+0085 or a lone carriage return.
    options = {**storage.reader_options(file.path for file in source.listed(session)), "lineSep": "\n"}
    return session.read.options(**options), paths


def lines_of(session: SparkSession, source: Source) -> DataFrame:
    """Return every line of a text input: (file, block, seq, line)."""
    reader, paths = _reader(session, source)
    return reader.text(paths).select(
        F.col("_metadata.file_path").alias("file"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("seq"),
        F.col("value").cast("binary").alias("line"),
    )


def line_records(session: SparkSession, source: Source) -> DataFrame:
    """Return the records of an input with one record in each line."""
    first = file_heads.first_lines(session, source.listed(session))
    parser, _ = line_parser(source.kind, source.format, dict(source.columns), place=source.location, first=first)
    if source.keep:
        keep = line_keeper(source.format, dict(source.columns), source.keep, place=source.location, first=first)
        parser = KeepingParser(parser, keep)
    return parsed_lines(session, source, parser)


def parsed_lines(session: SparkSession, source: Source, parser: LineParser[Any]) -> DataFrame:
    """Return the records that a parser makes from the lines of an input."""
    schema = source.parsed_schema
    return map_arrow(lines_of(session, source), ParseLines(parser, schema), record_schema(schema))


def csv_frame(session: SparkSession, source: Source) -> DataFrame:
    """Return the records of csv files. One task reads each file from start to end, by its own header."""
    lines = lines_of(session, source).repartition("file").sortWithinPartitions("file", "block", "seq")
    parse = ParseCsv(source.kind, source.columns, source.parsed_schema, source.keep)
    return map_arrow(lines, parse, record_schema(source.parsed_schema))
