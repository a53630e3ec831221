"""What an input is by its name, which of its columns are meant where nobody names them, and the parser of its lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spladelake.errors import UsageError
from spladelake.files.jsonl import jsonl_document_parser, jsonl_query_parser
from spladelake.files.rows import LineParser
from spladelake.files.trec import trec_run_row
from spladelake.files.tsv import judgement_parser, tsv_document_parser, tsv_query_parser

COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate")
_FORMAT_OF_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".qrels": "qrels",
    ".trec": "qrels",
}

# Names tried, in this order, where the user names no column.
GUESSES: dict[str, dict[str, tuple[str, ...]]] = {
    "documents": {
        "doc_id": ("doc_id", "_id", "id", "docid", "pid"),
        "title": ("title",),
        "text": ("text", "body", "contents", "passage"),
    },
    "queries": {"query_id": ("query_id", "_id", "id", "qid", "query-id"), "text": ("text", "query", "title")},
    "judgements": {
        "query_id": ("query_id", "query-id", "qid"),
        "doc_id": ("doc_id", "corpus-id", "docid", "pid"),
        "relevance": ("relevance", "score", "label", "rel"),
    },
}
OPTIONAL_COLUMNS = {("documents", "title")}


def suffix_of(name: str) -> str:
    """Last ending of a file's name, in small letters, that of a compression left out: `a/b.JSONL.gz` has .jsonl."""
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return "." + name.rsplit("/", 1)[-1].rsplit(".", 1)[-1].lower()


def format_of(name: str) -> str | None:
    """Format of a file by its name: jsonl, csv, parquet, tsv or qrels; None where the name does not say it."""
    return _FORMAT_OF_SUFFIX.get(suffix_of(name))


def line_parser(kind: str, file_format: str, columns: Mapping[str, str], *, place: str) -> LineParser[Any]:
    """The parser of one line of an input of documents, queries, judgements or runs.

    columns: names of the input by those of the table, where they are not the format's own. place: what errors name.
    Raises UsageError where such a table is not made of such lines.
    """
    if file_format == "jsonl" and kind == "documents":
        return jsonl_document_parser(
            id_field=columns.get("doc_id", "_id"),
            title_field=columns.get("title", "title"),
            text_field=columns.get("text", "text"),
        )
    if file_format == "jsonl" and kind == "queries":
        return jsonl_query_parser(id_field=columns.get("query_id", "_id"), text_field=columns.get("text", "text"))
    parsers: dict[tuple[str, str], Callable[[], LineParser[Any]]] = {
        ("tsv", "documents"): tsv_document_parser,
        ("tsv", "queries"): tsv_query_parser,
        ("tsv", "judgements"): judgement_parser,
        ("qrels", "judgements"): judgement_parser,
        ("trec", "runs"): lambda: trec_run_row,
    }
    if (file_format, kind) not in parsers:
        raise UsageError(
            place,
            f"{kind} cannot be read as {file_format}",
            "judgements can be qrels, tsv, csv, parquet or Delta, and only judgements can be qrels",
            "Correct the format.",
        )
    return parsers[file_format, kind]()
