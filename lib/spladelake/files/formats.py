"""What an input is by its name, and the parser of its lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from spladelake.errors import DataError, UsageError
from spladelake.files.guesses import NO_GRADES, grade_column, guess, told
from spladelake.files.jsonl import jsonl_document_parser, jsonl_judgement_parser, jsonl_query_parser, parsed
from spladelake.files.layouts import laid_out_judgement_parser
from spladelake.files.line_forms import judgements_layout
from spladelake.files.rows import LineParser, MalformedError, line_text
from spladelake.files.tsv import judgement_parser, tsv_document_parser, tsv_query_parser
from spladelake.files.tsv_columns import laid_out_parser, tsv_layout

COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate")
# Other endings that Spark knows.
_SAME_COMPRESSION = {".gzip": ".gz", ".zstd": ".zst"}
_COMPRESSED_NAMES = (*COMPRESSED, *_SAME_COMPRESSION)
# What the Hugging Face hub appends to the name of a split that is one file.
_SHARD = re.compile(r"-0+-of-0+1$")
_FORMAT_OF_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".parq": "parquet",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".qrels": "qrels",
    ".trec": "qrels",
}


def compression_of(name: str) -> str | None:
    """Ending of a file's name that says how it is compressed, as in COMPRESSED; None for a plain file."""
    name = name.lower()
    return next((_SAME_COMPRESSION.get(suffix, suffix) for suffix in _COMPRESSED_NAMES if name.endswith(suffix)), None)


def suffix_of(name: str) -> str:
    """Last ending of a file's name, in small letters, that of a compression left out: `a/b.JSONL.gz` has .jsonl."""
    name = name.lower()
    for suffix in _COMPRESSED_NAMES:
        name = name.removesuffix(suffix)
    return "." + name.rsplit("/", 1)[-1].rsplit(".", 1)[-1]


def format_of(name: str) -> str | None:
    """Format of a file by its name: jsonl, csv, parquet, tsv or qrels; None where the name does not say it."""
    return _FORMAT_OF_SUFFIX.get(suffix_of(name))


def split_files(names: Iterable[str]) -> dict[str, str]:
    """Files of judgements by the name of their split: test.tsv, test.jsonl, test-00000-of-00001.parquet."""
    known = [name for name in names if format_of(name) is not None]
    # Of several files of one split BEIR's own form counts.
    ordered = sorted(known, key=lambda name: (suffix_of(name) != ".tsv", name), reverse=True)
    return {_SHARD.sub("", name.rsplit("/", 1)[-1].split(".")[0]): name for name in ordered}


def line_parser(
    kind: str, file_format: str, columns: Mapping[str, str], *, place: str, first: Sequence[bytes] = ()
) -> tuple[LineParser[Any], str | None]:
    """The parser of one line of an input of documents, queries or judgements, and what was understood of its form.

    - columns: names of the input by those of the table, as far as the user gave them.
    - place: what errors name.
    - first: the first lines of the input, by which keys of JSON and the columns of other lines are told.

    What was understood is None if the form is the usual one. Raises UsageError if such a table is not made of such
    lines, and DataError if it cannot be told what is what in them.
    """
    if file_format == "jsonl":
        return _jsonl_parser(kind, columns, first, place)
    if file_format in ("tsv", "qrels") and kind == "judgements":
        layout = judgements_layout(first, place=place)
        return (judgement_parser(), None) if layout is None else (laid_out_judgement_parser(layout), layout.read_as)
    if file_format == "tsv" and kind in ("documents", "queries"):
        line = next((line for line in first if line.strip()), b"")
        header = tsv_layout(kind, columns, line, place=place)
        if header is not None:
            return laid_out_parser(header), None
    parsers: dict[tuple[str, str], Callable[[], LineParser[Any]]] = {
        ("tsv", "documents"): tsv_document_parser,
        ("tsv", "queries"): tsv_query_parser,
    }
    if (file_format, kind) not in parsers:
        raise UsageError(
            place,
            f"{kind} cannot be read as {file_format}",
            "judgements can be qrels, tsv, jsonl, json, csv, parquet or Delta, and only judgements can be qrels",
            "Correct the format.",
        )
    return parsers[file_format, kind](), None


def _jsonl_parser(
    kind: str, columns: Mapping[str, str], first: Sequence[bytes], place: str
) -> tuple[LineParser[Any], str | None]:
    keys = first_keys(first)
    if kind == "documents":
        names = _keys(kind, columns, keys, {"doc_id": "_id", "title": "title", "text": "text"})
        return jsonl_document_parser(
            id_field=names["doc_id"], title_field=names["title"], text_field=names["text"]
        ), None
    if kind == "queries":
        names = _keys(kind, columns, keys, {"query_id": "_id", "text": "text"})
        return jsonl_query_parser(id_field=names["query_id"], text_field=names["text"]), None
    names = told(kind, keys)
    if keys and not {"query_id", "doc_id"} <= names.keys():
        raise DataError(
            place,
            f"its objects have the keys {', '.join(keys)}",
            "wanted the id of a query and of a document, such as query-id and corpus-id, and a score",
            "Rename the keys.",
        )
    relevance = grade_column(names, keys, place=place)
    parser = jsonl_judgement_parser(
        query_field=names.get("query_id", "query-id"),
        doc_field=names.get("doc_id", "corpus-id"),
        relevance_field=relevance if keys else "score",
    )
    return parser, None if relevance or not keys else NO_GRADES


def _keys(kind: str, columns: Mapping[str, str], keys: Sequence[str], usual: dict[str, str]) -> dict[str, str]:
    """Key of each column of a table: the one that the user named, else the usual one, else one that a name tells."""
    found: dict[str, str] = {}
    for column, name in usual.items():
        guessed = name if name in keys else guess(kind, column, [key for key in keys if key not in found.values()])
        found[column] = columns.get(column) or guessed or name
    return found


def first_keys(first: Sequence[bytes]) -> list[str]:
    """Keys of the JSON objects among some lines, in the order in which they are met."""
    keys: dict[str, None] = {}
    for line in first:
        try:
            value = parsed(line_text(line))
        except MalformedError:
            continue
        if isinstance(value, dict):
            keys |= dict.fromkeys(value)
    return list(keys)
