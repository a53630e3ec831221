"""Examine an input: the table that it fills, its columns, and the faults of its first records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spladelake.errors import DataError, UsageError
from spladelake.files import Rejected, judgement_parser
from spladelake.files.columns import naming_fix
from spladelake.files.csv_records import checked_row, csv_layout
from spladelake.files.formats import line_parser
from spladelake.files.guesses import GUESSES, NO_GRADES, grade_column, guess, told
from spladelake.files.jsonl import ABSENT, field_of
from spladelake.files.parquet_columns import meant_columns, takes, wrong_type
from spladelake.files.rows import MalformedError
from spladelake.names import listed
from spladelake.survey.inputs import says_kind
from spladelake.survey.samples import Sample, SampledColumn, column_of, record_fault

# Names tried before the longest column. ingest_texts guesses fewer names, so the pipeline file names the column.
_TEXT_NAMES = {
    "documents": (*GUESSES["documents"]["text"], "abstract", "description", "summary"),
    "queries": (*GUESSES["queries"]["text"][:-1], "topic", "title"),
}
_TITLE_NAMES = ("title", "headline", "heading", "subject", "name")
_ID_LIKE = re.compile(r"(^|[_\W])(id|key|uid|uuid|doi|number|no)$|[a-z]I[dD]$", re.ASCII)
_SHARD = re.compile(r"(train|test|dev|val|validation|data|part|[0-9]+)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+([.][0-9]+)?")
# Longer values are texts that happen to differ, not ids.
_LONGEST_ID = 200
# Number of first lines that show the form of all lines.
_FIRST_LINES = 1_000


@dataclass(frozen=True)
class Lengths:
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
    """Return the table of an input by its form, then its columns, then its name; None if none of them shows it."""
    if sample.source.format == "qrels" or _reads_as_judgements(sample):
        return "judgements"
    if _names_judgements(list(sample.columns)):
        return "judgements"
    path = Path(sample.source.location)
    # If a file has the name of a split or a number, the name of its folder decides.
    return says_kind(path.stem) or (says_kind(path.parent.name) if _SHARD.match(path.name) else None)


def _names_judgements(names: list[str]) -> bool:
    """Whether the columns have usual names of judgements. `query` and `topic` may also be texts of another table."""
    found = {column: guess("judgements", column, names) for column in GUESSES["judgements"]}
    return all(found.values()) and (len(names) <= 4 or found["query_id"] not in ("query", "topic"))


def _reads_as_judgements(sample: Sample) -> bool:
    if sample.source.format != "tsv":
        return False
    parse, first = judgement_parser(), sample.lines[:100]
    rows = [row for line in first if (row := parse(line)) is not None]  # a header is no row
    return bool(rows) and sum(isinstance(row, tuple) for row in rows) > 0.9 * len(rows)


def examine(sample: Sample, kind: str, named: Mapping[str, str]) -> Finding:
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
        raise UsageError(sample.source.location, found, "wanted no column options", fix)
    if file_format in ("tsv", "qrels"):
        return _of_lines(sample, kind, file_format, dict(named))
    if not named:
        _check_header(sample)
    columns = {column: _named(sample, kind, column, name) for column, name in named.items()}
    if kind == "judgements":
        columns |= _judgement_columns(sample)
    else:
        key = "doc_id" if kind == "documents" else "query_id"
        if key not in columns:
            columns[key] = _id_column(sample, kind, key, taken=set(columns.values()))
        if "text" not in columns:
            columns["text"] = _text_column(sample, kind, taken=set(columns.values()))
        title = _title_column(sample, taken=set(columns.values())) if kind == "documents" else None
        if title is not None:
            columns.setdefault("title", title)
    if file_format == "jsonl":
        return _of_lines(sample, kind, file_format, columns)
    return _of_columns(sample, kind, columns, named)


def _check_header(sample: Sample) -> None:
    """Raise DataError if the header of a csv file has a number as a cell: it is a record then."""
    for place, cells in sample.headers:
        number = next((cell for cell in cells if _NUMBER.fullmatch(cell.strip())), None)
        if number is not None:
            found = f"the first line has a number ({number}) as a cell"
            fix = "Add a header line, or name the columns with options such as --document-id."
            raise DataError(place, found, "wanted column names in the first line", fix)


def _named(sample: Sample, kind: str, column: str, name: str) -> str:
    if name not in sample.columns:
        found = _within(sample, name)
        if found is None:
            raise _no_column(sample, kind, column, f"no column is called {name!r}")
        # The field becomes a column, so the checks of columns apply to it.
        sample.columns[name] = found
    return name


def _within(sample: Sample, name: str) -> SampledColumn | None:
    """Return the field `a.b` of the objects in the column a; None if there is none."""
    head, _, rest = name.partition(".")
    if head not in sample.columns or not rest:
        return None
    values = [field_of(value, rest) if type(value) is dict else ABSENT for value in sample.columns[head].values]
    if all(value is ABSENT for value in values):
        return None
    return column_of(name, [None if value is ABSENT else value for value in values])


def _no_column(sample: Sample, kind: str, column: str, found: str) -> DataError:
    there = ", ".join(f"{c.name} ({c.kind})" for c in sample.columns.values())
    found, wanted = f"{found} (columns: {there})", f"wanted a column for {column}"
    return DataError(sample.source.location, found, wanted, naming_fix(kind, column))


def _judgement_columns(sample: Sample) -> dict[str, str]:
    """Return the columns of judgements; only the two ids if there are no grades."""
    found = told("judgements", list(sample.columns))
    for column in ("query_id", "doc_id"):
        if column not in found:
            called = f"no column is called {listed(map(repr, GUESSES['judgements'][column][:4]))}"
            raise _no_column(sample, "judgements", column, called)
    relevance = grade_column(found, list(sample.columns), place=sample.source.location)
    return found if relevance is None else {**found, "relevance": relevance}


def _id_column(sample: Sample, kind: str, key: str, *, taken: set[str]) -> str:
    """Return a column with a usual name, else a unique column with an id-like name, else the first unique column."""
    if (name := guess(kind, key, [name for name in sample.columns if name not in taken])) is not None:
        return name
    fit = [c for c in _plain(sample, taken, ("string", "integer")) if c.is_unique and _is_short(c)]
    fit.sort(key=lambda column: not _ID_LIKE.search(column.name))
    if not fit:
        raise _no_column(sample, kind, key, "no column has a short and unique value in every record")
    return fit[0].name


def _is_short(column: SampledColumn) -> bool:
    return max(len(str(value)) for value in column.values) <= _LONGEST_ID


def _text_column(sample: Sample, kind: str, *, taken: set[str]) -> str:
    texts = _plain(sample, taken, ("string",))
    by_name = {column.name.lower(): column.name for column in reversed(texts)}
    for name in _TEXT_NAMES[kind]:
        if name in by_name:
            return by_name[name]
    if not texts:
        usual = next((name for name in GUESSES[kind]["text"] if name in sample.columns and name not in taken), None)
        if usual is not None:
            raise wrong_type(sample.source.location, "text", usual, sample.columns[usual].kind)
        raise _no_column(sample, kind, "text", "no other column holds strings")
    return max(texts, key=lambda column: column.mean_characters).name


def _title_column(sample: Sample, *, taken: set[str]) -> str | None:
    # The pipeline file does not name a title that some files lack: ingest_texts finds a usual name in the other files.
    fit = [column for column in _plain(sample, taken, ("string",)) if column.is_everywhere]
    by_name = {column.name.lower(): column.name for column in fit}
    return next((by_name[name] for name in _TITLE_NAMES if name in by_name), None)


def _plain(sample: Sample, taken: set[str], kinds: tuple[str, ...]) -> list[SampledColumn]:
    return [column for column in sample.columns.values() if column.name not in taken and column.kind in kinds]


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


def _of_columns(sample: Sample, kind: str, columns: dict[str, str], named: Mapping[str, str]) -> Finding:
    """Return the finding of an input with columns. Raises the errors that ingest_texts would raise for the columns."""
    # ingest_texts itself guesses columns with usual names, and refuses a name of several columns.
    given = {c: name for c, name in columns.items() if c in named or name not in GUESSES[kind][c]}
    if sample.source.format == "csv":
        rows, reasons = _csv_rows(sample, kind, given)
    else:
        for footer in sample.footers:
            meant_columns(kind, given, footer, others=dict.fromkeys(sample.folder_columns))
        rows, reasons = _parquet_rows(sample, kind, columns)
    ids = [row[:2] if kind == "judgements" else row[0] for row in rows]
    texts = [row[-1] for row in rows] if kind != "judgements" else []
    read_as = NO_GRADES if kind == "judgements" and "relevance" not in columns else None
    return _finding(sample, kind, columns, ids, texts, len(reasons), reasons[0] if reasons else "", read_as)


def _csv_rows(sample: Sample, kind: str, columns: dict[str, str]) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return (rows, reasons why the other records cannot be used), as ingest_texts reads the cells."""
    layouts = {(place, cells): csv_layout(kind, columns, cells, place=place) for place, cells in sample.headers}
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
    faults = [record_fault([row[key] for key in keys], 1 if grade is None else row[grade]) for row in rows]
    usable = [row for row, fault in zip(rows, faults, strict=True) if fault is None]
    return usable, [fault for fault in faults if fault is not None]


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
        lengths=Lengths(lengths[round(50 * at)], lengths[round(95 * at)], lengths[-1]) if lengths else None,
        rejected=rejected,
        reason=reason,
        repeated=len(ids) - len(set(ids)),
        empty=len(texts) - len(lengths),
        sampled=sampled,
        read_as=read_as,
    )
