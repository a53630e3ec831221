"""Choose the columns of an input that hold ids, texts, titles and grades."""

from __future__ import annotations

import re
from collections.abc import Mapping

from spladelake.errors import DataError
from spladelake.files.columns import naming_fix
from spladelake.files.guesses import GUESSES, grade_column, guess, told
from spladelake.files.jsonl import ABSENT, field_of
from spladelake.files.parquet_columns import wrong_type
from spladelake.names import listed
from spladelake.survey.samples import Sample, SampledColumn, column_of

# Names tried before the longest column. ingest_texts guesses fewer names, so the pipeline file names the column.
_TEXT_NAMES = {
    "documents": (*GUESSES["documents"]["text"], "abstract", "description", "summary"),
    "queries": (*GUESSES["queries"]["text"][:-1], "topic", "title"),
}
_TITLE_NAMES = ("title", "headline", "heading", "subject", "name")
_ID_LIKE = re.compile(r"(^|[_\W])(id|key|uid|uuid|doi|number|no)$|[a-z]I[dD]$", re.ASCII)
# Longer values are texts that happen to differ, not ids.
_LONGEST_ID = 200


def find_columns(sample: Sample, kind: str, named: Mapping[str, str]) -> dict[str, str]:
    """Return names of the input's columns, by column of the table.

    - sample: the first records of the input.
    - kind: the table.
    - named: names that the user gave, by column of the table.

    Raises DataError, which lists the columns of the input, if a needed column cannot be found.
    """
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
    return columns


def _named(sample: Sample, kind: str, column: str, name: str) -> str:
    if name not in sample.columns:
        found = _within(sample, name)
        if found is None:
            raise _no_column(sample, kind, column, f"no column is called {name!r}", named=True)
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


def _no_column(sample: Sample, kind: str, column: str, found: str, *, named: bool = False) -> DataError:
    there = ", ".join(f"{c.name!r} {c.kind}" for c in sample.columns.values())
    found, wanted = f"{found} (columns: {there})", f"wanted a column for {column}"
    return DataError(sample.source.location, found, wanted, naming_fix(kind, column, named=named))


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
        others = listed(map(repr, sorted(taken)), "and")
        raise _no_column(sample, kind, "text", f"of the columns other than {others}, none holds strings")
    return max(texts, key=lambda column: column.mean_characters).name


def _title_column(sample: Sample, *, taken: set[str]) -> str | None:
    # The pipeline file does not name a title that some files lack: ingest_texts finds a usual name in the other files.
    fit = [column for column in _plain(sample, taken, ("string",)) if column.is_everywhere]
    by_name = {column.name.lower(): column.name for column in fit}
    return next((by_name[name] for name in _TITLE_NAMES if name in by_name), None)


def _plain(sample: Sample, taken: set[str], kinds: tuple[str, ...]) -> list[SampledColumn]:
    return [column for column in sample.columns.values() if column.name not in taken and column.kind in kinds]
