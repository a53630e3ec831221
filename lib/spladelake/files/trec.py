"""TREC run and qrels files, in the forms that trec_eval reads.

A run line is `query_id Q0 doc_id rank score run_id`, a qrels line `query_id iteration doc_id relevance`; white space
parts the columns, so no id may hold any.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spladelake.errors import DataError
from spladelake.files.rows import (
    JudgementRow,
    LineParser,
    MalformedError,
    ParserOf,
    Rejected,
    Row,
    RunRow,
    int32_of,
    shown,
    usable_id,
)
from spladelake.files.tsv import columns_of, counted, judgement_parser


def _run_row_of(line: str) -> RunRow | None:
    columns = columns_of(line)
    if not columns:
        return None
    if len(columns) != 6:
        raise MalformedError(f"{counted(columns)}; six are wanted, query_id, Q0, doc_id, rank, score and run_id")
    query_id, _, doc_id, rank, score, run_id = columns
    query_id, doc_id, run_id = usable_id("query_id", query_id), usable_id("doc_id", doc_id), usable_id("run_id", run_id)
    return run_id, query_id, doc_id, int32_of("rank", rank), _score_of(score)


def _score_of(column: str) -> float:
    try:
        score = float(column) if "_" not in column else math.nan  # Python's own digit grouping
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise MalformedError(f"score is {shown(column)}; it must be a finite number")
    return score


trec_run_row: LineParser[RunRow] = ParserOf(_run_row_of)
"""Parser of one line of a TREC run into (run_id, query_id, doc_id, rank, score); the rank is what the file says."""


def read_run(path: Path) -> Iterator[RunRow]:
    """Rows of a TREC run file in the file's order: (run_id, query_id, doc_id, rank, score).

    Raises DataError, naming the line, at the first line that is not a row. trec_eval ignores ranks and orders by score.
    """
    return _rows_of(path, trec_run_row)


def read_judgements(path: Path) -> Iterator[JudgementRow]:
    """Rows of a qrels file, TREC's form or BEIR's, in the file's order: (query_id, doc_id, relevance).

    Raises DataError, naming the line, at the first line that is not a row.
    """
    return _rows_of(path, judgement_parser())


def write_run(path: Path, rows: Iterable[RunRow]) -> int:
    """Write a TREC run file of the rows in the order given, and return their number.

    rows: (run_id, query_id, doc_id, rank, score). Raises DataError for an id with white space, which would shift the
    columns, and for a score that is not finite; then, and at any other failure, no file is left and an old one stays.
    """
    return write_lines(path, rows, _run_line)


def write_judgements(path: Path, rows: Iterable[JudgementRow]) -> int:
    """Write a qrels file in TREC's form of (query_id, doc_id, relevance) rows, and return their number.

    Raises DataError for an id with white space; then, and at any other failure, no file is left and an old one stays.
    """
    return write_lines(path, rows, _judgement_line)


def write_lines(path: Path, rows: Iterable[Row], line_of: Callable[[Row, str], str]) -> int:
    """Write one line a row, all or none: the file is there only when it is whole. Returns the number of lines.

    line_of: the line of a row, with its line feed; its second argument is the place to name in an error.
    """
    count = 0
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            for count, row in enumerate(rows, start=1):
                file.write(line_of(row, f"{path} line {count}"))
        os.replace(partial, path)
    except OSError as error:
        found = f"cannot be written ({error.strerror})"
        raise DataError(str(path), found, "wanted a file in an existing folder", "Correct the path.") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def column_of(name: str, value: str, *, place: str) -> str:
    """An id as a column of a file whose columns white space parts. Raises DataError where it holds any, or is empty."""
    # Readers in Python part columns at every Unicode space, trec_eval at ASCII's: neither kind may pass.
    if value.split() != [value]:
        wanted = "an id of a TREC file has characters and no white space"
        raise DataError(place, f"{name} is {shown(value)}", wanted, "Give the run or its documents other ids.")
    return value


def _run_line(row: RunRow, place: str) -> str:
    run_id, query_id, doc_id, rank, score = row
    columns = [
        column_of(n, v, place=place) for n, v in (("query_id", query_id), ("doc_id", doc_id), ("run_id", run_id))
    ]
    if not math.isfinite(score):
        wanted = "the score of a TREC run is a finite number"
        raise DataError(
            place, f"score is {score}", wanted, "Find the vector with this weight and encode its text again."
        )
    # repr is the shortest form that reads back as the same double: no ties are made by writing.
    return f"{columns[0]} Q0 {columns[1]} {rank} {float(score)!r} {columns[2]}\n"


def _judgement_line(row: JudgementRow, place: str) -> str:
    query_id, doc_id, relevance = row
    asked, judged = (column_of(n, v, place=place) for n, v in (("query_id", query_id), ("doc_id", doc_id)))
    return f"{asked} 0 {judged} {relevance}\n"


def _rows_of(path: Path, parse: LineParser[Row]) -> Iterator[Row]:
    try:
        file = path.open("rb")
    except OSError as error:
        found = f"cannot be opened ({error.strerror})"
        raise DataError(str(path), found, "wanted a readable file", "Check the path.") from error
    with file:
        # Binary lines end at "\n" alone; text mode would need the file to be UTF-8 before a line can be named.
        for number, line in enumerate(file, start=1):
            row = parse(line.removesuffix(b"\n"))
            if isinstance(row, Rejected):
                wanted = "every line must be a row"
                raise DataError(f"{path} line {number}", row.reason, wanted, "Correct or remove the line.")
            if row is not None:
                yield row
