"""Find headers after the first line: files of one input can begin with headers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spladelake.errors import DataError
from spladelake.files.guesses import GUESSES, plain_name, usual_names
from spladelake.files.layouts import Layout, header_layout
from spladelake.files.rows import LineParser, MalformedError, Rejected, line_text
from spladelake.files.tsv_columns import LONGEST_HEADER, LONGEST_NAME, usual_header

JUDGED = ("query_id", "doc_id", "relevance")


@dataclass(frozen=True)
class WithoutHeaders:
    """A line parser for an input whose later files may have headers.

    A header that orders the columns as before is no row. Any other header raises DataError: the positions of the
    first file are wrong for the lines below it.

    - parser: the parser of all lines.
    - kind: the table.
    - columns: the columns of the table in the order of a line; None for a column that is not read.
    - place: the input, for messages.
    """

    parser: LineParser[Any]
    kind: str
    columns: tuple[str | None, ...]
    place: str

    def __call__(self, line: bytes) -> Any:
        row = self.parser(line)
        if row is None or len(line) > LONGEST_HEADER or not self._may_be_header(row):
            return row
        text = _text(line)
        order = _order(self.kind, text, self.place)
        if order is None:
            return row
        if order == [column for column in self.columns if column]:
            return None
        raise self._refused(text)

    def _refused(self, text: str) -> DataError:
        if self.kind != "judgements":
            found = f"later lines have the header {text!r}, but the first lines have no header"
            fix = (
                "Write a header with the names of their columns above the first lines, or ingest the files separately."
            )
            return DataError(self.place, found, "wanted a header in every file, or in none", fix)
        first = ", ".join(column for column in self.columns if column)
        found = f"later lines have the header {text!r}, but the first lines have the columns {first}"
        fix = "Write the columns of all files in one order, or ingest only one of the files."
        return DataError(self.place, found, "wanted the same columns in the same order in every file", fix)

    def _may_be_header(self, row: Any) -> bool:
        """Whether a line can be a header: it is no row, or its id is a usual name of a column."""
        if isinstance(row, Rejected):
            return True
        first = str(row[0])
        return len(first) <= LONGEST_NAME and plain_name(first) in _NAMES[self.kind]


_NAMES = {
    kind: frozenset.union(*(usual_names(kind, column) for column in columns)) for kind, columns in GUESSES.items()
}


def _text(line: bytes) -> str:
    try:
        return line_text(line)
    except MalformedError:
        return ""


def _order(kind: str, line: str, place: str) -> Sequence[str] | None:
    """Return the columns of the table in the order of a header, None for a line that is no header."""
    if kind != "judgements":
        return usual_header(kind, line)
    try:
        header: Layout | None = header_layout(line, kind, place)
    except DataError:
        return None
    return None if header is None else [column for column in header.columns if column]
