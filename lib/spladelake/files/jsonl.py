"""Parsers of JSON lines, such as corpus.jsonl and queries.jsonl of a BEIR folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from spladelake.files.guesses import told
from spladelake.files.rows import (
    DocumentRow,
    JudgementRow,
    LineParser,
    MalformedError,
    ParserOf,
    QueryRow,
    grade_of,
    shown,
    usable_id,
)
from spladelake.files.run_lines import RunLine, run_row


def jsonl_document_parser(
    *,
    id_field: str = "_id",
    title_field: str | None = "title",
    text_field: str = "text",
    title_in_any_case: bool = False,
) -> LineParser[DocumentRow]:
    """Return a parser of one JSON object a line into (doc_id, title, text).

    The id is a string with a visible character and without NUL, or a whole number. Title and text are strings, which
    stay as they are, or null. The title can also be missing; the text cannot.

    - id_field, text_field: keys of id and text.
    - title_field: key of the title, None to read no titles.
    - title_in_any_case: whether an object without this key may have it in another case, as in files of other tools.
    """
    read = partial(_document_of, id_field=id_field, title_field=title_field, text_field=text_field)
    return ParserOf(partial(read, title_in_any_case=title_in_any_case))


def jsonl_query_parser(*, id_field: str = "_id", text_field: str = "text") -> LineParser[QueryRow]:
    """Return a parser of one JSON object a line into (query_id, text), by the rules of `jsonl_document_parser`."""
    return ParserOf(partial(_query_of, id_field=id_field, text_field=text_field))


def _document_of(
    line: str, *, id_field: str, title_field: str | None, text_field: str, title_in_any_case: bool
) -> DocumentRow | None:
    fields = _fields_of(line)
    if fields is None:
        return None
    escaped = "\\u" in line
    doc_id = _id_of(fields, id_field, owner="document", escaped=escaped)
    if title_in_any_case and title_field is not None and title_field not in fields:
        wanted = title_field.lower()
        title_field = next((key for key in fields if key.lower() == wanted), title_field)
    title = None if title_field is None else _string_of(fields, title_field, escaped=escaped)
    return doc_id, title, _text_of(fields, text_field, owner="document", escaped=escaped)


def _query_of(line: str, *, id_field: str, text_field: str) -> QueryRow | None:
    fields = _fields_of(line)
    if fields is None:
        return None
    escaped = "\\u" in line
    query_id = _id_of(fields, id_field, owner="query", escaped=escaped)
    return query_id, _text_of(fields, text_field, owner="query", escaped=escaped)


def jsonl_judgement_parser(
    *, query_field: str = "query-id", doc_field: str = "corpus-id", relevance_field: str | None = "score"
) -> LineParser[JudgementRow]:
    """Return a parser of one JSON object a line into (query_id, doc_id, relevance), the form of MTEB's qrels.

    Ids can be whole numbers. Grades can be 1.0, "1" or true.

    - query_field, doc_field: keys of the ids.
    - relevance_field: key of the grade, None to give each pair grade 1.
    """
    fields = {"query_id": query_field, "doc_id": doc_field, "relevance": relevance_field}
    return ParserOf(partial(_judgement_of, names=fields))


def jsonl_run_parser(names: Mapping[str, str], *, by_rank: bool) -> LineParser[RunLine]:
    """Return a parser of one JSON object a line into a line of a run.

    - names: known keys, by column of `runs`.
    - by_rank: whether ranks decide the order, so that scores may be missing.
    """
    return ParserOf(partial(_run_of, names=dict(names), by_rank=by_rank))


def _judgement_of(line: str, *, names: dict[str, str | None]) -> JudgementRow | None:
    fields = _fields_of(line)
    if fields is None:
        return None
    query_id, doc_id = (
        _id_of(fields, names[key] or key, owner="judgement", escaped=True) for key in ("query_id", "doc_id")
    )
    relevance = names["relevance"]
    if relevance is None and len(fields) > 2 and (graded := told("judgements", list(fields)).get("relevance")):
        raise MalformedError(f'"{graded}" is a grade, but the first judgements have none; wanted one form in all files')
    grade = "1" if relevance is None else cell_of(fields, relevance, owner="judgement")
    return query_id, doc_id, grade_of(relevance or "", grade)


def _run_of(line: str, *, names: dict[str, str], by_rank: bool) -> RunLine | None:
    fields = _fields_of(line)
    if fields is None:
        return None
    owner = "row of a run"
    query_id, doc_id = (_id_of(fields, names[key], owner=owner, escaped=True) for key in ("query_id", "doc_id"))
    cells = {
        column: cell_of(fields, name, owner=owner)
        for column, name in names.items()
        if column == ("rank" if by_rank else "score") or field_of(fields, name) not in (None, ABSENT)
    }
    return run_row(cells.get("run_id"), query_id, doc_id, cells.get("rank"), cells.get("score"), by_rank=by_rank)


def cell_of(fields: dict[str, Any], name: str, *, owner: str) -> str:
    """Return a value as text: a string as it is, a number or boolean as JSON writes it.

    - owner: the kind of row that needs the value, for messages.

    Raises MalformedError if the value is missing, null, an object or a list.
    """
    value = field_of(fields, name)
    if value is ABSENT or value is None:
        raise MalformedError(f'"{name}" is {"missing" if value is ABSENT else "null"}; every {owner} needs one')
    if isinstance(value, dict | list):
        raise MalformedError(f'"{name}" is {json_type(value)}; wanted a string or a number')
    return writable(name, value) if type(value) is str else json.dumps(value)


class RepeatedKeyError(Exception):
    """Raised if an object has a key twice. Its argument is the key."""


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of its pairs. Raises RepeatedKeyError for a repeated key; `json` alone would drop a value."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKeyError(next(key for i, key in enumerate(keys) if key in keys[:i]))
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=object_of)


def _fields_of(line: str) -> dict[str, Any] | None:
    """Return the object of a line, None for a line of white space."""
    if not line or line.isspace():
        return None
    value = parsed(line)
    if type(value) is not dict:
        raise MalformedError(f"the line is {json_type(value)}; it must be a JSON object")
    return value


def parsed(line: str) -> Any:
    """Return the JSON value of a line. Raises MalformedError if the JSON is broken or an object has a key twice."""
    try:
        return _DECODER.decode(line)
    except json.JSONDecodeError as error:
        # The reason does not quote the line: it may hold text of the document, and reasons are logged.
        end = "" if error.pos < len(line) else ": found the end of the line"
        wrong = error.msg.removesuffix(" at").removesuffix(" starting")
        raise MalformedError(f"JSON is broken at column {error.pos + 1} ({wrong}){end}") from None
    except RepeatedKeyError as error:
        raise MalformedError(f"the key {shown(error.args[0])} occurs twice; keys must be unique") from None
    except RecursionError:
        raise MalformedError("JSON is nested too deeply to read") from None
    except ValueError:  # int() refuses more than 4,300 digits.
        raise MalformedError("JSON holds an integer of thousands of digits") from None


ABSENT = object()
# From here on a floating point number may stand for several whole ones.
_EXACT = 2**53


def field_of(fields: dict[str, Any], name: str) -> Any:
    """Return the value of a key, ABSENT if there is none. `a.b` can be the key b in the object a."""
    if name in fields:
        return fields[name]
    value: Any = fields if "." in name else None
    for key in name.split("."):
        if type(value) is not dict or key not in value:
            return ABSENT
        value = value[key]
    return value


def _id_of(fields: dict[str, Any], name: str, *, owner: str, escaped: bool) -> str:
    """Return the id. `owner` is the kind of row that needs it; `escaped` says whether the line holds \\u escapes."""
    value = field_of(fields, name)
    if value is ABSENT:
        raise MalformedError(f'"{name}" is missing; every {owner} needs one')
    if value is None:
        raise MalformedError(f'"{name}" is null; every {owner} needs one')
    if type(value) is not str:
        number = digits_of(value)
        if number is None:
            raise MalformedError(f'"{name}" is {json_type(value)}; ids must be strings or whole numbers')
        return number
    return usable_id(name, writable(name, value) if escaped else value)


def digits_of(value: object) -> str | None:
    """Return the digits of a number that can be an id: 1 and 1.0 are "1". None for any other value."""
    if type(value) is float and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    return str(value) if type(value) is int else None


def _text_of(fields: dict[str, Any], name: str, *, owner: str, escaped: bool) -> str | None:
    # A missing text is more likely a wrong field name than an empty document, so an empty one must be null.
    if field_of(fields, name) is ABSENT:
        raise MalformedError(f'"{name}" is missing; write null for a {owner} without text')
    return _string_of(fields, name, escaped=escaped)


def _string_of(fields: dict[str, Any], name: str, *, escaped: bool) -> str | None:
    value = field_of(fields, name)
    if value is None or value is ABSENT:
        return None
    if type(value) is not str:
        raise MalformedError(f'"{name}" is {json_type(value)}; it must be a string or null')
    return writable(name, value) if escaped else value


def writable(name: str, value: str) -> str:
    """Return the value. Raises MalformedError for half of a surrogate pair, such as \\ud800: UTF-8 cannot hold it."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        found = f"\\u{ord(value[error.start]):04x}"
        raise MalformedError(f'"{name}" holds a lone surrogate {found}; UTF-8 cannot hold it') from None
    return value


def json_type(value: object) -> str:
    """Return the JSON type of a value, for a number or boolean with the value: `a number (17)`."""
    if isinstance(value, bool):
        return f"a boolean ({json.dumps(value)})"
    if isinstance(value, int | float):
        return f"a number ({json.dumps(value)[:30]})"
    return {dict: "an object", list: "an array", str: "a string", type(None): "null"}[type(value)]
