"""The import job of vectors: it reads the files of another engine into a table of vectors."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.config.exchange import ImportVectors
from spladelake.config.model_kinds import IMPORTED_PREFIX
from spladelake.errors import ConflictError, DataError
from spladelake.exchange import DocRecord, PostingsList, read_ciff
from spladelake.names import short_name
from spladelake.passages.settings import PROPERTY as PASSAGES
from spladelake.results import ImportVectorsResult
from spladelake.spark.exchange.export_ciff import FILE
from spladelake.spark.exchange.export_folder import manifest_in
from spladelake.spark.exchange.export_plan import MANIFEST, tokens_of
from spladelake.spark.exchange.parquet_vectors import dimensions_of, parquet_vectors
from spladelake.spark.exchange.worker import PARSED_DDL, ParseVectors, ToVectors
from spladelake.spark.ingest.columns import exact_names
from spladelake.spark.ingest.shared_files import shared
from spladelake.spark.ingest.source import Source
from spladelake.spark.ingest.sources import check_heads
from spladelake.spark.ingest.text_files import lines_of
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.file_uris import plain_path
from spladelake.spark.tables import storage
from spladelake.spark.tables.create import require
from spladelake.spark.tables.lineage import Lineage, is_current, refuse_other_makers
from spladelake.spark.tables.properties import set_properties, table_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import PASSAGE_VECTORS, VECTORS, VOCABULARY
from spladelake.spark.tables.skeleton import made_unless_current
from spladelake.spark.tables.suggestions import named_by
from spladelake.spark.tables.vocabulary import token_rows, vocabulary_lineage, write_vocabulary
from spladelake.spark.tables.write import replace_rows

_OTHER = {"documents": "queries", "queries": "documents"}
# Properties that imported vectors share with the vectors that they are like.
_MODEL = ("model", "model_id", "query_model")

# Most postings of a CIFF file in memory at once.
HELD_POSTINGS = 5_000_000
_LISTS = pa.schema([("term", pa.string()), ("places", pa.list_(pa.int64())), ("impacts", pa.list_(pa.int64()))])


def import_vectors(session: SparkSession, options: ImportVectors) -> ImportVectorsResult:
    """Read documents with their vectors into the lake. Raises DataError if the input does not have the format."""
    lake, name = Lake(options.lake), short_name(options.vectors)
    path = storage.absolute(options.input)
    storage.require_input(session, path, option="--input")
    target, vocabulary = lake.vectors(name, options.side), lake.vectors(name, "vocabulary")
    settings = options.settings()
    lineage = Lineage("import_vectors", {"input": [path, storage.input_fingerprint(session, path)]}, settings)
    has_other_terms = is_current(session, target, lineage) and not _belongs(session, vocabulary, target)
    result = made_unless_current(
        session, {target: lineage}, lambda: _write(session, options, lake, path, lineage),
        force=options.force or has_other_terms, step=f"import vectors {name}",
        known=ImportVectorsResult(table=str(target)),
    )  # fmt: skip
    # Also if the job was skipped: an earlier run that was killed after its commit may not have set these properties.
    noted = _manifest(session, path).get(PASSAGES) if "passage" in target.scan(session).columns else None
    passages = {PASSAGES: json.dumps(noted, sort_keys=True)} if isinstance(noted, dict) else {}
    set_properties(session, target, {**_properties(session, vocabulary, path), **passages})
    return result


def _write(session: SparkSession, options: ImportVectors, lake: Lake, path: str, lineage: Lineage) -> dict[str, Any]:
    """Write the vocabulary and the vectors, and return the counts."""
    name = short_name(options.vectors)
    target, vocabulary = lake.vectors(name, options.side), lake.vectors(name, "vocabulary")
    refuse_other_makers(session, target, job=lineage.job, option="--vectors")
    with ExitStack() as cleanup:
        manifest = _manifest(session, path)
        by_number = options.input_format == "parquet"
        with exact_names(session) if by_number else nullcontext():
            rows = _rows(session, options, lake, path, manifest, cleanup).persist()
            rows.count()
        try:
            _check_rows(rows, path)
            schema = PASSAGE_VECTORS if "passage" in rows.columns else VECTORS
            _check_kind(session, target, schema)
            tokens, model = _vocabulary(session, lake, options, rows, path, manifest)
            _check_other_side(session, lake.vectors(name, _OTHER[options.side]), model["model_id"], name)
            step = options.step if options.step is not None else _noted_step(manifest)
            names = {str(n) if by_number else token: n for n, token in enumerate(tokens)}
            to_vectors = ToVectors(session.sparkContext.broadcast(names), step, model["model_id"], path)
            vectors = map_arrow(rows, to_vectors, schema.struct)
            write_vocabulary(session, vocabulary, partial(token_rows, session, tokens), model)
            replace_rows(session, target, schema, vectors, lineage=lineage)
        finally:
            rows.unpersist()
    return {"rows": target.read(session).count(), "dimensions": len(tokens), "step": step}


def _rows(
    session: SparkSession, options: ImportVectors, lake: Lake, path: str, manifest: dict[str, Any], cleanup: ExitStack
) -> DataFrame:  # fmt: skip
    """Return (id, terms, weights) of the input; for vectors of passages also the columns of their places."""
    if options.input_format == "ciff":
        return _from_ciff(session, path, lake, cleanup)
    if options.input_format == "parquet":
        return parquet_vectors(session, path, side=options.side)
    return _from_lines(session, path, manifest)


def _check_kind(session: SparkSession, target: TableRef, schema: TableSchema) -> None:
    """Raise ConflictError if vectors of passages would replace those of whole texts, or the other way round."""
    if not target.exists(session):
        return
    passages = schema is PASSAGE_VECTORS
    if ("passage" in target.scan(session).columns) != passages:
        kinds = ("whole texts", "passages")
        raise ConflictError(
            str(target), f"the table holds vectors of {kinds[not passages]}", f"wanted vectors of {kinds[passages]}",
            "Choose another name with --vectors.",
        )  # fmt: skip


def _properties(session: SparkSession, vocabulary: TableRef, path: str) -> dict[str, str]:
    """Return the properties of the vectors' table, from the vocabulary table that was written before it."""
    said = table_properties(session, vocabulary)
    model = {key: said[f"spladelake.{key}"] for key in _MODEL if f"spladelake.{key}" in said}
    return {**model, "vocabulary_size": str(vocabulary.read(session).count()), "source": path}


def _belongs(session: SparkSession, vocabulary: TableRef, target: TableRef) -> bool:
    """Return whether the vocabulary table still belongs to the model of the vectors."""
    row = target.read(session).select("model_id").first()
    return row is not None and is_current(session, vocabulary, vocabulary_lineage(row["model_id"]))


def _check_other_side(session: SparkSession, other: TableRef, model_id: str, name: str) -> None:
    """Raise DataError if the other side's vectors use another vocabulary, which this import would replace."""
    row = other.read(session).select("model_id").first() if other.exists(session) else None
    if row is not None and row["model_id"] != model_id:
        raise DataError(
            str(other),
            f"these vectors use the vocabulary {row['model_id'][:21]}, but --input uses {model_id[:21]}",
            f"wanted one vocabulary for documents and queries under the name {name!r}",
            f"Add --like {name} to read --input with the vocabulary of these vectors, or choose another name with "
            "--vectors.",
        )


def _from_lines(session: SparkSession, path: str, manifest: dict[str, Any]) -> DataFrame:
    files = storage.input_files(session, path)
    # In a folder, read only files with a suitable name. A file that the user names is read whatever its name.
    if storage.is_folder(session, path):
        names = {file: file.path.rsplit("/", 1)[-1] for file in files}
        files = tuple(file for file, name in names.items() if ".json" in name and name != MANIFEST)
    if not files:
        raise DataError(
            path, "the folder has no file *.json*", "wanted at least one file", "Correct --input or --input-format."
        )
    source = Source("vectors", path, "jsonl", files=files, all_files=False)
    check_heads(session, source)
    file, line = plain_path(F.col("file")).alias("file"), F.col("line").cast("string").alias("line")
    lines = lines_of(session, source).select(file, line)
    parse = ParseVectors(content_is_id=manifest.get("format") == "seismic")
    return map_arrow(lines, parse, PARSED_DDL)


def _from_ciff(session: SparkSession, path: str, lake: Lake, cleanup: ExitStack) -> DataFrame:
    """Return (id, terms, weights) of the documents of a CIFF file; the driver reads it once, list by list."""
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="spladelake-import-")))
    local, tables = folder / FILE, folder / "tables"
    tables.mkdir()
    if storage.is_folder(session, path):
        path = f"{path}/{FILE}"
        if not storage.exists(session, path):
            raise DataError(path, "there is no such file", "wanted a CIFF file", "Set --input to the CIFF file.")
    storage.download(session, path, local)
    with local.open("rb") as file:
        _, lists, records = read_ciff(file, place=path)
        _write_lists(lists, tables / "lists.parquet")
        _write_records(records, tables / "records.parquet")
    readable = shared(session, tables, lake, cleanup)
    pairs = session.read.parquet(f"{readable}/lists.parquet").select(
        "term", F.explode(F.arrays_zip("places", "impacts")).alias("posting")
    )
    found = pairs.groupBy(F.col("posting.places").alias("place")).agg(
        F.collect_list("term").alias("terms"), F.collect_list(F.col("posting.impacts").cast("float")).alias("weights")
    )
    records_read = session.read.parquet(f"{readable}/records.parquet")
    unknown = found.join(records_read, "place", "left_anti").select("place").first()
    if unknown is not None:
        raise DataError(
            path,
            f"the postings name document number {unknown['place']}, but the file has no record of this document",
            "wanted a record for each document",
            "Export the index again.",
        )
    empty = F.array().cast("array<string>"), F.array().cast("array<float>")
    return records_read.join(found, "place", "left").select(
        "id", F.coalesce("terms", empty[0]).alias("terms"), F.coalesce("weights", empty[1]).alias("weights")
    )


def _write_lists(lists: Iterator[PostingsList], target: Path) -> None:
    with pq.ParquetWriter(target, _LISTS, compression="zstd") as writer:
        held: list[PostingsList] = []
        postings = 0
        for found in lists:
            held.append(found)
            postings += len(found.documents)
            if postings > HELD_POSTINGS or len(held) >= 1_000:
                writer.write_table(_table(held))
                held, postings = [], 0
        writer.write_table(_table(held))


def _table(held: list[PostingsList]) -> pa.Table:
    columns = [[one.term for one in held], [one.documents for one in held], [one.impacts for one in held]]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, _LISTS, strict=True)], schema=_LISTS)


def _write_records(records: Iterator[DocRecord], target: Path) -> None:
    found = [(record.number, record.doc_id) for record in records]
    columns = {"place": pa.array([n for n, _ in found], pa.int64()), "id": pa.array([i for _, i in found], pa.string())}
    pq.write_table(pa.table(columns), target)


def _check_rows(rows: DataFrame, path: str) -> None:
    """Raise DataError if the input has no document or an id occurs twice."""
    if rows.isEmpty():
        raise DataError(path, "the input holds no vector", "wanted at least one vector", "Correct --input.")
    twice = rows.groupBy("id").count().where("count > 1").orderBy("id").first()
    if twice is not None:
        raise DataError(
            path,
            f"the id {twice['id']!r} occurs {twice['count']} times",
            "wanted each id once",
            "Remove the repeated records.",
        )


def _vocabulary(
    session: SparkSession, lake: Lake, options: ImportVectors, rows: DataFrame, path: str, manifest: dict[str, Any]
) -> tuple[list[str], dict[str, str]]:
    """Return the token of each dimension, and the properties of the model."""
    if options.like is not None:
        other = short_name(options.like)
        ref, vectors = lake.vectors(other, "vocabulary"), lake.vectors(other, "documents")
        found = require(session, ref, VOCABULARY, made_by=named_by(lake, other, option="--like"))
        said = table_properties(session, vectors if vectors.exists(session) else ref)
        size = int(said.get("spladelake.vocabulary_size", found.count()))
        model = {key: said[f"spladelake.{key}"] for key in _MODEL if f"spladelake.{key}" in said}
        return tokens_of(found, size), {"model": other, "model_id": other, **model}
    if options.input_format == "parquet":
        tokens = [f"[{n}]" for n in range(dimensions_of(rows, manifest.get("dimensions"), path))]
    else:
        terms = rows.select(F.explode("terms").alias("term")).distinct()
        ordered = terms.select("term", F.row_number().over(Window.orderBy("term")).alias("number")).orderBy("number")
        tokens = [row["term"] for row in ordered.collect()]
    digest = hashlib.sha256("\n".join(tokens).encode()).hexdigest()
    return tokens, {"model": f"imported from {path.rsplit('/', 1)[-1]}", "model_id": f"{IMPORTED_PREFIX}{digest[:40]}"}


def _manifest(session: SparkSession, path: str) -> dict[str, Any]:
    """Return the manifest that export_vectors wrote beside the files; empty if there is none."""
    folder = path if storage.is_folder(session, path) else path.rsplit("/", 1)[0]
    return manifest_in(session, folder) or {}


def _noted_step(manifest: dict[str, Any]) -> float:
    quantisation = manifest.get("quantisation")
    return float(quantisation["step"]) if quantisation else 1.0
