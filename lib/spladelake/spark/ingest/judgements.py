"""What a file of judgements is: its format by its first lines, and how it is understood."""

from __future__ import annotations

from pyspark.sql import SparkSession

from spladelake.files.formats import first_keys, line_parser
from spladelake.files.guesses import NO_GRADES, told
from spladelake.files.layouts import header_layout, usable_lines
from spladelake.spark.ingest.source import LINE_FORMATS, Source
from spladelake.spark.tables import storage


def judgements_format(session: SparkSession, location: str, file_format: str) -> str:
    """Format of judgements, of which the name tells file_format: JSON may be one value, csv may have no header."""
    if file_format == "jsonl":
        filled = [line for line in storage.first_lines(session, location) if line.strip()]
        names = told("judgements", first_keys(filled[:1]))
        return "jsonl" if {"query_id", "doc_id"} <= names.keys() else "json"
    if file_format == "csv":
        filled_lines = usable_lines(storage.first_lines(session, location)[:1])
        has_header = filled_lines and header_layout(filled_lines[0], "judgements", location) is not None
        return "csv" if has_header or not filled_lines else "qrels"
    return file_format


def read_as(session: SparkSession, source: Source, columns: list[str]) -> str | None:
    """What was understood of an input's form, if it is not the usual one. columns: names of those that it has."""
    if source.format in LINE_FORMATS:
        first = storage.first_lines(session, source.location)
        return line_parser(source.kind, source.format, dict(source.columns), place=source.location, first=first)[1]
    if source.kind == "judgements" and columns and "relevance" not in told("judgements", columns):
        return NO_GRADES
    return None
