"""Records of a csv file from its lines: quotes may enclose delimiters and line feeds, and are doubled inside."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from spladelake.errors import DataError
from spladelake.files.columns import chosen_columns, header_names, repeated_names
from spladelake.files.rows import MalformedError, grade_of, usable_id

_DELIMITERS = (",", "\t", ";", "|")
# The first line that spreadsheets write for each other.
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.ASCII)
# A text may be longer than the 128 kB that the module csv allows by itself.
_LONGEST_CELL = 1 << 30


Layout = TypeVar("Layout")


@dataclass(frozen=True)
class CsvRecord:
    """A record, or why there is none.

    - line: number of its first line, from 1.
    - raw: its lines as they stand in the file, without the last line feed.
    - cells: one for each column of the header.
    - reason: a clause if the record cannot be used; then cells is empty.
    """

    line: int
    raw: bytes
    cells: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class CsvLayout:
    """Where the columns of a table stand in a csv file.

    - places: place of each column of the table, from 0; None for a title that the file does not have.
    - names: what the header calls them.
    """

    places: dict[str, int | None]
    names: dict[str, str | None]


class _Lines:
    """Lines as text, and their bytes since `taken` was emptied."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.taken: list[bytes] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        return _text(line) + "\n"


def _text(line: bytes) -> str:
    """A line as text; bytes that are not UTF-8 stay visible as lone surrogates."""
    return line.decode("utf-8", errors="surrogateescape")


def _first_line(lines: Iterator[bytes]) -> tuple[int, bytes] | None:
    """(number, content) of the first line that is not blank, without a byte order mark."""
    for number, line in enumerate(lines, start=1):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if line.strip():
            return number, line
    return None


def csv_layout(kind: str, named: Mapping[str, str], cells: Sequence[str], *, place: str) -> CsvLayout:
    """The layout that a header tells. Raises DataError if a column is not in it, or not once.

    kind, named: the table, and the names that the user gave to its columns.
    """
    names = header_names(cells)
    chosen = chosen_columns(kind, named, names, place=place, repeated=repeated_names(cells))
    places = {column: None if name is None else names.index(name) for column, name in chosen.items()}
    return CsvLayout(places, chosen)


def csv_rows(
    lines: Iterable[bytes], layout_of: Callable[[list[str]], Layout], *, place: str
) -> tuple[Layout, Iterator[CsvRecord]] | None:
    """What `layout_of` makes of a file's header, and the records below; None if there is no line but blank ones.

    - lines: of one file, in order, without their line feeds.
    - layout_of: from the header's cells; it raises DataError for a header that will not do.
    - place: the file, for errors.

    The delimiter is the first of comma, tab, semicolon and bar with which the header will do. Raises DataError if it
    does with none, and, from the iterator, for a quote over several lines that does not end as a quote does: no reader
    can tell then what the lines after it are.
    """
    source = iter(lines)
    first = _first_line(source)
    if first is None:
        return None
    number, line = first
    if separator := _SEPARATOR_LINE.fullmatch(_text(line)):
        delimiters: tuple[str, ...] = (separator[1],)
        number, line = number + 1, next(source, b"")
    else:
        delimiters = _DELIMITERS
    csv.field_size_limit(_LONGEST_CELL)
    layout, width, used, delimiter = _header(line, source, delimiters, layout_of, place)
    return layout, _records(source, number + used, delimiter, width, place)


def _header(
    line: bytes,
    source: Iterator[bytes],
    delimiters: tuple[str, ...],
    layout_of: Callable[[list[str]], Layout],
    place: str,
) -> tuple[Layout, int, int, str]:
    """(layout, number of cells, number of lines that the header takes, delimiter)."""
    refusals: list[Exception] = []
    for delimiter in delimiters:
        try:
            cells = next(csv.reader([_text(line)], delimiter=delimiter, strict=True))
            return layout_of(cells), len(cells), 1, delimiter
        except (DataError, csv.Error) as refusal:
            refusals.append(refusal)
    if isinstance(refusals[0], DataError):
        raise refusals[0]
    # A name in quotes that goes over several lines: read on with the first delimiter.
    feed = _Lines(chain([line], source))
    try:
        cells = next(csv.reader(feed, delimiter=delimiters[0], strict=True))
    except csv.Error as error:
        if "new-line character" in str(error):
            found, fix = "its lines end in carriage returns alone", "Convert it: tr '\\r' '\\n' < FILE > NEW"
            raise DataError(place, found, "wanted line feeds", fix) from None
        raise _broken_quote(place, 1, str(error)) from None
    return layout_of(cells), len(cells), len(feed.taken), delimiters[0]


def _records(source: Iterator[bytes], number: int, delimiter: str, width: int, place: str) -> Iterator[CsvRecord]:
    feed = _Lines(source)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.taken = []
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if len(feed.taken) > 1:
                raise _broken_quote(place, number, str(error)) from None
            yield CsvRecord(number, feed.taken[0], reason=_reason(str(error)))
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
        else:
            # A blank line is no record.
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield _record(number, b"\n".join(feed.taken), cells, width)
        number += len(feed.taken)


def _record(number: int, raw: bytes, cells: list[str], width: int) -> CsvRecord:
    # A delimiter at the end of every line but the header's adds empty cells only.
    if len(cells) < width or any(cells[width:]):
        found = f"the record has {len(cells)} cells, not the header's number of columns, {width}"
        return CsvRecord(number, raw, reason=found)
    return CsvRecord(number, raw, tuple(cells[:width]))


def _reason(error: str) -> str:
    if "new-line character" in error:
        return "a carriage return stands in the line outside of quotes; lines must end in a line feed"
    return "a quote does not end as one; a cell in quotes ends at its last one, and quotes inside it are doubled"


def _broken_quote(place: str, number: int, error: str) -> DataError:
    where = "is not closed before the file ends" if "unexpected end" in error else "is closed within a cell"
    return DataError(
        f"{place} line {number}",
        f"a quote is opened in this record and {where}, lines later",
        "wanted quotes around a whole cell, and doubled inside it",
        'Close or double the quote: a cell 5" is written "5""".',
    )


def checked_row(record: CsvRecord, layout: CsvLayout) -> tuple[str | int | None, ...]:
    """Cells of a record by the columns of its table; None for an empty text or title.

    Raises MalformedError with the reason if the record cannot be used.
    """
    if record.reason is not None:
        raise MalformedError(record.reason)
    return tuple(
        _value(column, layout.names[column] or column, None if place is None else record.cells[place])
        for column, place in layout.places.items()
    )


def _value(column: str, name: str, value: str | None) -> str | int | None:
    if value is None:
        # Pairs without grades are relevant.
        return 1 if column == "relevance" else None
    try:
        value.encode()
    except UnicodeEncodeError as error:
        byte = ord(value[error.start]) - 0xDC00
        raise MalformedError(f'"{name}" holds the byte 0x{byte:02x}, which is not UTF-8; files must be UTF-8') from None
    if column == "relevance":
        return grade_of(name, value)
    return usable_id(name, value) if column.endswith("_id") else value or None
