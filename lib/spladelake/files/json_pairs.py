"""Read judgements and runs from one JSON value: the mappings of BEIR, ranx and MTEB, or a list of records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from spladelake.files.guesses import told
from spladelake.files.jsonl import RepeatedKeyError, digits_of, json_type, object_of, parsed, writable
from spladelake.files.rows import JudgementRow, MalformedError, Rejected, shown, usable_id
from spladelake.files.run_lines import RunLine, run_row
from spladelake.files.tsv import judgement_of

# A run of MTEB holds this description of the model, and its results under the names of subset and split.
_MTEB = "mteb_model_metadata"
_SUBSETS = {"default", "standard", "test", "dev", "validation", "train"}


# The beginning of a mapping with lists of documents: {"q1": ["d1", … or {"q1": [7, …
LISTS = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\[\s*["0-9]')

Pair = tuple[str, str, str | None, str | None]
"""query_id, doc_id, rank, and score or grade. Rank and number are text, None if the file does not give them."""
Row = JudgementRow | RunLine


def json_pairs(text: str, kind: str) -> Iterator[Pair]:
    """Yield the pairs of a file of judgements or of a run, in the file's order.

    - text: one of the forms below, or one of them in each line.
    - kind: judgements or runs.

    The forms are:

    - {query_id: {doc_id: number}}, alone or under the names of subset and split, as MTEB writes it;
    - {query_id: [doc_id, …]}, {query_id: [[doc_id, number], …]};
    - [{"qid": …, "docid": …, "score": …}, …], with any usual names;
    - [{"query_id": …, "results": [{"corpus_id": …, "score": …}, …]}, …].

    Raises MalformedError, which names the query, for any other form.
    """
    for value in _values(text):
        if isinstance(value, list):
            yield from _of_records(value, kind)
        elif isinstance(value, dict) and ("results" in value or _is_record(value, kind)):
            yield from _of_records([value], kind)
        elif isinstance(value, dict):
            yield from _of_mapping(_unwrapped(value), kind)
        else:
            raise MalformedError(f"the file holds {json_type(value)}; wanted an object of queries")


def json_rows(text: str, kind: str, *, by_rank: bool = False) -> Iterator[tuple[bytes | None, Row | Rejected]]:
    """Yield the rows of a file's pairs, each with None, and unusable pairs as `Rejected`, each with its raw bytes.

    - text, kind: see `json_pairs`.
    - by_rank: see `run_line_of_pair`.

    If the file breaks off in another form, the last entry is `Rejected` with None.
    """
    try:
        for pair in json_pairs(text, kind):
            try:
                row = judgement_of_pair(pair) if kind == "judgements" else run_line_of_pair(pair, by_rank=by_rank)
            except MalformedError as fault:
                yield repr(pair).encode(), Rejected(f"document {pair[1]} of query {pair[0]}: {fault}")
            else:
                yield None, row
    except MalformedError as fault:
        yield None, Rejected(str(fault))


def judgement_of_pair(pair: Pair) -> JudgementRow:
    """Return the judgement of a pair. A pair without a number has grade 1."""
    query_id, doc_id, _, number = pair
    return judgement_of(query_id, doc_id, "1" if number is None else number)


def run_line_of_pair(pair: Pair, *, by_rank: bool) -> RunLine:
    """Return the run line of a pair. In a list without scores, the score is the negative position.

    - by_rank: whether ranks decide the order, so that scores may be missing.
    """
    query_id, doc_id, rank, number = pair
    if by_rank or number is not None or rank is None:
        return run_row(None, query_id, doc_id, rank, number, by_rank=by_rank)
    run_id, query_id, doc_id, place, _ = run_row(None, query_id, doc_id, rank, None, by_rank=True)
    return run_id, query_id, doc_id, place, -float(place or 0)


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON value of a text, or the values of its lines."""
    try:
        value = json.loads(text, object_pairs_hook=object_of)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise MalformedError(f"JSON is broken in line {error.lineno}, column {error.colno} ({error.msg})") from None
    except RepeatedKeyError as error:
        raise MalformedError(f"the key {shown(error.args[0])} occurs twice in an object; keys must be unique") from None
    except (RecursionError, ValueError):
        raise MalformedError("JSON is nested too deeply, or holds an integer of thousands of digits") from None
    else:
        yield value
        return
    for line in text.split("\n"):
        if line.strip():
            yield parsed(line)


def _is_record(value: dict[str, Any], kind: str) -> bool:
    """Whether an object is one row: it has both ids, and the query's id is no object or list."""
    names = told(kind, list(value))
    return {"query_id", "doc_id"} <= names.keys() and not isinstance(value[names["query_id"]], dict | list)


def _unwrapped(value: dict[str, Any]) -> dict[str, Any]:
    """Return the value under the names of subset and split. Raises MalformedError if there are several."""
    inner = {name: found for name, found in value.items() if name != _MTEB}
    if not (len(inner) < len(value) or _SUBSETS & inner.keys()) or not all(map(_holds_mappings, inner.values())):
        return inner
    if len(inner) != 1:
        raise MalformedError(
            f"the file holds several subsets or splits ({', '.join(map(shown, inner))}); wanted one in each file"
        )
    (name,) = inner
    return _unwrapped({_MTEB: None, **inner[name]})


def _holds_mappings(value: Any) -> bool:
    """Whether an object holds only objects, as the object of a subset or split does."""
    return isinstance(value, dict) and bool(value) and all(isinstance(inner, dict) for inner in value.values())


def _of_mapping(value: dict[str, Any], kind: str) -> Iterator[Pair]:
    for query_id, found in value.items():
        usable_id("query_id", writable("query_id", query_id))
        if isinstance(found, dict):
            for doc_id, number in found.items():
                yield query_id, _id("doc_id", doc_id), None, _number(number, query_id)
        elif isinstance(found, list):
            for place, item in enumerate(found, start=1):
                doc_id, number = _listed(item, kind, query_id)
                yield query_id, doc_id, str(place), number
        else:
            wanted = "wanted an object of documents and numbers, or a list of documents"
            raise MalformedError(f"the value of query {shown(query_id)} is {json_type(found)}; {wanted}")


def _listed(item: Any, kind: str, query_id: str) -> tuple[str, str | None]:
    """Return (doc_id, number) of an item of a query's list."""
    if isinstance(item, dict):
        names = told(kind, ["query_id", *item])
        number = item.get(names.get("relevance" if kind == "judgements" else "score", ""))
        return _id("doc_id", item.get(names.get("doc_id", ""))), _number(number, query_id)
    if isinstance(item, list) and len(item) == 2:
        return _id("doc_id", item[0]), _number(item[1], query_id)
    return _id("doc_id", item), None


def _of_records(records: list[Any], kind: str) -> Iterator[Pair]:
    for record in records:
        if not isinstance(record, dict):
            raise MalformedError(f"the list holds {json_type(record)}; wanted objects")
        names = told(kind, list(record))
        if "query_id" not in names:
            raise MalformedError("an object of the list has no query id")
        query_id = _id("query_id", record[names["query_id"]])
        if isinstance(record.get("results"), list):
            yield from _of_mapping({query_id: record["results"]}, kind)
        elif "doc_id" not in names:
            raise MalformedError(f"an object of query {shown(query_id)} has no document id")
        else:
            number = record.get(names.get("relevance" if kind == "judgements" else "score", ""))
            rank = _number(record.get(names.get("rank", "")), query_id)
            yield query_id, _id("doc_id", record[names["doc_id"]]), rank, _number(number, query_id)


def _number(value: Any, query_id: str) -> str | None:
    """Return a number or boolean as JSON writes it, a string as it is."""
    if isinstance(value, dict | list):
        raise MalformedError(f"a value of query {shown(query_id)} is {json_type(value)}; wanted a number")
    return value if value is None or type(value) is str else json.dumps(value)


def _id(name: str, value: Any) -> str:
    if (number := digits_of(value)) is not None:
        return number
    if type(value) is not str:
        raise MalformedError(f"{name} is {json_type(value)}; wanted a string or a whole number")
    return usable_id(name, writable(name, value))
