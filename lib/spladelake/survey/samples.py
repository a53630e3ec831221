"""The first records of an input, and how many there are in all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spladelake.errors import DataError
from spladelake.survey.inputs import Input

SAMPLE_ROWS = 10_000
# Read of each input before the rest is counted by proportion: about a second on one core.
COUNTED_BYTES = 64_000_000
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


@dataclass(frozen=True)
class Column:
    """Values of one column in the sample; kind: string, integer, or what else its values are."""

    name: str
    kind: str
    values: list[Any]

    @property
    def filled(self) -> list[Any]:
        """Values that are neither null nor empty."""
        return [value for value in self.values if value not in (None, "")]

    @property
    def is_unique(self) -> bool:
        """Whether every record has a value of its own."""
        return len(set(map(repr, self.filled))) == len(self.values) > 0

    @property
    def mean_characters(self) -> float:
        return sum(len(str(value)) for value in self.filled) / max(1, len(self.filled))


@dataclass(frozen=True)
class Sample:
    """What was read of an input. lines: as they stand in the file, where a line is a record."""

    source: Input
    rows: int
    is_exact: bool
    columns: dict[str, Column] = field(default_factory=dict)
    lines: tuple[bytes, ...] = ()


def read_sample(source: Input) -> Sample:
    """Look at an input. Raises DataError for one that holds nothing or cannot be read as its format."""
    if source.format in ("parquet", "delta"):
        sample = _parquet_sample(source)
    elif source.format == "csv":
        records, rows, is_exact = _first_records(source, _csv_records)
        sample = Sample(source, rows, is_exact, _columns(records))
    else:
        lines, rows, is_exact = _first_records(source, _line_records)
        columns = _columns(_objects(lines, source.location)) if source.format == "jsonl" else {}
        sample = Sample(source, rows, is_exact, columns, tuple(lines))
    if not sample.rows:
        raise DataError(source.location, "it holds no record", "wanted at least one", "Look at what wrote the file.")
    return sample


def _first_records(source: Input, read: Callable[[Any], Iterator[Any]]) -> tuple[list[Any], int, bool]:
    """(first records, number of all, whether that was counted to the end); blank lines are no records."""
    kept: list[Any] = []
    size = sum(file.stat().st_size for file in source.files)
    rows = done = 0
    for file in source.files:
        with _opened(file, source.location) as (raw, stream):
            for record in read(stream):
                rows += 1
                if len(kept) < SAMPLE_ROWS:
                    kept.append(record)
                if rows % 100 == 0 and done + raw.tell() > COUNTED_BYTES:
                    return kept, round(rows * size / (done + raw.tell())), False
        done += file.stat().st_size
    return kept, rows, True


@contextmanager
def _opened(file: Path, location: str) -> Iterator[tuple[Any, io.BufferedReader]]:
    """(the file as it lies on disk, its bytes decompressed); a fault while reading becomes a DataError."""
    import pyarrow as pa

    if file.suffix in (".snappy", ".deflate"):
        found = f"{file.name} is compressed as only Spark reads it"
        raise DataError(location, found, "wanted plain, gz, bz2, zst or lz4", "Compress it anew.")
    codec = _CODECS.get(file.suffix)
    try:
        with file.open("rb") as raw:
            yield raw, io.BufferedReader(pa.CompressedInputStream(raw, codec), 1 << 20) if codec else raw
    except (OSError, EOFError, csv.Error) as error:
        reason = (str(error).splitlines() or [""])[0]
        fix = "Copy it again from its source, or correct the format."
        raise DataError(str(file), f"it cannot be read ({reason})", "wanted a whole file", fix) from error


def _line_records(stream: io.BufferedReader) -> Iterator[bytes]:
    return (line.removesuffix(b"\n") for line in stream if line.strip())


def _csv_records(stream: io.BufferedReader) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(1 << 30)  # a text may be longer than the 128 kB that the module allows by itself
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    for record in csv.DictReader(text):
        # Values beyond the header's columns stand under None; absent ones are null.
        yield {name: value for name, value in record.items() if name is not None}


def _objects(lines: list[bytes], location: str) -> list[dict[str, Any]]:
    """The JSON objects among the lines; which lines are none is told by the format's own parser."""
    objects = []
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            objects.append(value)
    if lines and not objects:
        raise DataError(
            location,
            "no line of it is a JSON object",
            "wanted JSON lines: one object a line",
            "Of one array in a file make lines with: jq -c '.[]' FILE > FILE.jsonl",
        )
    return objects


def _columns(records: list[dict[str, Any]]) -> dict[str, Column]:
    names = dict.fromkeys(name for record in records for name in record)
    found = {}
    for name in names:
        values = [record.get(name) for record in records]
        found[name] = column_of(name, values)
    return found


def column_of(name: str, values: list[Any]) -> Column:
    """A column of values that Python or JSON has."""
    return Column(name, _kind(values), values)


def _kind(values: list[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {str}:
        return "string"
    return "integer" if kinds == {int} else "/".join(sorted(kind.__name__ for kind in kinds))


def _parquet_sample(source: Input) -> Sample:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, kept = 0, None
    for file in source.files:
        try:
            opened = pq.ParquetFile(file)
            rows += opened.metadata.num_rows
            if kept is None and opened.metadata.num_rows:
                kept = pa.Table.from_batches([next(opened.iter_batches(batch_size=SAMPLE_ROWS))])
        except (pa.ArrowInvalid, OSError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise DataError(str(file), f"it cannot be read ({reason})", "wanted Parquet", "Copy it again.") from error
    columns = {}
    kept = pa.table({}) if kept is None else kept
    for name, kind in zip(kept.schema.names, kept.schema.types, strict=True):
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        label = "string" if is_text else "integer" if pa.types.is_integer(kind) else str(kind)
        plain = pa.types.is_struct(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
        read = plain or pa.types.is_floating(kind) or label in ("string", "integer")
        values = kept[name].to_pylist() if read else [None] * kept.num_rows
        columns[name] = Column(name, label, values)
    # Deletion vectors take rows away that the files still count.
    return Sample(source, rows, source.format == "parquet", columns)
