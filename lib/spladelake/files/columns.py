"""Which columns of an input are meant: the names of a header, and the choice among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from spladelake.errors import DataError
from spladelake.files.guesses import GUESSES, OPTIONAL_COLUMNS, grade_column, guess, told

# Usual names that a message lists.
_MOST_GUESSES = 6


def option_of(kind: str, column: str) -> str:
    """The option of ingest_texts that names a column: `--document-text`."""
    return f"--{'query' if kind == 'queries' else kind.removesuffix('s')}-{column.rsplit('_', 1)[-1]}"


def header_names(cells: Sequence[str]) -> list[str]:
    """A name of its own for every cell of a header, as pandas gives them.

    An empty cell is `Unnamed: N`, N its place from 0; the second `text` is `text.1`.
    """
    names: list[str] = []
    for place, cell in enumerate(cells):
        name = cell.strip() or f"Unnamed: {place}"
        again, number = name, 0
        while again in names:
            number += 1
            again = f"{name}.{number}"
        names.append(again)
    return names


def repeated_names(cells: Sequence[str]) -> list[str]:
    """Names that stand more than once in a header."""
    return [name for name, times in Counter(cell.strip() for cell in cells).items() if times > 1 and name]


def chosen_columns(
    kind: str, named: Mapping[str, str], present: Sequence[str], *, place: str, repeated: Collection[str] = ()
) -> dict[str, str | None]:
    """Name in the input of each column of a table; None for a title, or grades, that the input does not have.

    - named: names that the user gave, by column of the table; for the others the usual names are tried.
    - present: names of the input's columns, each once. repeated: those that its header has more than once.
    - place: what errors name.

    Raises DataError if a column that the table needs is not there, or if a usual name stands for several columns.
    """
    chosen: dict[str, str | None] = {}
    by_name = told(kind, present) if kind == "judgements" else {}
    for column, guesses in GUESSES[kind].items():
        wanted = (named[column],) if column in named else guesses[:_MOST_GUESSES]
        if column in named:
            found = named[column] if named[column] in present else None
        elif column == "relevance" and len(chosen) == 2:
            found = grade_column(by_name, present, place=place)
        else:
            found = by_name.get(column) or guess(kind, column, present)
        if found is None and (column in named or (kind, column) not in OPTIONAL_COLUMNS):
            raise DataError(
                place,
                f"it has no column {' or '.join(map(repr, wanted))} (it has {', '.join(present)})",
                f"every {kind} table needs {column}",
                f"Name the column with {option_of(kind, column)}." if kind != "judgements" else "Rename the column.",
            )
        if found in repeated and column not in named:
            raise DataError(
                place,
                f"its header has {found!r} more than once",
                f"wanted one column for {column}",
                f"Say which one with {option_of(kind, column)}: {found!r} is the first, '{found}.1' the second."
                if kind != "judgements"
                else "Rename one of them.",
            )
        chosen[column] = found
    return chosen
