"""Records of files of lines, of which each is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spladelake.files import LineParser, Rejected
from spladelake.spark.ingest.source import Source
from spladelake.spark.tables.schemas import TableSchema

_PLACE = (
    StructType()
    .add("file", "string")
    .add("block", "long")
    .add("seq", "long")
    .add("raw", "binary")
    .add("reason", "string")
)
PLACE_ARROW = [
    ("file", pa.string()),
    ("block", pa.int64()),
    ("seq", pa.int64()),
    ("raw", pa.binary()),
    ("reason", pa.string()),
]
ARROW_TYPES = {"string": pa.string(), "int": pa.int32(), "double": pa.float64()}


def record_schema(schema: TableSchema) -> StructType:
    """Spark's schema of the records of an input for a table."""
    return StructType([*_PLACE.fields, *schema.struct.fields])


@dataclass(frozen=True)
class ParseLines:
    """The function given to mapInArrow: (file, block, seq, line) batches to records."""

    parser: LineParser[Any]
    schema: TableSchema

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        columns = [(c.name, ARROW_TYPES[c.type]) for c in self.schema.columns]
        arrow = pa.schema([*PLACE_ARROW, *columns])
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


def lines_of(session: SparkSession, source: Source) -> DataFrame:
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
