"""Parsers of tab-separated documents and queries whose first line names the columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from spladelake.errors import DataError
from spladelake.files.columns import (
    chosen_columns,
    fitted_cells,
    header_names,
    named_width,
    option_of,
    repeated_names,
)
from spladelake.files.guesses import GUESSES, plain_name, usual_names
from spladelake.files.rows import LineParser, MalformedError, ParserOf, line_text, usable_id
from spladelake.names import listed

LONGEST_NAME = 40
_NAME = re.compile(rf"[A-Za-z_][\w .:/-]{{0,{LONGEST_NAME - 1}}}")
LONGEST_HEADER = 400
# The columns that each line has if the first line is not a header.
PLAIN_COLUMNS = {"documents": ("doc_id", "text"), "queries": ("query_id", "text")}
# A first cell in quotes, and another cell.
_QUOTED = re.compile(r'"[^"\t]*"\t')


@dataclass(frozen=True)
class TsvLayout:
    """The header of tab-separated lines.

    - kind: the table.
    - place: the input, for messages.
    - header: the header line.
    - cells: its cells.
    - places: position of each column of the table, from 0; None for a missing title.
    """

    kind: str
    place: str
    header: str
    cells: tuple[str, ...]
    places: tuple[int | None, ...]


def tsv_layout(kind: str, named: Mapping[str, str], first: bytes, *, place: str) -> TsvLayout | None:
    """Return the layout of a file's header, None if the first line is a record.

    A line is a header if one of its cells is a usual name of the id and the others look like names.

    - kind: documents or queries.
    - named: names that the user gave, by column of the table; the first line must have them.
    - first: the first line.
    - place: the input, for messages.

    Raises DataError if a header lacks a needed column, and if names or ids are in quotes, which tsv takes as they are.
    """
    try:
        line = line_text(first)
    except MalformedError:
        if named:
            raise DataError(
                f"{place} line 1",
                "the line is not UTF-8",
                "wanted names of columns in UTF-8",
                "Convert the file to UTF-8.",
            ) from None
        return None
    cells = [_bare(cell) for cell in line.split("\t")]
    width = named_width(cells)
    is_header = bool(named) or _may_be_header(kind, cells[:width])
    if _QUOTED.match(line):
        raise _quoted(kind, place, is_header=is_header)
    if not is_header:
        return None
    names = header_names(cells)
    guessed = _with_other_column(kind, named, names[:width])
    try:
        chosen = chosen_columns(kind, guessed, names, place=place, repeated=repeated_names(cells))
    except DataError as refusal:
        fix, absent = refusal.fix, [option_of(kind, column) for column, name in named.items() if name not in names]
        if absent:
            fix = (
                f"Correct {listed(absent, 'and')}, or, if line 1 is a record, write the names of the columns above it, "
            )
            fix += "separated by tabs."
        raise DataError(f"{place} line 1", refusal.found, refusal.wanted, fix) from None
    places = tuple(None if name is None else names.index(name) for name in chosen.values())
    return TsvLayout(kind, place, line, tuple(cells), places)


def _quoted(kind: str, place: str, *, is_header: bool) -> DataError:
    found = "the names of the columns are in quotes" if is_header else "the id is in quotes"
    fix = f"Set --{kind}-format csv, which removes the quotes and finds the tabs."
    if not is_header:
        fix = f"Remove the quotes, or add a first line of names and set --{kind}-format csv."
    return DataError(f"{place} line 1", found, "wanted no quotes, because tsv would take them as part of the text", fix)


def _with_other_column(kind: str, named: Mapping[str, str], names: list[str]) -> dict[str, str]:
    """Return the names that the user gave, and of two columns the one besides the id as the text."""
    key = next(iter(GUESSES[kind]))
    ids, texts = _usual(kind)
    if "text" in named or len(names) != 2 or texts & set(map(plain_name, names)):
        return dict(named)
    others = [name for name in names if name != named.get(key) and plain_name(name) not in ids]
    return {**named, "text": others[0]} if len(others) == 1 else dict(named)


def _bare(cell: str) -> str:
    return cell.strip(' "#\ufeff')


def _may_be_header(kind: str, cells: list[str]) -> bool:
    if len(cells) < 2 or not all(_NAME.fullmatch(cell) for cell in cells if cell):
        return False
    ids, texts = _usual(kind)
    names = set(map(plain_name, cells))
    return bool(names & ids) and (len(cells) == 2 or bool(names & texts))


def _usual(kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the usual names of the id and of the text."""
    return usual_names(kind, next(iter(GUESSES[kind]))), usual_names(kind, "text")


def usual_header(kind: str, line: str) -> list[str] | None:
    """Return the columns of the table in the order of a header, "" for other columns; None for a line that is none.

    A header has usual names for an id and a text among its cells.
    """
    if len(line) > LONGEST_HEADER:
        return None
    names = (plain_name(bare) if len(bare := _bare(cell)) <= LONGEST_NAME else "" for cell in line.split("\t"))
    usual = {column: usual_names(kind, column) for column in PLAIN_COLUMNS[kind]}
    columns = [next((column for column, known in usual.items() if name in known), "") for name in names]
    return columns if set(PLAIN_COLUMNS[kind]) <= set(columns) else None


def laid_out_parser(layout: TsvLayout) -> LineParser[Any]:
    """Return a parser of the lines below a header. The header may occur in several files; it is no row.

    The parser raises DataError for a different header, such as the header of another file.
    """
    return ParserOf(partial(_row_of, layout=layout))


def _row_of(line: str, *, layout: TsvLayout) -> tuple[str | None, ...] | None:
    if line == layout.header or not line.strip(" "):
        return None
    if usual_header(layout.kind, line) is not None:
        # Another file of the input begins here. Its lines would be read with the wrong positions.
        found = f"the input has two headers, {layout.header!r} and {line!r}"
        raise DataError(layout.place, found, "wanted the same columns in every file", "Ingest the files separately.")
    split = line.split("\t")
    cells = fitted_cells(split, layout.cells)
    if cells is None:
        raise MalformedError(f"the line has {len(split)} columns, but the header has {len(layout.cells)}")
    names = list(GUESSES[layout.kind])
    values = [None if place is None else cells[place] for place in layout.places]
    return (usable_id(names[0], values[0] or ""), *values[1:])
