"""Read the records of a csv file from its lines. Quotes enclose delimiters and line feeds; quotes inside double."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from spladelake.errors import DataError
from spladelake.files.columns import chosen_columns, fitted_cells, header_names, repeated_names
from spladelake.files.kept import kept_places
from spladelake.files.rows import MalformedError, grade_of, line_text, usable_id

_DELIMITERS = (",", "\t", ";", "|")
# A first line such as `sep=;`, by which spreadsheets tell each other the delimiter.
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.ASCII)
# A text can be longer than 128 kB, the default limit of the module csv.
_LONGEST_CELL = 1 << 30


HeaderLayout = TypeVar("HeaderLayout")


@dataclass(frozen=True)
class CsvRecord:
    """A record, or the reason why its lines cannot be used.

    - line: number of its first line, from 1.
    - raw: its lines as they are in the file, without the last line feed.
    - cells: one for each column of the header; empty if there is a reason.
    - reason: a clause if the record cannot be used.
    """

    line: int
    raw: bytes
    cells: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class CsvLayout:
    """The columns of a table in a csv file.

    - places: position of each column of the table, from 0; None for an optional column that the file does not have.
    - names: their names in the header.
    - kept: (position, name) of other columns to keep; None keeps none.
    """

    places: dict[str, int | None]
    names: dict[str, str | None]
    kept: tuple[tuple[int, str], ...] | None = None


class _Lines:
    """An iterator of lines as text. `taken` collects their bytes until it is emptied."""

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
    """Return a line as text. Bytes that are not UTF-8 stay visible as lone surrogates."""
    return line.decode("utf-8", errors="surrogateescape")


def _first_line(lines: Iterator[bytes]) -> tuple[int, bytes] | None:
    """Return (number, content) of the first line that is not blank, without a byte order mark."""
    for number, line in enumerate(lines, start=1):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if line.strip():
            return number, line
    return None


def first_csv_line(lines: Sequence[bytes]) -> str | None:
    """Return the first line of a csv file, or the second after a line such as `sep=;`; None if it is no text."""
    found = _first_line(iter(lines[:1]))
    line = None if found is None else found[1]
    if line is not None and _SEPARATOR_LINE.fullmatch(_text(line)):
        line = lines[1] if len(lines) > 1 else None
    try:
        return None if line is None else line_text(line)
    except MalformedError:
        return None


def csv_layout(
    kind: str, named: Mapping[str, str], cells: Sequence[str], *, place: str, keep: tuple[str, ...] = ()
) -> CsvLayout:
    """Return the layout of a header. Raises DataError if a needed column is missing or occurs several times.

    - kind: the table.
    - named: names that the user gave, by column of the table.
    - cells: the cells of the header.
    - place: the file, for messages.
    - keep: names of other columns to keep, or files.kept.ALL.
    """
    names = header_names(cells)
    chosen = chosen_columns(kind, named, names, place=place, repeated=repeated_names(cells))
    places = {column: None if name is None else names.index(name) for column, name in chosen.items()}
    return CsvLayout(places, chosen, kept_places(keep, names, places.values(), place=place) if keep else None)


def csv_rows(
    lines: Iterable[bytes],
    layout_of: Callable[[list[str]], HeaderLayout],
    *,
    place: str,
    otherwise: Callable[[list[str]], HeaderLayout] | None = None,
) -> tuple[HeaderLayout, Iterator[CsvRecord]] | None:
    """Return the layout of a file's header and an iterator of its records, None for a file of blank lines.

    - lines: the lines of one file, in order, without line feeds.
    - layout_of: turns the header's cells into a layout; raises DataError for an unusable header.
    - place: the file, for messages.
    - otherwise: replaces layout_of for a header that layout_of refuses, with the delimiter that gives the most cells.

    The delimiter is the first of comma, tab, semicolon and bar that gives a usable header. Raises DataError if none
    does. A record that repeats the header is skipped: several files were joined. The iterator raises DataError for a
    quote over several lines that is not closed properly, because the meaning of the later lines is then unknown.
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
    layout, cells, used, delimiter = _header(line, source, delimiters, layout_of, otherwise, place)
    return layout, _records(source, number + used, delimiter, cells, place)


def _header(
    line: bytes,
    source: Iterator[bytes],
    delimiters: tuple[str, ...],
    layout_of: Callable[[list[str]], HeaderLayout],
    otherwise: Callable[[list[str]], HeaderLayout] | None,
    place: str,
) -> tuple[HeaderLayout, list[str], int, str]:
    """Return (layout, cells, number of lines of the header, delimiter)."""
    split: dict[str, list[str]] = {}
    refusals: dict[str, DataError] = {}
    for delimiter in delimiters:
        try:
            split[delimiter] = cells = next(csv.reader([_text(line)], delimiter=delimiter, strict=True))
            return layout_of(cells), cells, 1, delimiter
        except DataError as refusal:
            refusals[delimiter] = refusal
        except csv.Error:
            continue
    if delimiters[0] in refusals:
        delimiter = max(split, key=lambda each: len(split[each]))
        if otherwise is None:
            raise refusals[delimiter]
        return otherwise(split[delimiter]), split[delimiter], 1, delimiter
    # A quoted name can go over several lines. Read on with the first delimiter.
    feed = _Lines(chain([line], source))
    try:
        cells = next(csv.reader(feed, delimiter=delimiters[0], strict=True))
    except csv.Error as error:
        if "new-line character" in str(error):
            found, fix = "the lines end in carriage returns alone", "Convert the file: tr '\\r' '\\n' < FILE > NEW"
            raise DataError(place, found, "wanted lines that end in line feeds", fix) from None
        raise _broken_quote(place, 1, str(error)) from None
    return (otherwise or layout_of)(cells), cells, len(feed.taken), delimiters[0]


def _records(
    source: Iterator[bytes], number: int, delimiter: str, header: list[str], place: str
) -> Iterator[CsvRecord]:
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
            # A blank line is no record, and neither is a header of a file that was appended.
            if cells != header and (len(cells) > 1 or (cells and cells[0].strip())):
                yield _record(number, b"\n".join(feed.taken), cells, header)
        number += len(feed.taken)


def _record(number: int, raw: bytes, cells: list[str], header: list[str]) -> CsvRecord:
    width = len(header)
    fitted = fitted_cells(cells, header)
    if fitted is None:
        found = f"the record has {len(cells)} cells, but the header has {width}"
        return CsvRecord(number, raw, reason=found)
    return CsvRecord(number, raw, tuple(fitted))


def _reason(error: str) -> str:
    if "new-line character" in error:
        return "the line has a carriage return outside of quotes; lines must end in a line feed"
    return "the quotes are broken; quotes must enclose a whole cell and be doubled inside the cell"


def _broken_quote(place: str, number: int, error: str) -> DataError:
    where = (
        "is still open at the end of the file" if "unexpected end" in error else "closes inside a cell some lines later"
    )
    return DataError(
        f"{place} line {number}",
        f"a quote opens in this record and {where}",
        "wanted quotes around a whole cell, and each quote inside the cell doubled",
        'Close the quote. Or, if it belongs to the text, write it twice and put the cell in quotes: 12" disc becomes '
        '"12"" disc".',
    )


def checked_row(record: CsvRecord, layout: CsvLayout) -> tuple[Any, ...]:
    """Return the values of a record in the order of the table's columns, None for an empty text or title.

    If other columns are kept, a list of (name, value) is the last value.

    Raises MalformedError with the reason if the record cannot be used.
    """
    if record.reason is not None:
        raise MalformedError(record.reason)
    values = tuple(
        _value(column, layout.names[column] or column, None if place is None else record.cells[place])
        for column, place in layout.places.items()
    )
    if layout.kept is None:
        return values
    return (*values, [(name, _value("", name, record.cells[place])) for place, name in layout.kept])


def _value(column: str, name: str, value: str | None) -> str | int | None:
    if value is None:
        # A pair without a grade is relevant.
        return 1 if column == "relevance" else None
    try:
        value.encode()
    except UnicodeEncodeError as error:
        byte = ord(value[error.start]) - 0xDC00
        raise MalformedError(f'"{name}" holds the byte 0x{byte:02x}, which is not UTF-8; files must be UTF-8') from None
    if column == "relevance":
        return grade_of(name, value)
    return usable_id(name, value) if column.endswith("_id") else value or None
