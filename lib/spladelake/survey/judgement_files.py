"""Judgements whose form only their content shows: one JSON value, as {"q1": {"d1": 1}}, or csv without a header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spladelake.files import Rejected
from spladelake.files.csv_records import first_csv_line
from spladelake.files.formats import first_keys
from spladelake.files.guesses import told
from spladelake.files.json_pairs import LISTS, Row, json_rows
from spladelake.files.jsonl import parsed
from spladelake.files.layouts import header_layout
from spladelake.files.rows import MalformedError, line_text
from spladelake.survey.inputs import Input, kind_by_name
from spladelake.survey.opened import check_file, decompressed

# The beginning of an object of queries, each with an object of documents and grades.
_GRADES = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*(?:-?[0-9]|true|false)')
# Largest size, in bytes, of files that are read only because they begin like judgements.
_MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class JsonJudgements:
    """The judgements of all files of an input, in order.

    - rows: usable rows as tuples, and unusable pairs.
    - has_grades: False for lists of documents alone.
    """

    rows: tuple[Row | Rejected, ...]
    has_grades: bool


def json_judgements(source: Input, lines: Sequence[bytes], kind: str | None) -> JsonJudgements | None:
    """Return the judgements of an input as ingest_texts reads them. None if its files hold lines or another table.

    - lines: the first lines that are not blank.
    - kind: the table, if the user named it.
    """
    if source.format == "json":
        return _read(source.files, source.location)
    if kind not in (None, "judgements") or {"query_id", "doc_id"} <= told("judgements", first_keys(lines[:1])).keys():
        return None
    if not _is_called_judgements(source, kind) and not _begins_so(source, lines):
        return None
    found = _read(source.files, source.location)
    is_broken = any(isinstance(row, Rejected) for row in found.rows)
    # Nobody said that the file holds judgements, and its lines are objects.
    return None if kind is None and is_broken and first_keys(lines) else found


def has_no_header(source: Input, kind: str | None) -> bool:
    """Whether a csv input is called judgements and its first line names no columns. Each line is a judgement then.

    Raises DataError if the first line may be a header and may be a judgement.
    """
    if not _is_called_judgements(source, kind):
        return False
    with decompressed(source.files[0], source.location) as (_, stream):
        first = first_csv_line([stream.readline().removesuffix(b"\n") for _ in range(2)])
    return first is not None and header_layout(first, "judgements", source.location) is None


def _is_called_judgements(source: Input, kind: str | None) -> bool:
    return (kind or kind_by_name(source.location)) == "judgements"


def _begins_so(source: Input, lines: Sequence[bytes]) -> bool:
    """Whether the first object can only be one of judgements, and the files are small enough to be read whole."""
    head = b"\n".join(lines[:100])
    if not (_GRADES.match(head) or LISTS.match(head)):
        return False
    try:
        first = parsed(line_text(lines[0]))
    except MalformedError:
        first = {}
    is_nested = isinstance(first, dict) and all(isinstance(value, dict | list) for value in first.values())
    return is_nested and sum(file.stat().st_size for file in source.files) <= _MOST_BYTES


def _read(files: Iterable[Path], location: str) -> JsonJudgements:
    rows: list[Row | Rejected] = []
    has_grades = True
    for place, file in enumerate(files):
        check_file(file, "json")
        with decompressed(file, location) as (_, stream):
            content = stream.read()
        has_grades = has_grades and not (place == 0 and LISTS.match(content))
        try:
            rows += (row for _, row in json_rows(line_text(content), "judgements"))
        except MalformedError as fault:
            rows.append(Rejected(str(fault)))
    return JsonJudgements(tuple(rows), has_grades)
