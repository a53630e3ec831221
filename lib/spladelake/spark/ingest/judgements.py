"""Find the format of judgements in their first lines, and describe unusual forms."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import SparkSession

from spladelake.files.columns import check_same_grades
from spladelake.files.csv_records import first_csv_line
from spladelake.files.formats import first_keys, line_parser
from spladelake.files.guesses import NO_GRADES, told
from spladelake.files.json_pairs import LISTS
from spladelake.files.layouts import header_layout
from spladelake.files.parquet_columns import parquet_footer
from spladelake.spark.ingest import file_heads
from spladelake.spark.ingest.source import LINE_FORMATS, Source, table_ref
from spladelake.spark.session.file_uris import shown_path
from spladelake.spark.tables import storage


def judgements_format(
    session: SparkSession, files: Sequence[storage.InputFile], file_format: str, *, place: str
) -> str:
    """Return the format of judgements by file_format and first lines: JSON may be one value, csv have no header."""
    if file_format == "jsonl":
        filled = [line for line in file_heads.first_lines(session, files) if line.strip()]
        names = told("judgements", first_keys(filled[:1]))
        return "jsonl" if {"query_id", "doc_id"} <= names.keys() else "json"
    if file_format == "csv":
        first = first_csv_line(file_heads.first_lines(session, files))
        return "csv" if first is None or header_layout(first, "judgements", place) is not None else "qrels"
    return file_format


def read_as(session: SparkSession, source: Source) -> str | None:
    """Return the description of an unusual form of judgements; None for a usual form."""
    if source.kind != "judgements":
        return None
    if source.format == "json":
        return NO_GRADES if LISTS.match(file_heads.first_bytes(session, source.listed(session))) else None
    if source.format in LINE_FORMATS:
        first = file_heads.first_lines(session, source.listed(session))
        return line_parser(source.kind, source.format, dict(source.columns), place=source.location, first=first)[1]
    return None if "relevance" in told("judgements", _columns(session, source)) else NO_GRADES


def _columns(session: SparkSession, source: Source) -> list[str]:
    """Return the names of the columns of a csv or Parquet file or of a Delta table."""
    if source.format == "delta":
        return table_ref(source.location).scan(session, version=source.version).columns
    if source.format == "csv":
        return _csv_names(session, source, source.listed(session)) or ["relevance"]
    file = source.listed(session)[0]
    with storage.open_input(session, file) as opened:
        return list(parquet_footer(opened, name=shown_path(file.path)).types)


def _csv_names(session: SparkSession, source: Source, files: Sequence[storage.InputFile]) -> list[str]:
    """Return the names in the header of the first of some csv files that is not empty; empty without a header."""
    first = first_csv_line(file_heads.first_lines(session, files))
    layout = None if first is None else header_layout(first, "judgements", source.location)
    return [] if layout is None else list(layout.header)


def check_csv_grades(session: SparkSession, source: Source) -> None:
    """Raise DataError if some csv files of judgements have a column of grades and others have none."""
    headers = [_csv_names(session, source, [file]) for file in source.listed(session)]
    check_same_grades(source.location, ["relevance" in told("judgements", names) for names in headers if names])
