"""Quotation of strings and names in SQL."""

from __future__ import annotations


def sql_string(text: str) -> str:
    """Return the SQL string literal of a text, whatever characters the text holds."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """Return the SQL identifier of a name, whatever characters the name holds."""
    return "`" + name.replace("`", "``") + "`"


def quoted_parts(name: str) -> str:
    """Return the SQL identifier of a name of several parts with dots between them, such as catalog.schema.table."""
    return ".".join(map(quoted, name.split(".")))
