"""The layout of columns in a file of judgements or of a run, read from a header or from the first lines.

TREC's and BEIR's own forms need no layout: their parsers read each line by itself. A layout is for other forms, whose
columns a single line does not show.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from spladelake.errors import DataError
from spladelake.files.guesses import NO_GRADES, told
from spladelake.files.rows import JudgementRow, LineParser, MalformedError, ParserOf, line_text, number_of
from spladelake.files.tsv import column_count, columns_of, judgement_of
from spladelake.names import listed

TREC_COLUMNS = ("query_id", None, "doc_id", "rank", "score", "run_id")
SEPARATORS = ("\t", ",", ";", "|", " ")


@dataclass(frozen=True)
class Layout:
    """The layout of a file.

    - columns: the table's column for each column of the file, None for a column that is not read.
    - separator: the separator of columns; a space stands for white space of any length.
    - read_as: the description of the layout, for the result of the job.
    - header: the names in the file, if it has any; lines equal to the header are no rows.
    - tag: the words of the run's name, if each line ends in several.
    """

    columns: tuple[str | None, ...]
    separator: str
    read_as: str
    header: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()

    def values(self, line: str) -> dict[str, str] | None:
        """Return the values of a line, by column of the table; None for a blank line or a header.

        Raises MalformedError for a line with another number of columns.
        """
        found = parted(line, self.separator)
        if not any(found) or tuple(found) == self.header:
            return None
        wanted = len(self.columns)
        if self.tag:
            found, tag = found[:wanted], tuple(found[wanted:])
            if tag != self.tag:
                raise MalformedError(
                    f"the line does not end in the run name {' '.join(self.tag)!r}, as earlier lines do; wanted one run"
                )
        if len(found) != wanted:
            raise MalformedError(f"{column_count(found)}; wanted {wanted} columns, as in the first lines")
        return {name: value for name, value in zip(self.columns, found, strict=True) if name is not None}


def laid_out_judgement_parser(layout: Layout) -> LineParser[JudgementRow]:
    """Return a parser of one line of judgements under a layout. Without grades each pair has grade 1."""
    return ParserOf(partial(_judgement_of, layout=layout))


def _judgement_of(line: str, *, layout: Layout) -> JudgementRow | None:
    values = layout.values(line)
    return None if values is None else judgement_of(values["query_id"], values["doc_id"], values.get("relevance", "1"))


def usable_lines(first: Sequence[bytes]) -> list[str]:
    """Return the lines that are text and not blank."""
    lines = []
    for line in first:
        try:
            text = line_text(line)
        except MalformedError:
            continue
        if text.strip():
            lines.append(text)
    return lines


def is_quoted(line: str) -> bool:
    """Whether the first column of a line is in quotes: then no column's quotes are its own."""
    return line.startswith('"')


def _unquoted(value: str) -> str:
    return value[1:-1].replace('""', '"') if len(value) > 1 and value[0] == value[-1] == '"' else value


def parted(line: str, separator: str) -> list[str]:
    """Return the columns of a line, without the quotes around them. Raises MalformedError for a broken quote."""
    if separator in (" ", "\t"):
        found = columns_of(line) if separator == " " else [value.strip(" ") for value in line.split("\t")]
        return list(map(_unquoted, found)) if '"' in line else found
    try:
        return [value.strip(" ") for value in next(csv.reader([line], delimiter=separator, strict=True), [])]
    except csv.Error as error:
        raise MalformedError(f"the quotes do not enclose whole columns ({error})") from None


def split_lines(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the columns of each line, an empty list for a line with broken quotes."""
    rows = []
    for line in lines:
        try:
            rows.append(parted(line, separator))
        except MalformedError:
            rows.append([])
    return rows


def parted_by(separator: str) -> str:
    """Return the end of a clause that names the separator, empty for white space."""
    return "" if separator == " " else f", separated by {'tabs' if separator == chr(9) else repr(separator)}"


def header_layout(line: str, kind: str, place: str) -> Layout | None:
    """Return the layout of a header line, None if the line is no header. Raises DataError if its names are unclear."""
    partly = None
    for separator in SEPARATORS:
        (names,) = split_lines([line], separator)
        found = told(kind, names) if len(names) > 1 else {}
        number = next((found[c] for c in ("relevance", "score", "rank") if c in found), None)
        if not found or len({*names}) < len(names) or (number is not None and number_of(number) is not None):
            continue
        if _is_enough(kind, found, names):
            return _named_layout(kind, found, names, separator)
        # A line with one usual name may be a row whose id is that word. Two usual names make a header.
        partly = partly or (names if len(found) > 1 else None)
    if partly is not None:
        wanted = f"query_id, doc_id and {'relevance' if kind == 'judgements' else 'score'}"
        raise DataError(
            place,
            f"the first line names the columns {listed(partly, 'and')}",
            f"wanted usual names of three columns, such as {wanted}",
            f"Rename the columns to {wanted}.",
        )
    return None


def _is_enough(kind: str, found: Mapping[str, str], names: Sequence[str]) -> bool:
    least = {"query_id", "doc_id"} | ({"relevance"} if kind == "judgements" and len(names) > 2 else set())
    return least <= found.keys() and (kind == "judgements" or bool({"rank", "score"} & found.keys()))


def _named_layout(kind: str, found: Mapping[str, str], names: Sequence[str], separator: str) -> Layout:
    by_name = {name: column for column, name in found.items()}
    grades = f": {NO_GRADES}" if kind == "judgements" and "relevance" not in found else ""
    shown = ", ".join(f"{column} from {name}" for column, name in found.items())
    return Layout(tuple(map(by_name.get, names)), separator, f"{shown}, by the header{grades}", header=tuple(names))
