"""Read every input of ingest_texts as a frame of records.

The columns of such a frame are file, block and seq (the place of the record), raw (its bytes if it is rejected), reason
(null for a usable record), and the columns of the table.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession

from spladelake.config import IngestTexts
from spladelake.errors import DataError, UsageError
from spladelake.files.contents import HEAD_BYTES, check_head
from spladelake.files.folders import check_hidden, check_nothing_hidden, chosen_files, is_hidden
from spladelake.files.formats import COMPRESSED, split_files
from spladelake.names import listed
from spladelake.spark.ingest.columns import delta_records, exact_names, parquet_records
from spladelake.spark.ingest.json_files import json_records
from spladelake.spark.ingest.judgements import check_csv_grades, judgements_format
from spladelake.spark.ingest.source import LINE_FORMATS, TABLE_PREFIX, Source, table_ref
from spladelake.spark.ingest.text_files import csv_frame, line_records, lines_of
from spladelake.spark.session.file_uris import shown_path
from spladelake.spark.tables import storage

log = logging.getLogger(__name__)

# Files that are checked at the same time: each check waits for the storage, not for this machine.
_READERS = 16
# Most ignored files that a message names.
_MOST_NAMED = 8


def named_sources(session: SparkSession, options: IngestTexts) -> list[Source]:
    """Return the inputs of --documents, --queries and --judgements."""
    mapped = {
        "documents": (
            ("doc_id", options.document_id),
            ("title", options.document_title),
            ("text", options.document_text),
        ),
        "queries": (("query_id", options.query_id), ("text", options.query_text)),
        "judgements": (),
    }
    sources = []
    for kind, columns in mapped.items():
        location, file_format = getattr(options, kind), getattr(options, f"{kind}_format")
        if location is None:
            continue
        given = tuple((name, column) for name, column in columns if column is not None)
        if not location.startswith(TABLE_PREFIX):
            location = storage.absolute(location)
            storage.require_input(session, location, option=f"--{kind}")
        source = _source(session, kind, location, file_format, given)
        sources.append(replace(source, keep=options.keep) if kind == "documents" else source)
    return sources


def _source(
    session: SparkSession, kind: str, location: str, file_format: str, given: tuple[tuple[str, str], ...]
) -> Source:
    """Return the input at a location, with the files to read."""
    is_table = location.startswith(TABLE_PREFIX) or storage.exists(session, f"{location}/_delta_log")
    if file_format == "delta" or (file_format == "auto" and is_table):
        return Source(kind, location, "delta", given, version=_delta_version(session, location))
    check_hidden_files(session, location)
    files = {shown_path(file.path): file for file in storage.input_files(session, location)}
    said = file_format
    names, file_format = chosen_files(location, list(files), said, kind=kind)
    if given and file_format == "qrels":
        raise UsageError(
            location,
            "the format qrels has no column names",
            "wanted no column options, such as --document-id",
            "Leave out the column options, or use a csv file with a header.",
        )
    if left := sorted(files.keys() - set(names)):
        more = f" and {len(left) - _MOST_NAMED:,} more" if len(left) > _MOST_NAMED else ""
        log.info("%s: ignored these files: %s%s", location, ", ".join(left[:_MOST_NAMED]), more)
    read = tuple(files[name] for name in names)
    if kind == "judgements" and said == "auto":
        file_format = judgements_format(session, read, file_format, place=location)
    return Source(kind, location, file_format, given, files=read, all_files=not left)


def beir_sources(session: SparkSession, folder: str, split: str, keep: tuple[str, ...] = ()) -> list[Source]:
    """Return the inputs of a BEIR folder, without judgements if it has no qrels folder.

    - keep: other keys of the documents to keep.
    """
    folder = storage.absolute(folder)
    storage.require_input(session, folder, option="--source")
    sources = []
    for kind, stem in (("documents", "corpus"), ("queries", "queries")):
        known = {f"{stem}.jsonl{suffix}" for suffix in ("", *COMPRESSED)}
        names = [name for name in storage.children(session, folder) if name in known]
        if len(names) > 1:
            raise DataError(
                folder,
                f"the folder contains {listed(names, 'and')}",
                f"wanted one file of {kind}",
                "Keep only one of the files.",
            )
        if not names:
            raise DataError(
                folder,
                f"the folder has no {stem}.jsonl",
                "wanted a BEIR folder: corpus.jsonl, queries.jsonl and qrels/",
                "Correct --source, or name the files with --documents, --queries and --judgements.",
            )
        sources.append(Source(kind, f"{folder}/{names[0]}", "jsonl", keep=keep if kind == "documents" else ()))
    splits = split_files(storage.children(session, f"{folder}/qrels"))
    if splits and split not in splits:
        raise DataError(
            f"{folder}/qrels",
            f"the folder has no file {split}.tsv, {split}.jsonl, {split}.csv or {split}.parquet",
            f"wanted a split of this folder: {listed(splits)}",
            "Set --split to a split of this folder.",
        )
    if splits:
        sources.append(_source(session, "judgements", f"{folder}/qrels/{splits[split]}", "auto", ()))
    return sources


def _delta_version(session: SparkSession, location: str) -> int:
    ref = table_ref(location)
    if not ref.exists(session):
        fix = "Correct the location, or the format option if the input is not a Delta table."
        raise DataError(location, "there is no Delta table here", "wanted a Delta table's folder or table:NAME", fix)
    return ref.version(session)


def records(session: SparkSession, source: Source) -> DataFrame:
    """Return every record of an input, usable or not. Execute it within `reading`.

    Raises DataError if the content of a file does not fit its name, if a file lacks a column, or if only some files of
    judgements have grades.
    """
    if source.format == "delta":
        return delta_records(session, source)
    check_hidden_files(session, source.location)
    check_heads(session, source)
    if source.format in LINE_FORMATS:
        return line_records(session, source)
    if source.format == "json":
        return json_records(session, source)
    if source.format == "parquet":
        return parquet_records(session, source)
    if source.kind == "judgements":
        check_csv_grades(session, source)
    return csv_frame(session, source)


def reading(session: SparkSession, source: Source) -> AbstractContextManager[None]:
    """Return the context of session settings for reading the records of an input."""
    return exact_names(session) if source.format == "parquet" else nullcontext()


def places(session: SparkSession, source: Source) -> DataFrame:
    """Return the place of every line or record of an input: (file, block, seq), as `records` numbers them."""
    frame = lines_of(session, source) if source.format in LINE_FORMATS else parquet_records(session, source)
    return frame.select("file", "block", "seq")


def check_heads(session: SparkSession, source: Source) -> None:
    """Raise DataError if the content of a file does not fit its name."""

    def check(file: storage.InputFile) -> None:
        with storage.open_input(session, file) as opened:
            check_head(shown_path(file.path), opened.read(HEAD_BYTES), source.format)

    with ThreadPoolExecutor(_READERS) as pool:
        list(pool.map(check, source.listed(session)))


def check_hidden_files(session: SparkSession, location: str) -> None:
    """Raise DataError for hidden data files, which Spark would skip."""
    for root in storage.roots(session, location):
        local = storage.local_path(root)
        if is_hidden(root.rsplit("/", 1)[-1]) and not storage.is_folder(session, root):
            check_hidden(shown_path(root), [root])
        elif local is not None and local.is_dir():
            check_nothing_hidden(local)
        elif local is None:
            check_hidden(root, [name for name in storage.contents(session, root) if is_hidden(name)])
