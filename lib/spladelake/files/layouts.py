"""How the columns of judgements and of runs stand in a file of lines: told by a header, or by the first lines.

TREC's and BEIR's own forms need no layout: their parsers take them line by line. A layout is for what else people have,
where one line alone does not say what its columns are.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from spladelake.errors import DataError
from spladelake.files.guesses import NO_GRADES, told
from spladelake.files.rows import JudgementRow, LineParser, MalformedError, ParserOf, line_text, number_of
from spladelake.files.tsv import columns_of, counted, judgement_of

TREC_COLUMNS = ("query_id", None, "doc_id", "rank", "score", "run_id")
SEPARATORS = ("\t", ",", ";", "|", " ")


@dataclass(frozen=True)
class Layout:
    """How the columns of a file stand.

    - columns: what each is in the table; None for one that is not read.
    - separator: what parts them; a space stands for white space of any length.
    - header: the names in the file, if it has any: such a line is no row.
    - tag: name of the run, if it has several words at the end of each line.
    - read_as: what was understood, for the result of the job.
    """

    columns: tuple[str | None, ...]
    separator: str
    read_as: str
    header: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()

    def values(self, line: str) -> dict[str, str] | None:
        """Values of a line by the table's columns; None for a blank line or a header.

        Raises MalformedError for a line with another number of columns.
        """
        found = parted(line, self.separator)
        if not any(found) or tuple(found) == self.header:
            return None
        wanted = len(self.columns)
        if self.tag:
            found, tag = found[:wanted], tuple(found[wanted:])
            if tag != self.tag:
                raise MalformedError(f"it does not end in {' '.join(self.tag)}, as the lines before; one run is wanted")
        if len(found) != wanted:
            raise MalformedError(f"{counted(found)}; {wanted} are wanted, as in the first lines")
        return {name: value for name, value in zip(self.columns, found, strict=True) if name is not None}


def laid_out_judgement_parser(layout: Layout) -> LineParser[JudgementRow]:
    """Parser of one line of judgements under a layout; without grades each pair is of grade 1."""
    return ParserOf(partial(_judgement_of, layout=layout))


def _judgement_of(line: str, *, layout: Layout) -> JudgementRow | None:
    values = layout.values(line)
    return None if values is None else judgement_of(values["query_id"], values["doc_id"], values.get("relevance", "1"))


def usable_lines(first: Sequence[bytes]) -> list[str]:
    """The lines that are text and not blank."""
    lines = []
    for line in first:
        try:
            text = line_text(line)
        except MalformedError:
            continue
        if text.strip():
            lines.append(text)
    return lines


def parted(line: str, separator: str) -> list[str]:
    """Columns of a line. Raises MalformedError for a quote that does not end as one."""
    if separator == " ":
        return columns_of(line)
    if separator == "\t":
        return [value.strip(" ") for value in line.split("\t")]
    try:
        return [value.strip(" ") for value in next(csv.reader([line], delimiter=separator, strict=True), [])]
    except csv.Error as error:
        raise MalformedError(f"its quotes do not part columns ({error})") from None


def split_lines(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Columns of lines; none of a line whose quotes are broken."""
    rows = []
    for line in lines:
        try:
            rows.append(parted(line, separator))
        except MalformedError:
            rows.append([])
    return rows


def parted_by(separator: str) -> str:
    """What parts columns, as the end of a clause; nothing for white space."""
    return "" if separator == " " else f", parted by {'tabs' if separator == chr(9) else repr(separator)}"


def header_layout(line: str, kind: str, place: str) -> Layout | None:
    """A layout by the names of the first line; None if it is no header."""
    partly = None
    for separator in SEPARATORS:
        (names,) = split_lines([line], separator)
        found = told(kind, names) if len(names) > 1 else {}
        number = next((found[c] for c in ("relevance", "score", "rank") if c in found), None)
        if not found or len({*names}) < len(names) or (number is not None and number_of(number) is not None):
            continue
        if _is_enough(kind, found, names):
            return _named_layout(kind, found, names, separator)
        # One name that is told may be an id; two are a header.
        partly = partly or (names if len(found) > 1 else None)
    if partly is not None:
        wanted = f"query_id, doc_id and {'relevance' if kind == 'judgements' else 'score'}"
        raise DataError(
            place,
            f"its first line names {', '.join(partly)}",
            f"wanted names that tell three columns, such as {wanted}",
            "Rename them in the file.",
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
