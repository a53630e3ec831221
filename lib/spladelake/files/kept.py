"""Columns of text files that are kept beside id, title and text: their values as text, by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from spladelake.errors import DataError
from spladelake.files.jsonl import ABSENT, field_of, parsed, writable
from spladelake.files.rows import LineParser, MalformedError, Rejected, line_text
from spladelake.names import suggestion

# The word that keeps all columns.
ALL = ("all",)
Pairs = list[tuple[str, str | None]]


@dataclass(frozen=True)
class KeepFields:
    """Returns the fields of a JSON line that are kept. A string stays as it is, other values are their JSON text.

    - wanted: names of fields, or ALL. `a.b` is the key b in the object a.
    - used: fields that the table has anyway.
    """

    wanted: tuple[str, ...]
    used: tuple[str, ...]

    def __call__(self, line: bytes) -> Pairs:
        fields = parsed(line_text(line))
        names = [name for name in fields if name not in self.used] if self.wanted == ALL else self.wanted
        found = ((name, field_of(fields, name)) for name in names)
        return [(name, _text(name, value)) for name, value in found if value is not ABSENT]


@dataclass(frozen=True)
class KeepCells:
    """Returns the cells of a tab-separated line that are kept.

    - places: (position, name) of each.
    """

    places: tuple[tuple[int, str], ...]

    def __call__(self, line: bytes) -> Pairs:
        cells = line_text(line).split("\t")
        # A line may lack empty cells at its end.
        return [(name, cells[place] if cells[place:] and cells[place] else None) for place, name in self.places]


@dataclass(frozen=True)
class KeepingParser:
    """A line parser whose rows end in the pairs that are kept."""

    parser: LineParser[Any]
    keep: KeepFields | KeepCells

    def __call__(self, line: bytes) -> tuple[Any, ...] | Rejected | None:
        row = self.parser(line)
        if row is None or isinstance(row, Rejected):
            return row
        try:
            return (*row, self.keep(line))
        except MalformedError as fault:
            return Rejected(str(fault))


def _text(name: str, value: Any) -> str | None:
    if value is None or type(value) is str:
        return None if value is None else writable(name, value)
    return writable(name, json.dumps(value, ensure_ascii=False))


def kept_places(
    wanted: tuple[str, ...], names: Sequence[str], used: Iterable[int | None], *, place: str
) -> tuple[tuple[int, str], ...]:
    """Return (position, name) of the columns of a header that are kept.

    - wanted: names, or ALL.
    - names: the names of the header.
    - used: positions of the columns that the table has anyway.
    - place: the file, for messages.

    Raises DataError for an unknown name.
    """
    if wanted == ALL:
        taken = set(used)
        return tuple((at, name) for at, name in enumerate(names) if at not in taken)
    check_kept(wanted, names, place)
    return tuple((names.index(name), name) for name in wanted)


def check_kept(wanted: Iterable[str], known: Sequence[str], place: str) -> None:
    """Raise DataError if an input lacks a column to keep.

    - wanted, known: names of the columns to keep, and of all that the input has.
    """
    for name in wanted:
        if name not in known:
            raise DataError(place, f"no column is called {name!r}", suggestion(name, known), "Correct --keep.")


def check_keys_found(wanted: Iterable[str], found: Sequence[str], place: str) -> None:
    """Raise DataError if no line of JSON has a key to keep.

    - wanted: the keys to keep.
    - found: those of them that some line has.
    """
    absent = [name for name in wanted if name not in found]
    if absent:
        needed = "wanted each key of --keep in at least one line"
        fix = f"Leave {absent[0]} out of --keep, or correct the name."
        raise DataError(place, f"no line has the key {absent[0]!r}", needed, fix)
