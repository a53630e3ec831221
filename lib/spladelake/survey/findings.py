"""What an input is for, which of its columns are meant, and what is wrong with its first records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spladelake.errors import DataError, UsageError
from spladelake.files import Rejected, judgement_parser
from spladelake.files.formats import line_parser
from spladelake.files.guesses import GUESSES, NO_GRADES, grade_column, guess, told
from spladelake.files.jsonl import ABSENT, field_of
from spladelake.files.rows import MalformedError, grade_of
from spladelake.survey.samples import Column, Sample, column_of

# Words of a file's name that say what is in it.
_WORDS = {
    "judgements": {"qrels", "qrel", "judgements", "judgments", "judgement", "judgment", "relevance", "labels"},
    "queries": {"queries", "query", "questions", "question", "topics", "topic"},
    "documents": {"documents", "document", "docs", "corpus", "collection", "passages", "articles", "texts"},
}
# Tried before the longest column; ingest_texts itself guesses fewer, so what is found here is written down.
_TEXT_NAMES = {
    "documents": (*GUESSES["documents"]["text"], "abstract", "description", "summary"),
    "queries": (*GUESSES["queries"]["text"][:-1], "topic", "title"),
}
_TITLE_NAMES = ("title", "headline", "heading", "subject", "name")
_ID_LIKE = re.compile(r"(^|[_\W])(id|key|uid|uuid|doi|number|no)$|[a-z]I[dD]$", re.ASCII)
# Longer values are texts that happen to differ, not ids.
_LONGEST_ID = 200
# By which the form of lines is told.
_FIRST_LINES = 1_000


@dataclass(frozen=True)
class Lengths:
    """Characters of the texts that are not empty: in the middle, at 95 %, and at most."""

    median: int
    p95: int
    longest: int


@dataclass(frozen=True)
class Finding:
    """One input of a table, and its first records as ingest_texts takes them.

    columns: names in the input by those in the table; empty where the format has none. rows: records of all the input.
    rejected: records of the sample that would go to quarantine, with the reason of the first; repeated: ids that stood
    before; empty: records without text. read_as: what was understood of an unusual form.
    """

    kind: str
    sample: Sample
    columns: dict[str, str]
    rows: int
    lengths: Lengths | None
    rejected: int
    reason: str
    repeated: int
    empty: int
    sampled: int
    read_as: str | None = None

    @property
    def location(self) -> str:
        return self.sample.source.location


def kind_of(sample: Sample) -> str | None:
    """Which table an input is for, by its form, then its columns, then its name; None where nothing says it."""
    if sample.source.format == "qrels" or _reads_as_judgements(sample):
        return "judgements"
    if _names_judgements(list(sample.columns)):
        return "judgements"
    words = set(re.split(r"[^a-z]+", Path(sample.source.location).stem.lower()))
    return next((kind for kind, known in _WORDS.items() if words & known), None)


def _names_judgements(names: list[str]) -> bool:
    """Whether columns are called as those of judgements are; `query` and `topic` may be texts of something else."""
    found = {column: guess("judgements", column, names) for column in GUESSES["judgements"]}
    return all(found.values()) and (len(names) <= 4 or found["query_id"] not in ("query", "topic"))


def _reads_as_judgements(sample: Sample) -> bool:
    if sample.source.format != "tsv":
        return False
    parse, first = judgement_parser(), sample.lines[:100]
    rows = [row for line in first if (row := parse(line)) is not None]  # a header is no row
    return bool(rows) and sum(isinstance(row, tuple) for row in rows) > 0.9 * len(rows)


def examine(sample: Sample, kind: str, named: Mapping[str, str]) -> Finding:
    """Columns of an input for the table that it fills. named: those that the user named, by column of the table.

    Raises DataError or UsageError where a column that the table needs cannot be told, naming those that are there.
    """
    file_format = "qrels" if kind == "judgements" and sample.source.format == "tsv" else sample.source.format
    if file_format in ("tsv", "qrels"):
        if named:
            fix = "Leave the column options out, or read it with a header as csv."
            raise UsageError(sample.source.location, f"{file_format} has no columns to name", "id, text", fix)
        return _of_lines(sample, kind, file_format, {})
    columns = {column: _named(sample, column, name) for column, name in named.items()}
    if kind == "judgements":
        columns |= _judgement_columns(sample)
    else:
        key = "doc_id" if kind == "documents" else "query_id"
        columns.setdefault(key, _id_column(sample, kind, key, taken=set(columns.values())))
        columns.setdefault("text", _text_column(sample, kind, taken=set(columns.values())))
        if kind == "documents" and (title := _title_column(sample, taken=set(columns.values()))):
            columns.setdefault("title", title)
    if file_format == "jsonl":
        return _of_lines(sample, kind, file_format, columns)
    return _of_columns(sample, kind, columns)


def _named(sample: Sample, column: str, name: str) -> str:
    if name not in sample.columns:
        head = sample.columns.get(name.split(".")[0])
        values = (
            [field_of(value, name.partition(".")[2]) for value in head.values if type(value) is dict] if head else []
        )
        if not values or all(value is ABSENT for value in values):
            raise _no_column(sample, column, f"it has no column {name!r}")
        whole = [None if value is ABSENT else value for value in values]
        # As a column of its own, so that it is looked at like the others.
        sample.columns[name] = column_of(name, whole + [None] * (len(head.values) - len(whole) if head else 0))
    return name


def _no_column(sample: Sample, column: str, found: str) -> DataError:
    there = ", ".join(f"{c.name} ({c.kind})" for c in sample.columns.values())
    wanted = f"wanted one for {column}; it has {there}"
    fix = "Name the column with an option (see --help), or add one."
    return DataError(sample.source.location, found, wanted, fix)


def _judgement_columns(sample: Sample) -> dict[str, str]:
    """Columns of judgements; without grades there are the two ids only."""
    found = told("judgements", list(sample.columns))
    for column in ("query_id", "doc_id"):
        if column not in found:
            called = " or ".join(map(repr, GUESSES["judgements"][column][:4]))
            raise _no_column(sample, column, f"no column of these judgements is called {called}")
    relevance = grade_column(found, list(sample.columns), place=sample.source.location)
    return found if relevance is None else {**found, "relevance": relevance}


def _id_column(sample: Sample, kind: str, key: str, *, taken: set[str]) -> str:
    """A column with a usual name, else one that is called an id and is unique, else the first unique one."""
    if (name := guess(kind, key, [name for name in sample.columns if name not in taken])) is not None:
        return name
    fit = [c for c in _plain(sample, taken, ("string", "integer")) if c.is_unique and _is_short(c)]
    fit.sort(key=lambda column: not _ID_LIKE.search(column.name))
    if not fit:
        raise _no_column(sample, key, "no column has a short value of its own in every record")
    return fit[0].name


def _is_short(column: Column) -> bool:
    return max(len(str(value)) for value in column.values) <= _LONGEST_ID


def _text_column(sample: Sample, kind: str, *, taken: set[str]) -> str:
    texts = _plain(sample, taken, ("string",))
    by_name = {column.name.lower(): column.name for column in reversed(texts)}
    for name in _TEXT_NAMES[kind]:
        if name in by_name:
            return by_name[name]
    if not texts:
        raise _no_column(sample, "text", "no other column holds strings")
    return max(texts, key=lambda column: column.mean_characters).name


def _title_column(sample: Sample, *, taken: set[str]) -> str | None:
    by_name = {column.name.lower(): column.name for column in _plain(sample, taken, ("string",))}
    return next((by_name[name] for name in _TITLE_NAMES if name in by_name), None)


def _plain(sample: Sample, taken: set[str], kinds: tuple[str, ...]) -> list[Column]:
    return [column for column in sample.columns.values() if column.name not in taken and column.kind in kinds]


def _of_lines(sample: Sample, kind: str, file_format: str, columns: dict[str, str]) -> Finding:
    """What the parsers of ingest_texts make of the sample's lines."""
    place = sample.source.location
    parse, read_as = line_parser(kind, file_format, columns, place=place, first=sample.lines[:_FIRST_LINES])
    rows = [row for line in sample.lines if (row := parse(line)) is not None]
    rejected = [row for row in rows if isinstance(row, Rejected)]
    used = [row for row in rows if not isinstance(row, Rejected)]
    ids = [row[:2] if kind == "judgements" else row[0] for row in used]
    texts = [row[-1] for row in used] if kind != "judgements" else []
    reason = rejected[0].reason if rejected else ""
    return _finding(sample, kind, columns, ids, texts, len(rejected), reason, read_as)


def _of_columns(sample: Sample, kind: str, columns: dict[str, str]) -> Finding:
    """The same for columns, which Spark reads: without an id a record is rejected."""
    for column, name in columns.items():
        if not _can_be(column, sample.columns[name].kind):
            found = f"column {name!r} is {sample.columns[name].kind}"
            raise _no_column(sample, column, found)
    keys = [column for column in columns if column.endswith("_id")]
    values = list(zip(*(sample.columns[columns[key]].values for key in keys), strict=True))
    grades = sample.columns[columns["relevance"]].values if "relevance" in columns else [1] * len(values)
    faults = [_fault(ids, grade) for ids, grade in zip(values, grades, strict=True)]
    ids = [value for value, fault in zip(values, faults, strict=True) if fault is None]
    texts = sample.columns[columns["text"]].values if "text" in columns else []
    texts = [text for text, fault in zip(texts, faults, strict=True) if fault is None] if texts else []
    reasons = [fault for fault in faults if fault is not None]
    read_as = NO_GRADES if kind == "judgements" and "relevance" not in columns else None
    return _finding(sample, kind, columns, ids, texts, len(reasons), reasons[0] if reasons else "", read_as)


def _can_be(column: str, kind: str) -> bool:
    """Whether values of a kind can be those of a column of a table, as ingest_texts reads them."""
    numbers = ("integer", "float", "double", "decimal")
    if column == "relevance":
        return kind == "string" or kind.startswith((*numbers, "bool"))
    return kind == "string" or (column.endswith("_id") and kind.startswith(numbers))


def _fault(ids: tuple[Any, ...], grade: Any) -> str | None:
    """Why a record cannot be used; None if it can."""
    for value in ids:
        if value is None or not str(value).strip():
            return "an id is missing or empty"
        if not isinstance(value, str) and value != value // 1:
            return f"an id is {value}; a number must be whole to be one"
    try:
        grade_of("relevance", str(grade))
    except MalformedError as fault:
        return str(fault)
    return None


def _finding(
    sample: Sample, kind: str, columns: dict[str, str], ids: list[Any], texts: list[Any], rejected: int, reason: str,
    read_as: str | None,
) -> Finding:  # fmt: skip
    lengths = sorted(len(text) for text in texts if text and not text.isspace())
    at = (len(lengths) - 1) / 100 if lengths else 0
    sampled = len(ids) + rejected
    return Finding(
        kind,
        sample,
        columns,
        # A header among the lines is no record.
        rows=sample.rows - max(0, len(sample.lines) - sampled),
        lengths=Lengths(lengths[round(50 * at)], lengths[round(95 * at)], lengths[-1]) if lengths else None,
        rejected=rejected,
        reason=reason,
        repeated=len(ids) - len(set(ids)),
        empty=len(texts) - len(lengths),
        sampled=sampled,
        read_as=read_as,
    )
