"""Documents and queries from JSON lines, such as corpus.jsonl and queries.jsonl of a BEIR folder."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from spladelake.files.rows import DocumentRow, LineParser, MalformedError, ParserOf, QueryRow, shown, usable_id


def jsonl_document_parser(
    *, id_field: str = "_id", title_field: str | None = "title", text_field: str = "text"
) -> LineParser[DocumentRow]:
    """Parser of one JSON object a line into (doc_id, title, text).

    The id is a string with a visible character and without NUL. Title and text are strings kept as they are, or None
    where null; the title, unlike the text, may also be missing. `title_field` None: titles are not read.
    """
    return ParserOf(partial(_document_of, id_field=id_field, title_field=title_field, text_field=text_field))


def jsonl_query_parser(*, id_field: str = "_id", text_field: str = "text") -> LineParser[QueryRow]:
    """Parser of one JSON object a line into (query_id, text), by the rules of `jsonl_document_parser`."""
    return ParserOf(partial(_query_of, id_field=id_field, text_field=text_field))


def _document_of(line: str, *, id_field: str, title_field: str | None, text_field: str) -> DocumentRow | None:
    fields = _fields_of(line)
    if fields is None:
        return None
    escaped = "\\u" in line
    doc_id = _id_of(fields, id_field, owner="document", escaped=escaped)
    title = None if title_field is None else _string_of(fields, title_field, escaped=escaped)
    return doc_id, title, _text_of(fields, text_field, owner="document", escaped=escaped)


def _query_of(line: str, *, id_field: str, text_field: str) -> QueryRow | None:
    fields = _fields_of(line)
    if fields is None:
        return None
    escaped = "\\u" in line
    query_id = _id_of(fields, id_field, owner="query", escaped=escaped)
    return query_id, _text_of(fields, text_field, owner="query", escaped=escaped)


class _RepeatedKeyError(Exception):
    """An object has a key twice; its argument is the key."""


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are unique; `json` alone would keep the last of a repeated key in silence."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for i, key in enumerate(keys) if key in keys[:i]))
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_object_of)


def _fields_of(line: str) -> dict[str, Any] | None:
    """The object a line holds; None for a line of white space."""
    if not line or line.isspace():
        return None
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        # What stands there is not quoted: it may be text of the document, and reasons are logged.
        end = "" if error.pos < len(line) else ": found the end of the line"
        wrong = error.msg.removesuffix(" at").removesuffix(" starting")
        raise MalformedError(f"JSON is broken at column {error.pos + 1} ({wrong}){end}") from None
    except _RepeatedKeyError as error:
        raise MalformedError(f"the key {shown(error.args[0])} occurs twice; keys must be unique") from None
    except RecursionError:
        raise MalformedError("JSON is nested too deeply to read") from None
    except ValueError:  # int() refuses more than 4,300 digits
        raise MalformedError("JSON holds an integer of thousands of digits") from None
    if type(value) is not dict:
        raise MalformedError(f"the line is {_described(value)}; it must be a JSON object")
    return value


def _id_of(fields: dict[str, Any], name: str, *, owner: str, escaped: bool) -> str:
    """The id; `owner` says what needs one, `escaped` whether the line holds \\u escapes."""
    if name not in fields:
        raise MalformedError(f'"{name}" is missing; every {owner} needs one')
    value = fields[name]
    if value is None:
        raise MalformedError(f'"{name}" is null; every {owner} needs one')
    if type(value) is not str:
        raise MalformedError(f'"{name}" is {_described(value)}; ids must be strings')
    return usable_id(name, _writable(name, value) if escaped else value)


def _text_of(fields: dict[str, Any], name: str, *, owner: str, escaped: bool) -> str | None:
    # A missing text is more likely a wrong field name than an empty document, so absence must be spelt: null.
    if name not in fields:
        raise MalformedError(f'"{name}" is missing; write null for a {owner} without text')
    return _string_of(fields, name, escaped=escaped)


def _string_of(fields: dict[str, Any], name: str, *, escaped: bool) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not str:
        raise MalformedError(f'"{name}" is {_described(value)}; it must be a string or null')
    return _writable(name, value) if escaped else value


def _writable(name: str, value: str) -> str:
    """The value itself; an escape such as \\ud800 without its other half makes text that UTF-8 cannot hold."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        found = f"\\u{ord(value[error.start]):04x}"
        raise MalformedError(f'"{name}" holds a lone surrogate {found}; UTF-8 cannot hold it') from None
    return value


def _described(value: object) -> str:
    """JSON type of a value, with the value where it is short: `a number (17)`."""
    if isinstance(value, bool):
        return f"a boolean ({json.dumps(value)})"
    if isinstance(value, int | float):
        return f"a number ({json.dumps(value)[:30]})"
    return {dict: "an object", list: "an array", str: "a string", type(None): "null"}[type(value)]
