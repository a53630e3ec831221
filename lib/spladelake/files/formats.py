"""The format of an input by its name, and the parser of its lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from spladelake.errors import DataError, UsageError
from spladelake.files.columns import header_names, naming_fix
from spladelake.files.guesses import NO_GRADES, grade_column, guess, told
from spladelake.files.jsonl import jsonl_document_parser, jsonl_judgement_parser, jsonl_query_parser, parsed
from spladelake.files.kept import KeepCells, KeepFields, kept_places
from spladelake.files.later_headers import JUDGED, WithoutHeaders
from spladelake.files.layouts import laid_out_judgement_parser
from spladelake.files.line_forms import judgements_layout
from spladelake.files.rows import LineParser, MalformedError, Rejected, line_text
from spladelake.files.tsv import judgement_parser, tsv_document_parser, tsv_query_parser
from spladelake.files.tsv_columns import PLAIN_COLUMNS, laid_out_parser, tsv_layout
from spladelake.names import listed

COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate")
# Other endings that Spark knows for the same compressions.
_SAME_COMPRESSION = {".gzip": ".gz", ".zstd": ".zst"}
_COMPRESSED_NAMES = (*COMPRESSED, *_SAME_COMPRESSION)
# Most parts of a line that are tried as lines.
_TRIED = 100
# The Hugging Face hub appends this to the name of a split in one file.
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
    """Return the compression of a file by its name, one of COMPRESSED; None for a plain file."""
    name = name.lower()
    return next((_SAME_COMPRESSION.get(suffix, suffix) for suffix in _COMPRESSED_NAMES if name.endswith(suffix)), None)


def suffix_of(name: str) -> str:
    """Return the ending of a file's name before that of its compression, in lower case: `a/b.JSONL.gz` has .jsonl."""
    name = name.lower()
    for suffix in _COMPRESSED_NAMES:
        name = name.removesuffix(suffix)
    return "." + name.rsplit("/", 1)[-1].rsplit(".", 1)[-1]


def format_of(name: str) -> str | None:
    """Return the format of a file by its name: jsonl, csv, parquet, tsv or qrels; None if the name shows none."""
    return _FORMAT_OF_SUFFIX.get(suffix_of(name))


def split_files(names: Iterable[str]) -> dict[str, str]:
    """Return files of judgements by split. test.tsv, test.jsonl and test-00000-of-00001.parquet belong to `test`."""
    known = [name for name in names if format_of(name) is not None]
    # Among several files of one split, BEIR's own form (tsv) is taken.
    ordered = sorted(known, key=lambda name: (suffix_of(name) != ".tsv", name), reverse=True)
    return {_SHARD.sub("", name.rsplit("/", 1)[-1].split(".")[0]): name for name in ordered}


def line_parser(
    kind: str, file_format: str, columns: Mapping[str, str], *, place: str, first: Sequence[bytes] = ()
) -> tuple[LineParser[Any], str | None]:
    """Return the parser of an input's lines, and a description of the form that it found (None for a usual form).

    - kind: documents, queries or judgements.
    - file_format: the format of the input.
    - columns: names of the input's columns that the user gave, by column of the table.
    - place: the input, for messages.
    - first: the first lines of the input, which show the keys of JSON objects or the columns of other lines.

    Raises UsageError if the table cannot be read from such lines, and DataError if their columns are unclear.
    """
    check_line_ends(kind, file_format, columns, first, place)
    if file_format == "jsonl":
        return _jsonl_parser(kind, columns, first, place)
    if file_format in ("tsv", "qrels") and kind == "judgements":
        layout = judgements_layout(first, place=place)
        if layout is None:
            return WithoutHeaders(judgement_parser(), kind, JUDGED, place), None
        return WithoutHeaders(laid_out_judgement_parser(layout), kind, layout.columns, place), layout.read_as
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
            "wanted qrels, tsv, jsonl, json, csv, parquet or delta for judgements"
            if kind == "judgements"
            else "wanted tsv, jsonl, csv, parquet or delta, because only judgements can be qrels or json",
            f"Correct --{kind}-format.",
        )
    return WithoutHeaders(parsers[file_format, kind](), kind, PLAIN_COLUMNS[kind], place), None


def check_line_ends(
    kind: str, file_format: str, columns: Mapping[str, str], first: Sequence[bytes], place: str
) -> None:
    """Raise DataError if the only line consists of several lines that end in carriage returns."""
    filled = [line for line in first if line.strip()]
    parts = [part for part in filled[0].split(b"\r")[:_TRIED] if part.strip()] if len(filled) == 1 else []
    if len(parts) < 2:
        return
    try:
        parse, _ = line_parser(kind, file_format, columns, place=place, first=parts)
    except DataError:
        return
    if not any(isinstance(parse(part), Rejected) for part in parts):
        found, fix = "the lines end in carriage returns alone", "Convert the file: tr '\\r' '\\n' < FILE > NEW"
        raise DataError(place, found, "wanted lines that end in line feeds", fix)


def line_keeper(
    file_format: str, columns: Mapping[str, str], keep: tuple[str, ...], *, place: str, first: Sequence[bytes]
) -> KeepFields | KeepCells:
    """Return the function that takes the values to keep from lines of documents.

    - keep: names of other columns, or files.kept.ALL.
    - others: as in `line_parser`.

    Raises UsageError if the lines have no names of columns, DataError for an unknown name.
    """
    if file_format == "jsonl":
        names = _keys("documents", columns, first_keys(first), {"doc_id": "_id", "title": "title", "text": "text"})
        return KeepFields(keep, tuple(names.values()))
    line = next((line for line in first if line.strip()), b"")
    layout = tsv_layout("documents", columns, line, place=place) if file_format == "tsv" else None
    if layout is None:
        found, wanted = "the lines have no names of columns", "wanted a header for --keep"
        raise UsageError(place, found, wanted, "Add a line with the names of the columns, or leave out --keep.")
    return KeepCells(kept_places(keep, header_names(layout.header.split("\t")), layout.places, place=place))


def _jsonl_parser(
    kind: str, columns: Mapping[str, str], first: Sequence[bytes], place: str
) -> tuple[LineParser[Any], str | None]:
    check_is_lines(first, place=place)
    keys = first_keys(first)
    if kind == "documents":
        _check_title(columns.get("title"), keys, place)
        names = _keys(kind, columns, keys, {"doc_id": "_id", "title": "title", "text": "text"})
        parser: LineParser[Any] = jsonl_document_parser(
            id_field=names["doc_id"], title_field=names["title"], text_field=names["text"],
            title_in_any_case="title" not in columns,
        )  # fmt: skip
        return parser, None
    if kind == "queries":
        names = _keys(kind, columns, keys, {"query_id": "_id", "text": "text"})
        return jsonl_query_parser(id_field=names["query_id"], text_field=names["text"]), None
    names = told(kind, keys)
    if keys and not {"query_id", "doc_id"} <= names.keys():
        raise DataError(
            place,
            f"the objects have the keys {listed(keys, 'and')}",
            "wanted keys for a query id, a document id and a score, such as query-id, corpus-id and score",
            "Rename the keys to query-id, corpus-id and score.",
        )
    relevance = grade_column(names, keys, place=place)
    parser = jsonl_judgement_parser(
        query_field=names.get("query_id", "query-id"),
        doc_field=names.get("doc_id", "corpus-id"),
        relevance_field=relevance if keys else "score",
    )
    return parser, None if relevance or not keys else NO_GRADES


def _check_title(name: str | None, keys: Sequence[str], place: str) -> None:
    """Raise DataError if no object has the title's key that the user named: each document would be without a title."""
    if name is not None and keys and not {name, name.split(".")[0]} & {*keys}:
        found = f"no object among the first lines has the key {name!r} (keys: {', '.join(keys)})"
        raise DataError(place, found, "wanted a key for title", naming_fix("documents", "title", named=True))


def _keys(kind: str, columns: Mapping[str, str], keys: Sequence[str], usual: dict[str, str]) -> dict[str, str]:
    """Return the key of each column of a table: the user's, else the usual one, else a guess, else the usual name."""
    found: dict[str, str] = {}
    for column, name in usual.items():
        guessed = name if name in keys else guess(kind, column, [key for key in keys if key not in found.values()])
        found[column] = columns.get(column) or guessed or name
    return found


def check_is_lines(first: Sequence[bytes], *, place: str) -> None:
    """Raise DataError if lines are pieces of one JSON array, or of objects that go over several lines.

    - first: the first lines of a file.
    - place: the file, for messages.
    """
    start = next((line.removeprefix(b"\xef\xbb\xbf").strip() for line in first if line.strip()), b"")
    if (not start.startswith(b"[") and start != b"{") or first_keys(first):
        return
    found, jq = ("one JSON array", "jq -c '.[]'") if start.startswith(b"[") else ("JSON over several lines", "jq -c .")
    fix = f"Convert the file: {jq} FILE > NEW.jsonl"
    raise DataError(place, f"the file is {found}", "wanted JSON lines: one object in each line", fix)


def first_keys(first: Sequence[bytes]) -> list[str]:
    """Return the keys of the JSON objects among some lines, in the order of their first occurrence."""
    keys: dict[str, None] = {}
    for line in first:
        try:
            value = parsed(line_text(line))
        except MalformedError:
            continue
        if isinstance(value, dict):
            keys |= dict.fromkeys(value)
    return list(keys)
