"""Examine an input: the table that it fills, its columns, and the faults of its first records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from spladelake.errors import DataError, UsageError
from spladelake.files import Rejected, judgement_parser
from spladelake.files.columns import check_same_grades
from spladelake.files.csv_records import CsvLayout, checked_row, csv_layout
from spladelake.files.formats import line_parser
from spladelake.files.guesses import GUESSES, NO_GRADES, guess
from spladelake.files.parquet_columns import meant_columns, takes, wrong_type
from spladelake.files.rows import MalformedError, grade_of
from spladelake.survey.column_choice import find_columns
from spladelake.survey.inputs import kind_by_name
from spladelake.survey.judgement_files import JsonJudgements
from spladelake.survey.passages import LongTexts
from spladelake.survey.samples import Header, Sample, SampledColumn

_NUMBER = re.compile(r"[0-9]+([.][0-9]+)?")
# From here on a floating point number may stand for several whole ones.
_EXACT = {"float": 2**24, "double": 2**53}
# Number of first lines that show the form of all lines.
_FIRST_LINES = 1_000


@dataclass(frozen=True)
class TextLengths:
    """Number of characters of the texts that are not empty: median, 95 % quantile and maximum."""

    median: int
    p95: int
    longest: int


@dataclass(frozen=True)
class Finding:
    """One input of a table, and its first records as ingest_texts reads them.

    - columns: names in the input, by column of the table; empty if the format has no names.
    - rows: number of records of the whole input.
    - rejected, reason: number of sampled records that would go to quarantine, and the reason of the first.
    - repeated: number of sampled records whose id occurs earlier.
    - empty: number of sampled records without text.
    - read_as: description of an unusual form, None for a usual form.
    - long: texts that are longer than a model reads; None without texts.
    """

    kind: str
    sample: Sample
    columns: dict[str, str]
    rows: int
    lengths: TextLengths | None
    rejected: int
    reason: str
    repeated: int
    empty: int
    sampled: int
    read_as: str | None = None
    long: LongTexts | None = None

    @property
    def location(self) -> str:
        return self.sample.source.location


def kind_of(sample: Sample) -> str | None:
    """Return the table of an input by its form, then its columns, then its name; None if none of them shows it."""
    if sample.source.format in ("qrels", "json") or _reads_as_judgements(sample):
        return "judgements"
    if _names_judgements(list(sample.columns)):
        return "judgements"
    return kind_by_name(sample.source.location)


def _names_judgements(names: list[str]) -> bool:
    """Whether the columns have usual names of judgements.

    `query`, `topic` and `question` may also be texts of another table.
    """
    found = {column: guess("judgements", column, names) for column in GUESSES["judgements"]}
    return all(found.values()) and (len(names) <= 4 or found["query_id"] not in ("query", "topic", "question"))


def _reads_as_judgements(sample: Sample) -> bool:
    if sample.source.format != "tsv":
        return False
    parse, first = judgement_parser(), sample.lines[:100]
    rows = [row for line in first if (row := parse(line)) is not None]  # a header is no row
    return bool(rows) and sum(isinstance(row, tuple) for row in rows) > 0.9 * len(rows)


def finding_of(sample: Sample, kind: str, named: Mapping[str, str]) -> Finding:
    """Return the finding of an input for a table.

    - sample: the first records of the input.
    - kind: the table.
    - named: names of columns that the user gave, by column of the table.

    Raises DataError or UsageError, which lists the columns of the input, if a needed column cannot be found.
    """
    file_format = "qrels" if kind == "judgements" and sample.source.format == "tsv" else sample.source.format
    if file_format == "qrels" and named:
        found = "the format qrels has no column names"
        fix = "Leave out the column options, or use a csv file with a header."
        raise UsageError(sample.source.location, found, "wanted no column options, such as --document-id", fix)
    if sample.judgements is not None and kind == "judgements":
        return _of_json(sample, sample.judgements)
    if file_format in ("tsv", "qrels", "json"):
        return _of_lines(sample, kind, file_format, dict(named))
    if not named:
        _check_header(sample)
    columns = find_columns(sample, kind, named)
    if file_format == "jsonl":
        return _of_lines(sample, kind, file_format, columns)
    return _of_columns(sample, kind, columns, named)


def _check_header(sample: Sample) -> None:
    """Raise DataError if the header of a csv file has a number as a cell: it is a record then."""
    for place, cells in sample.headers:
        number = next((cell for cell in cells if _NUMBER.fullmatch(cell.strip())), None)
        if number is not None:
            found = f"the first line has a number ({number}) as a cell"
            fix = (
                "Add a header line. If the first line already is a header, choose its columns with options such as "
                "--document-id."
            )
            raise DataError(place, found, "wanted column names in the first line", fix)


def _of_lines(sample: Sample, kind: str, file_format: str, columns: dict[str, str]) -> Finding:
    """Return the finding of an input of lines, parsed as ingest_texts parses them."""
    place = sample.source.location
    parse, read_as = line_parser(kind, file_format, columns, place=place, first=sample.lines[:_FIRST_LINES])
    rows = [row for line in sample.lines if (row := parse(line)) is not None]
    rejected = [row for row in rows if isinstance(row, Rejected)]
    used = [row for row in rows if not isinstance(row, Rejected)]
    ids = [row[:2] if kind == "judgements" else row[0] for row in used]
    texts = [row[-1] for row in used] if kind != "judgements" else []
    reason = rejected[0].reason if rejected else ""
    return _finding(sample, kind, columns, ids, texts, len(rejected), reason, read_as)


def _of_json(sample: Sample, judgements: JsonJudgements) -> Finding:
    """Return the finding of judgements in files with one JSON value each."""
    rejected = [row.reason for row in judgements.rows if isinstance(row, Rejected)]
    ids = [row[:2] for row in judgements.rows if not isinstance(row, Rejected)]
    reason, read_as = rejected[0] if rejected else "", None if judgements.has_grades else NO_GRADES
    return _finding(sample, "judgements", {}, ids, [], len(rejected), reason, read_as)


def _of_columns(sample: Sample, kind: str, columns: dict[str, str], named: Mapping[str, str]) -> Finding:
    """Return the finding of an input with columns. Raises the errors that ingest_texts would raise for the columns."""
    # ingest_texts itself guesses columns with usual names, and refuses a name of several columns.
    given = {c: name for c, name in columns.items() if c in named or name not in GUESSES[kind][c]}
    if sample.source.format == "csv":
        layouts = {(place, cells): csv_layout(kind, given, cells, place=place) for place, cells in sample.headers}
        chosen = [layout.names for layout in layouts.values()]
        rows, reasons = _csv_rows(sample, layouts)
    else:
        others = dict.fromkeys(sample.folder_columns)
        chosen = [meant_columns(kind, given, footer, others=others) for footer in sample.footers]
        rows, reasons = _parquet_rows(sample, kind, columns)
    if kind == "judgements":
        check_same_grades(sample.source.location, [names["relevance"] is not None for names in chosen])
    ids = [row[:2] if kind == "judgements" else row[0] for row in rows]
    texts = [row[-1] for row in rows] if kind != "judgements" else []
    read_as = NO_GRADES if kind == "judgements" and "relevance" not in columns else None
    return _finding(sample, kind, columns, ids, texts, len(reasons), reasons[0] if reasons else "", read_as)


def _csv_rows(sample: Sample, layouts: Mapping[Header, CsvLayout]) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return (rows, reasons why the other records cannot be used), as ingest_texts reads the cells.

    - layouts: by header.
    """
    rows, reasons = [], []
    for header, record in sample.records:
        try:
            rows.append(checked_row(record, layouts[header]))
        except MalformedError as fault:
            reasons.append(str(fault))
    return rows, reasons


def _parquet_rows(sample: Sample, kind: str, columns: dict[str, str]) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return (rows, reasons why the other records cannot be used), such as a missing id."""
    for column, name in columns.items():
        if not takes(column, sample.columns[name].kind):
            raise wrong_type(sample.source.location, column, name, sample.columns[name].kind)
    wanted = [column for column in GUESSES[kind] if column in columns]
    rows = list(zip(*(sample.columns[columns[column]].values for column in wanted), strict=True))
    keys = [place for place, column in enumerate(wanted) if column.endswith("_id")]
    grade = wanted.index("relevance") if "relevance" in wanted else None
    of_ids = [(key, sample.columns[columns[wanted[key]]]) for key in keys]
    faults = [
        _record_fault([(row[key], column) for key, column in of_ids], 1 if grade is None else row[grade])
        for row in rows
    ]
    usable = [row for row, fault in zip(rows, faults, strict=True) if fault is None]
    return usable, [fault for fault in faults if fault is not None]


def _record_fault(ids: list[tuple[Any, SampledColumn]], grade: Any) -> str | None:
    """Return the reason why a record cannot be used; None if it can be used.

    - ids: values of the ids, each with its column.
    - grade: value of the column of grades.
    """
    for value, column in ids:
        if value is None:
            return f'"{column.name}" is missing; every record needs one'
        if not str(value).strip():
            return f'"{column.name}" is empty; ids need at least one character'
        if not isinstance(value, str | int) and not _is_whole(value, column.kind):
            return f'"{column.name}" is {value}; numbers as ids must be whole and small enough to be exact'
    try:
        grade_of("relevance", str(grade))
    except MalformedError as fault:
        return str(fault)
    return None


def _is_whole(value: float | Decimal, kind: str) -> bool:
    if isinstance(value, Decimal):
        return value == value.to_integral_value()
    return value.is_integer() and abs(value) < _EXACT.get(kind, 2**53)


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
        # Lines that are headers are no records.
        rows=sample.rows - max(0, len(sample.lines) - sampled),
        lengths=TextLengths(lengths[round(50 * at)], lengths[round(95 * at)], lengths[-1]) if lengths else None,
        rejected=rejected,
        reason=reason,
        repeated=len(ids) - len(set(ids)),
        empty=len(texts) - len(lengths),
        sampled=sampled,
        read_as=read_as,
        long=LongTexts.of(lengths),
    )
