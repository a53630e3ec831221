"""Read the first records of an input, and count or estimate all its records."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from spladelake.errors import DataError
from spladelake.files.columns import header_names
from spladelake.files.csv_records import CsvRecord, csv_layout, csv_rows
from spladelake.files.folders import path_columns
from spladelake.files.formats import check_is_lines, check_line_ends
from spladelake.files.guesses import GUESSES
from spladelake.files.parquet_columns import ParquetFooter, parquet_footer, takes, type_name, unreadable
from spladelake.survey.inputs import Input
from spladelake.survey.judgement_files import JsonJudgements, has_no_header, json_judgements
from spladelake.survey.opened import check_file, decompressed

SAMPLE_ROWS = 10_000
# Bytes of an input that are read, about a second on one core. The size of the rest gives an estimate of its records.
COUNTED_BYTES = 64_000_000
# The file, and the cells of its header.
Header = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class SampledColumn:
    """Values of one column in the sample.

    - kind: string, integer, or the name of another type.
    - is_everywhere: whether every file of the input has the column.
    """

    name: str
    kind: str
    values: list[Any]
    is_everywhere: bool = True

    @property
    def filled(self) -> list[Any]:
        """Values that are neither null nor empty."""
        return [value for value in self.values if value not in (None, "")]

    @property
    def is_unique(self) -> bool:
        """Whether all values are different and none is missing."""
        return len(set(map(repr, self.filled))) == len(self.values) > 0

    @property
    def mean_characters(self) -> float:
        return sum(len(str(value)) for value in self.filled) / max(1, len(self.filled))


@dataclass(frozen=True)
class Sample:
    """The sampled part of an input.

    - rows: number of all records. is_exact: whether the number is counted, not estimated.
    - lines: the sampled lines, if each line is a record.
    - headers, records: of csv; each record has the header of its file.
    - footers: of Parquet files. folder_columns: columns from the names of partition folders.
    - judgements: of files with one JSON value each.
    """

    source: Input
    rows: int
    is_exact: bool
    columns: dict[str, SampledColumn] = field(default_factory=dict)
    lines: tuple[bytes, ...] = ()
    headers: tuple[Header, ...] = ()
    records: tuple[tuple[Header, CsvRecord], ...] = ()
    footers: tuple[ParquetFooter, ...] = ()
    folder_columns: tuple[str, ...] = ()
    judgements: JsonJudgements | None = None


def read_sample(
    source: Input, kind: str | None = None, *, named: Mapping[str, Mapping[str, str]] | None = None
) -> Sample:
    """Read the sample of an input. Raises DataError if it has no records or does not have its format.

    - kind: the table, if the user named it.
    - named: names of columns that the user gave, by table and column.
    """
    if source.format in ("parquet", "delta"):
        sample = _parquet_sample(source)
    elif source.format == "csv" and has_no_header(source, kind):
        sample = _sample_of_lines(replace(source, format="qrels"), kind)
    elif source.format == "csv":
        sample = _csv_sample(source, (kind,) if kind else tuple(GUESSES), named or {})
    else:
        sample = _sample_of_lines(source, kind)
    if not sample.rows:
        fix = "Correct the path, or check the program that wrote the input."
        raise DataError(source.location, "the input has no records", "wanted at least one record", fix)
    return sample


def _sample_of_lines(source: Input, kind: str | None) -> Sample:
    """Return the sample of files of lines, or of judgements in files with one JSON value each."""
    lines, rows, is_exact = _first_records(source, _line_records)
    if source.format in ("json", "jsonl") and lines:
        found = json_judgements(source, lines, kind)
        if found is not None:
            return Sample(replace(source, format="json"), len(found.rows), True, judgements=found)
    columns = _columns(_objects(lines, source.location)) if source.format == "jsonl" else {}
    return Sample(source, rows, is_exact, columns, tuple(lines))


def _first_records(source: Input, read: Callable[[Path, Any], Iterator[Any]]) -> tuple[list[Any], int, bool]:
    """Return (first records, number of all records, whether all were counted). Blank lines are no records."""
    kept: list[Any] = []
    size = sum(file.stat().st_size for file in source.files)
    rows = done = 0
    for file in source.files:
        check_file(file, source.format)
        with decompressed(file, source.location) as (raw, stream):
            for record in read(file, stream):
                rows += 1
                if len(kept) < SAMPLE_ROWS:
                    kept.append(record)
                if rows % 100 == 0 and done + raw.tell() > COUNTED_BYTES:
                    return kept, round(rows * size / (done + raw.tell())), False
        done += file.stat().st_size
    return kept, rows, True


def _line_records(_: Path, stream: io.BufferedReader) -> Iterator[bytes]:
    return (line.removesuffix(b"\n") for line in stream if line.strip())


def _objects(lines: list[bytes], location: str) -> list[dict[str, Any]]:
    """Return the JSON objects among the lines. The parser of the format reports the other lines later."""
    objects = []
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            objects.append(value)
    check_is_lines(lines, place=location)
    check_line_ends("documents", "jsonl", {}, lines, location)
    if lines and not objects:
        raise DataError(
            location,
            "no line is a JSON object",
            "wanted JSON lines: one object in each line",
            "Convert the file, or correct the ending of its name or the format option.",
        )
    return objects


def _columns(records: list[dict[str, Any]], known: Iterable[str] = ()) -> dict[str, SampledColumn]:
    names = dict.fromkeys([*known, *(name for record in records for name in record)])
    found = {}
    for name in names:
        values = [record.get(name) for record in records]
        found[name] = column_of(name, values)
    return found


def column_of(name: str, values: list[Any]) -> SampledColumn:
    """Return a column of Python values."""
    return SampledColumn(name, _kind(values), values)


def _kind(values: list[Any]) -> str:
    kinds = Counter(type(value) for value in values if value is not None)
    # A few values of another type are records of their own fault; they do not change what the column is.
    if 2 * kinds[str] >= kinds.total():
        return "string"
    return "integer" if kinds.keys() == {int} else "/".join(sorted(kind.__name__ for kind in kinds))


def _csv_sample(source: Input, kinds: tuple[str, ...], named: Mapping[str, Mapping[str, str]]) -> Sample:
    """Return the sample of csv files, each read by its own header."""
    headers: dict[Header, None] = {}
    layout_of = partial(_table_cells, kinds, named)

    def read(file: Path, stream: io.BufferedReader) -> Iterator[tuple[Header, CsvRecord]]:
        lines = (line.removesuffix(b"\n") for line in stream)
        found = csv_rows(lines, layout_of, place=str(file), otherwise=partial(_several_cells, str(file)))
        if found is not None:
            cells, records = found
            header = str(file), cells
            headers[header] = None
            yield from ((header, record) for record in records)

    records, rows, is_exact = _first_records(source, read)
    usable = [(cells, record.cells) for (_, cells), record in records if record.reason is None]
    shown = [dict(zip(header_names(cells), values, strict=True)) for cells, values in usable]
    there = [header_names(cells) for _, cells in headers]
    columns = {
        name: replace(column, is_everywhere=all(name in names for names in there))
        for name, column in _columns(shown, [name for names in there for name in names]).items()
    }
    return Sample(source, rows, is_exact, columns, headers=tuple(headers), records=tuple(records))


def _table_cells(kinds: tuple[str, ...], named: Mapping[str, Mapping[str, str]], cells: list[str]) -> tuple[str, ...]:
    """Return the cells of a header that ingest_texts would take for one of the tables. Raises DataError otherwise."""
    *others, last = kinds
    for kind in others:
        with suppress(DataError):
            csv_layout(kind, named.get(kind, {}), cells, place="")
            return tuple(cells)
    csv_layout(last, named.get(last, {}), cells, place="")
    return tuple(cells)


def _several_cells(place: str, cells: list[str]) -> tuple[str, ...]:
    """Return the cells of a header. Raises DataError for one cell: the delimiter is another, or there is no header."""
    if len(cells) < 2:
        found = f"the first line has only one cell ({cells[0]})"
        wanted = "wanted a header with an id column and a text column"
        raise DataError(
            place, found, wanted, "Add the header, or separate the cells by commas, tabs, semicolons or bars."
        )
    return tuple(cells)


def _parquet_sample(source: Input) -> Sample:
    import pyarrow as pa
    import pyarrow.parquet as pq

    footers, kept = [], None
    for file in source.files:
        check_file(file, "parquet")
        with file.open("rb") as opened:
            footer = parquet_footer(opened, name=str(file))
            footers.append(footer)
            if kept is None and footer.rows:
                wanted = [name for name, kind in footer.types.items() if _is_read(kind)]
                wanted = [name for name in wanted if name not in footer.repeated]
                try:
                    batches = pq.ParquetFile(opened).iter_batches(batch_size=SAMPLE_ROWS, columns=wanted)
                    kept = pa.Table.from_batches([next(batches)])
                except (pa.ArrowException, OSError) as error:
                    raise unreadable(str(file), error) from error
    columns: dict[str, SampledColumn] = {}
    for footer in footers:
        for name, kind in footer.types.items():
            everywhere = all(name in other.types for other in footers)
            columns.setdefault(name, SampledColumn(name, type_name(kind), _values(kept, name), everywhere))
    # Files count rows that deletion vectors have removed, and older files of a table may lack a column.
    rows, is_exact = sum(footer.rows for footer in footers), source.format == "parquet"
    folders = _folder_columns(source, kept.num_rows if kept else 0, columns) if is_exact else {}
    checked = tuple(footers) if is_exact else ()
    return Sample(source, rows, is_exact, columns | folders, footers=checked, folder_columns=tuple(folders))


def _is_read(kind: Any) -> bool:
    """Whether a column can hold ids, texts or grades, or objects with such fields."""
    import pyarrow as pa

    return takes("text", type_name(kind)) or takes("relevance", type_name(kind)) or pa.types.is_struct(kind)


def _values(kept: Any, name: str) -> list[Any]:
    """Return the values of a column, only None if the table lacks the column."""
    if kept is None:
        return []
    return kept[name].to_pylist() if name in kept.column_names else [None] * kept.num_rows


def _folder_columns(source: Input, rows: int, columns: Mapping[str, SampledColumn]) -> dict[str, SampledColumn]:
    """Return the columns from the names of partition folders, with the value of the first file."""
    first = source.files[0]
    below = first.relative_to(source.location) if first != Path(source.location) else Path(first.name)
    found = {name: value for name, value in path_columns(below.as_posix()).items() if name not in columns}
    return {name: SampledColumn(name, "string", [value] * rows) for name, value in found.items()}
