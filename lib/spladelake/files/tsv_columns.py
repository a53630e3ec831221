"""Parsers of tab-separated documents and queries whose first line names the columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from spladelake.errors import DataError
from spladelake.files.columns import chosen_columns, header_names, option_of, repeated_names
from spladelake.files.guesses import GUESSES
from spladelake.files.rows import LineParser, MalformedError, ParserOf, line_text, usable_id
from spladelake.names import listed

_NAME = re.compile(r"[A-Za-z_][\w .:/-]{0,39}")
_LONGEST_HEADER = 400
# The columns that each line has if the first line is not a header.
PLAIN_COLUMNS = {"documents": ("doc_id", "text"), "queries": ("query_id", "text")}


@dataclass(frozen=True)
class TsvLayout:
    """The header of tab-separated lines.

    - kind: the table.
    - place: the input, for messages.
    - header: the header line.
    - cells: its number of columns.
    - places: position of each column of the table, from 0; None for a missing title.
    """

    kind: str
    place: str
    header: str
    cells: int
    places: tuple[int | None, ...]


def tsv_layout(kind: str, named: Mapping[str, str], first: bytes, *, place: str) -> TsvLayout | None:
    """Return the layout of a file's header, None if the first line is a record.

    A line is a header if one of its cells is a usual name of the id and the others look like names.

    - kind: documents or queries.
    - named: names that the user gave, by column of the table; the first line must have them.
    - first: the first line.
    - place: the input, for messages.

    Raises DataError if a header lacks a needed column.
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
    if not named and not _may_be_header(kind, cells):
        return None
    names = header_names(cells)
    guessed = dict(named)
    key = next(iter(GUESSES[kind]))
    if "text" not in guessed and len(names) == 2 and not set(names) & set(GUESSES[kind]["text"]):
        # If there are two columns, the one besides the id is the text.
        others = [name for name in names if name != named.get(key) and name not in GUESSES[kind][key]]
        guessed |= {"text": others[0]} if len(others) == 1 else {}
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
    return TsvLayout(kind, place, line, len(cells), places)


def _bare(cell: str) -> str:
    return cell.strip(' "#\ufeff')


def _may_be_header(kind: str, cells: list[str]) -> bool:
    ids = next(iter(GUESSES[kind].values()))
    lowered = [cell.lower() for cell in cells]
    return (
        len(cells) > 1
        and any(cell in ids for cell in lowered)
        and all(_NAME.fullmatch(cell) for cell in cells if cell)
        and (len(cells) == 2 or bool(set(lowered) & set(GUESSES[kind]["text"])))
    )


def usual_header(kind: str, line: str) -> list[str] | None:
    """Return the columns of the table in the order of a header, "" for other columns; None for a line that is none.

    A header has usual names for an id and a text among its cells.
    """
    if len(line) > _LONGEST_HEADER:
        return None
    columns = []
    for cell in line.split("\t"):
        columns.append(
            next((column for column in PLAIN_COLUMNS[kind] if _bare(cell).lower() in GUESSES[kind][column]), "")
        )
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
    cells = line.split("\t")
    # Lines may end in a tab even if the header does not. This adds only empty cells.
    if len(cells) < layout.cells or any(cells[layout.cells :]):
        raise MalformedError(f"the line has {len(cells)} columns, but the header has {layout.cells}")
    names = list(GUESSES[layout.kind])
    values = [None if place is None else cells[place] for place in layout.places]
    return (usable_id(names[0], values[0] or ""), *values[1:])
