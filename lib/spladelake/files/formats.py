"""What an input is by its name, and the parser of its lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spladelake.errors import UsageError
from spladelake.files.jsonl import jsonl_document_parser, jsonl_query_parser
from spladelake.files.rows import LineParser
from spladelake.files.trec import trec_run_row
from spladelake.files.tsv import judgement_parser, tsv_document_parser, tsv_query_parser
from spladelake.files.tsv_columns import laid_out_parser, tsv_layout

COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate")
# Other endings that Spark knows.
_SAME_COMPRESSION = {".gzip": ".gz", ".zstd": ".zst"}
_COMPRESSED_NAMES = (*COMPRESSED, *_SAME_COMPRESSION)
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


def line_parser(
    kind: str, file_format: str, columns: Mapping[str, str], *, place: str, first: bytes = b""
) -> LineParser[Any]:
    """The parser of one line of an input of documents, queries, judgements or runs.

    - columns: names of the input by those of the table, if they are not the format's own.
    - place: what errors name.
    - first: the first line of the input, which in tab separated lines may name the columns.

    Raises UsageError if such a table is not made of such lines, and DataError if a header lacks a column.
    """
    if file_format == "tsv" and kind in ("documents", "queries"):
        layout = tsv_layout(kind, columns, first, place=place)
        if layout is not None:
            return laid_out_parser(layout)
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
