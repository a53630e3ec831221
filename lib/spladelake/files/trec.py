"""Read and write TREC run and qrels files, in the forms that trec_eval reads.

A run line is `query_id Q0 doc_id rank score run_id`, a qrels line `query_id iteration doc_id relevance`. White space
separates the columns, so ids cannot hold it.
"""

from __future__ import annotations

import errno
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
    score_of,
    shown,
    usable_id,
)
from spladelake.files.tsv import column_count, columns_of, judgement_parser

# Wanted and fix of the message for an error of the operating system, by its number.
_FULL = ("wanted space for the whole file", "Free some space, or choose a path on a larger disk.")
_CLOSED = ("wanted a folder where you may write", "Change the permissions of the folder, or choose another path.")
_WRITE = {
    errno.ENOENT: ("wanted a path in an existing folder", "Create the folder, or correct the path."),
    errno.EISDIR: ("wanted the path of a file", "Add the name of the file to the path."),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _CLOSED),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
}
_READ = {
    errno.ENOENT: ("wanted an existing file", "Correct the path."),
    errno.EISDIR: ("wanted the path of a file", "Add the name of the file to the path."),
    **dict.fromkeys((errno.EACCES, errno.EPERM), ("wanted a file that you may read", "Change its permissions.")),
}


def _run_row_of(line: str) -> RunRow | None:
    columns = columns_of(line)
    if not columns:
        return None
    if len(columns) != 6:
        raise MalformedError(f"{column_count(columns)}; wanted six: query_id, Q0, doc_id, rank, score and run_id")
    query_id, _, doc_id, rank, score, run_id = columns
    query_id, doc_id, run_id = usable_id("query_id", query_id), usable_id("doc_id", doc_id), usable_id("run_id", run_id)
    return run_id, query_id, doc_id, int32_of("rank", rank), score_of(score)


trec_run_row: LineParser[RunRow] = ParserOf(_run_row_of)
"""Parser of one line of a TREC run into (run_id, query_id, doc_id, rank, score), with the rank of the file."""


def read_run(path: Path) -> Iterator[RunRow]:
    """Yield the rows of a TREC run file in the file's order: (run_id, query_id, doc_id, rank, score).

    trec_eval ignores ranks and orders by score. Raises DataError, which names the line, at the first malformed line.
    """
    return _rows_of(path, trec_run_row)


def read_judgements(path: Path) -> Iterator[JudgementRow]:
    """Yield the rows of a qrels file in TREC's or BEIR's form, in the file's order: (query_id, doc_id, relevance).

    Raises DataError, which names the line, at the first malformed line.
    """
    return _rows_of(path, judgement_parser())


def write_run(path: Path, rows: Iterable[RunRow]) -> int:
    """Write a TREC run file of the rows in the given order and return their number.

    - path: the file. A failure leaves no new file and keeps an old one.
    - rows: (run_id, query_id, doc_id, rank, score).

    Raises DataError for an id with white space, which would shift the columns, and for a score that is not finite.
    """
    return write_lines(path, rows, _run_line)


def write_judgements(path: Path, rows: Iterable[JudgementRow]) -> int:
    """Write a qrels file in TREC's form and return the number of rows.

    - path: the file. A failure leaves no new file and keeps an old one.
    - rows: (query_id, doc_id, relevance).

    Raises DataError for an id with white space.
    """
    return write_lines(path, rows, _judgement_line)


def write_lines(path: Path, rows: Iterable[Row], line_of: Callable[[Row, str], str]) -> int:
    """Write one line a row and return the number of lines. The file appears only after all lines are written.

    - path: the file.
    - rows: the rows.
    - line_of: returns the line of a row with its line feed; its second argument is the place for messages.

    Raises DataError if the file cannot be written.
    """
    count = 0
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            for count, row in enumerate(rows, start=1):
                file.write(line_of(row, f"{path} line {count}"))
        os.replace(partial, path)
    except OSError as error:
        found = f"the file cannot be written ({error.strerror})"
        wanted, fix = _WRITE.get(
            error.errno or 0, ("wanted a path where a file can be written", "Choose another path.")
        )
        raise DataError(str(path), found, wanted, fix) from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def trec_id(name: str, value: str, *, place: str) -> str:
    """Return an id as a column of a TREC file. Raises DataError if the id is empty or holds white space."""
    # Readers in Python split columns at every Unicode space, trec_eval at ASCII spaces. An id may hold neither.
    if not value:
        raise DataError(
            place, f"the {name} is empty", "wanted an id of one or more characters", f"Give the row a {name}."
        )
    if value.split() != [value]:
        wanted = "wanted an id without white space, because white space separates the columns of TREC files"
        raise DataError(
            place,
            f"the {name} is {shown(value)}",
            wanted,
            f"Change the {name}.",
        )
    return value


def _run_line(row: RunRow, place: str) -> str:
    run_id, query_id, doc_id, rank, score = row
    columns = [trec_id(n, v, place=place) for n, v in (("query_id", query_id), ("doc_id", doc_id), ("run_id", run_id))]
    if not math.isfinite(score):
        wanted = "wanted a finite number"
        raise DataError(place, f"the score is {score}", wanted, "Make the run again with finite scores.")
    # repr is the shortest form that reads back as the same double, so rounding creates no ties.
    return f"{columns[0]} Q0 {columns[1]} {rank} {float(score)!r} {columns[2]}\n"


def _judgement_line(row: JudgementRow, place: str) -> str:
    query_id, doc_id, relevance = row
    asked, judged = (trec_id(n, v, place=place) for n, v in (("query_id", query_id), ("doc_id", doc_id)))
    return f"{asked} 0 {judged} {relevance}\n"


def _rows_of(path: Path, parse: LineParser[Row]) -> Iterator[Row]:
    try:
        file = path.open("rb")
    except OSError as error:
        found = f"the file cannot be opened ({error.strerror})"
        wanted, fix = _READ.get(error.errno or 0, ("wanted a readable file", "Copy the file to another path."))
        raise DataError(str(path), found, wanted, fix) from error
    with file:
        # Binary lines end only at "\n". Text mode would fail at bytes that are not UTF-8 without naming the line.
        for number, line in enumerate(file, start=1):
            row = parse(line.removesuffix(b"\n"))
            if isinstance(row, Rejected):
                found, _, wanted = row.reason.rpartition("; ")
                raise DataError(
                    f"{path} line {number}",
                    found or wanted,
                    wanted if found else "wanted a row",
                    "Correct or remove the line.",
                )
            if row is not None:
                yield row
