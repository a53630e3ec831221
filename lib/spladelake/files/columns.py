"""The choice of an input's columns: the names in a header, and the column of the input for each column of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from spladelake.errors import DataError
from spladelake.files.guesses import GUESSES, OPTIONAL_COLUMNS, grade_column, guess, told
from spladelake.names import listed

# Most usual names that a message lists.
_MOST_GUESSES = 6
# Tables whose columns no option names.
_WITHOUT_OPTIONS = ("judgements", "runs")
_HELD = {"query_id": "query ids", "doc_id": "document ids", "relevance": "grades"}


def option_of(kind: str, column: str) -> str:
    """Return the option of ingest_texts that names a column, such as `--document-text`."""
    return f"--{'query' if kind == 'queries' else kind.removesuffix('s')}-{column.rsplit('_', 1)[-1]}"


def naming_fix(kind: str, column: str, *, named: bool = False) -> str:
    """Return the fix for an input in which a column was not found. named: whether the user gave its name."""
    if named:
        return f"Correct {option_of(kind, column)}."
    if kind in _WITHOUT_OPTIONS:
        return f"Rename the column that holds the {_HELD.get(column, column)} to {GUESSES[kind][column][0]}."
    return f"Name the column with {option_of(kind, column)}."


def header_names(cells: Sequence[str]) -> list[str]:
    """Return a unique name for every cell of a header, as pandas does.

    An empty cell is `Unnamed: N`, with its position N from 0. The second `text` is `text.1`.
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
    """Return the names that a header has more than once."""
    return [name for name, times in Counter(cell.strip() for cell in cells).items() if times > 1 and name]


def named_width(header: Sequence[str]) -> int:
    """Return the number of cells of a header without the empty ones at its end."""
    return next((place for place in range(len(header), 0, -1) if header[place - 1].strip()), 0)


def fitted_cells(cells: Sequence[str], header: Sequence[str]) -> list[str] | None:
    """Return one cell for each column of a header, None if a record has too many or too few cells.

    A record may end in more delimiters than its header, or in fewer: this adds or leaves out only empty cells without
    a name.
    """
    width = len(header)
    if (len(cells) < width and len(cells) < named_width(header)) or any(cells[width:]):
        return None
    return [*cells[:width], *[""] * (width - len(cells))]


def chosen_columns(
    kind: str, named: Mapping[str, str], present: Sequence[str], *, place: str, repeated: Collection[str] = ()
) -> dict[str, str | None]:
    """Return the input's name of each column of a table, None for a missing optional column (title, grades, rank …).

    - kind: the table.
    - named: names that the user gave, by column of the table. For the other columns the usual names are tried.
    - present: the unique names of the input's columns.
    - place: the input, for messages.
    - repeated: the names that its header has more than once.

    Raises DataError if a column that the table needs is missing, or if several columns have the usual name.
    """
    chosen: dict[str, str | None] = {}
    by_name = told(kind, present) if kind in _WITHOUT_OPTIONS else {}
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
                f"no column is called {listed(map(repr, wanted))} (columns: {', '.join(present)})",
                f"wanted a column for {column}",
                naming_fix(kind, column, named=column in named),
            )
        if found in repeated and column not in named:
            raise DataError(
                place,
                f"the header has {found!r} more than once",
                f"wanted one column for {column}",
                f"Set {option_of(kind, column)} to {found!r} for the first column, or to '{found}.1' for the second."
                if kind not in _WITHOUT_OPTIONS
                else f"Rename all but one of the columns {found!r}.",
            )
        chosen[column] = found
    return chosen


def check_same_grades(place: str, graded: Collection[bool]) -> None:
    """Raise DataError if some files of judgements have grades and others have none, which would count as grade 1.

    - place: the input.
    - graded: for each file, whether it has grades.
    """
    if len(set(graded)) > 1:
        found, fix = "some files have grades, and others have none", "Add a column of grades to the other files."
        raise DataError(place, found, "wanted the same columns in every file", fix)
