"""Read judgements and runs from files with one JSON value each. A worker parses each file as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from spladelake.files.json_pairs import json_rows
from spladelake.files.rows import MalformedError, Rejected, line_text
from spladelake.spark.ingest.source import Source
from spladelake.spark.ingest.text_files import record_schema, table_arrow_schema
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.tables import storage
from spladelake.spark.tables.schema import TableSchema

_ROWS = 50_000
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


@dataclass(frozen=True)
class ParseJson:
    """The function for mapInArrow: turns (path, content) of files into records. A broken file becomes one record."""

    kind: str
    schema: TableSchema
    by_rank: bool

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arrow = table_arrow_schema(self.schema)
        rows = (row for batch in batches for file in batch.to_pylist() for row in self._rows(**file))
        while taken := list(islice(rows, _ROWS)):
            arrays = [
                pa.array(values, kind) for values, kind in zip(zip(*taken, strict=True), arrow.types, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=arrow)

    def _rows(self, path: str, content: bytes) -> Iterator[tuple[Any, ...]]:
        blank = (None,) * len(self.schema.columns)
        try:
            text = _text(path, content)
        except MalformedError as fault:
            yield path, 0, 0, content[:200], str(fault), *blank
            return
        for number, (raw, row) in enumerate(json_rows(text, self.kind, by_rank=self.by_rank)):
            if isinstance(row, Rejected):
                yield path, 0, number, content[:200] if raw is None else raw, row.reason, *blank
            else:
                yield path, 0, number, None, None, *row


def _text(path: str, content: bytes) -> str:
    codec = next((codec for suffix, codec in _CODECS.items() if path.endswith(suffix)), None)
    if codec is not None:
        try:
            content = pa.input_stream(pa.BufferReader(content), compression=codec).read()
        except OSError as error:
            raise MalformedError(f"the file cannot be decompressed ({error})") from None
    return line_text(content)


def json_records(session: SparkSession, source: Source, *, by_rank: bool = False) -> DataFrame:
    """Return the records of the files of an input. by_rank: whether ranks decide the order of a run."""
    paths = source.paths(session)
    options = storage.reader_options(file.path for file in source.listed(session))
    files = session.read.format("binaryFile").options(**options).load(paths)
    parse = ParseJson(source.kind, source.schema, by_rank)
    return map_arrow(files.select("path", "content"), parse, record_schema(source.schema))
