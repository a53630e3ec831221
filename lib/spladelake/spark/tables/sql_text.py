"""Strings and names as SQL writes them."""

from __future__ import annotations


def sql_string(text: str) -> str:
    """A SQL string literal, whatever characters the text holds."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """A SQL identifier, whatever characters the name holds."""
    return "`" + name.replace("`", "``") + "`"
