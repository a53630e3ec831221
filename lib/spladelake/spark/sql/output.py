"""Rows of a statement as a table for people, or as csv or JSON for programs."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import count
from typing import Any, Literal, TextIO

from pyspark.sql import DataFrame, Row
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from spladelake.display.numbers import printable
from spladelake.display.results import console

Format = Literal["table", "csv", "json"]

# Most rows of a table for people. csv and JSON get all rows.
ROWS_SHOWN = 200


def write_rows(rows: DataFrame, out: TextIO, *, output_format: Format) -> int:
    """Write the rows of a statement; return their number. JSON has one object a line and keeps nested values."""
    if output_format == "table":
        return _write_table(rows, out)
    found = 0
    writer = csv.writer(out, lineterminator="\n")
    for row in rows.toLocalIterator():
        if output_format == "json":
            out.write(json.dumps(_plain(row), ensure_ascii=False) + "\n")
        else:
            if not found:
                writer.writerow(rows.columns)
            writer.writerow([_cell(value) for value in row])
        found += 1
    if output_format == "csv" and not found and rows.columns:
        writer.writerow(rows.columns)
    return found


def _write_table(rows: DataFrame, out: TextIO) -> int:
    found = rows.limit(ROWS_SHOWN + 1).collect()
    table = Table(*(escape(name) for name in rows.columns))
    for index, kind in enumerate(rows.dtypes):
        if kind[1] in ("int", "bigint", "float", "double", "smallint", "tinyint"):
            table.columns[index].justify = "right"
    for row in found[:ROWS_SHOWN]:
        table.add_row(*(Text(printable(_shown(value))) for value in row))
    if rows.columns:
        shown = console(out)
        shown.print(table)
        if len(found) > ROWS_SHOWN:
            shown.print(f"These are the first {ROWS_SHOWN} rows. --output csv and --output json write all rows.")
    return min(len(found), ROWS_SHOWN)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else _cell(value)


def _cell(value: Any) -> str:
    """Return a value as the text of one cell: a nested value as JSON, null as an empty text."""
    if value is None:
        return ""
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return a Spark value as a JSON value. Numbers that JSON lacks become text."""
    if isinstance(value, Row):
        return {name: _plain(item) for name, item in zip(_numbered(value.__fields__), value, strict=True)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal) or (isinstance(value, float) and (value != value or abs(value) == float("inf"))):
        return str(value)
    return value


def _numbered(names: Sequence[str]) -> list[str]:
    """Append a number to repeated names, because a JSON object holds each name once."""
    found: list[str] = []
    for name in names:
        free = (f"{name}_{number}" for number in count(2))
        found.append(name if name not in found else next(other for other in free if other not in (*found, *names)))
    return found


def statements(lines: Iterator[str]) -> Iterator[str]:
    """Yield the statements of a text. Each ends at a line that ends with a semicolon; the last may have none."""
    held: list[str] = []
    for line in lines:
        held.append(line.rstrip("\n"))
        if line.rstrip().endswith(";"):
            yield from _statement(held)
            held = []
    yield from _statement(held)


# Text without a statement: spaces, semicolons and comments.
_EMPTY = re.compile(r"(?>\s|;|--[^\n]*|/\*(?s:.*?)\*/)*+")


def _statement(lines: list[str]) -> Iterator[str]:
    text = "\n".join(lines).rstrip().removesuffix(";")
    if not _EMPTY.fullmatch(text):
        yield text
