"""The export job of vectors: it writes a folder of files for another engine, part by part."""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config.exchange import ExportVectors
from spladelake.errors import DataError
from spladelake.exchange import LINE_FORMATS
from spladelake.results import ExportVectorsResult
from spladelake.spark.exchange.export_ciff import write_ciff_file
from spladelake.spark.exchange.export_folder import CARD, MOVES, make_room, manifest_in, moves_in
from spladelake.spark.exchange.export_plan import MANIFEST, Export, check_ids, numbered, planned
from spladelake.spark.exchange.worker import LINE_DDL, Lines
from spladelake.spark.retrieve.vector_checks import check_every_row
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.tables import storage
from spladelake.spark.tables.data_files import data_files, rows_of_files

log = logging.getLogger(__name__)

# Most parts of an export. An interrupted export resumes after its last finished part.
MOST_CHUNKS = 64
# Most postings that the driver holds as one matrix: about 400 MB.
MATRIX_POSTINGS = 50_000_000


def export_vectors(session: SparkSession, options: ExportVectors) -> ExportVectorsResult:
    """Write the vectors of one side of a lake in the format of another engine, with a manifest.

    An interrupted export resumes after its last finished part; an up-to-date export is skipped.
    Raises DataError if the lake has no such vectors or an id is too long for the engine, and UsageError if the output
    folder holds files of others.
    """
    started = time.monotonic()
    export = planned(session, options)
    result: ExportVectorsResult = {"format": options.output_format, "output": export.output}
    found = manifest_in(session, export.output)
    if not options.force and found is not None and found.get("fingerprint") == export.manifest["fingerprint"]:
        log.info("%s: skipped, because the files are up to date", export.output)
        # An earlier run that was killed after it wrote the manifest may have left its parts.
        storage.remove(session, export.parts)
        return {**result, "status": "skipped"}
    check_ids(export)
    check_every_row(export.source, export.rows, size=len(export.tokens))
    make_room(export, found)
    with ExitStack() as kept:
        chunks = _write_whole(export) if options.output_format == "ciff" else _write_chunks(export, kept)
    files, rows = _publish(export, chunks), export.rows.count()
    manifest = {**export.manifest, "files": files, "rows": rows}
    storage.write_text(session, f"{export.output}/{MANIFEST}", json.dumps(manifest, indent=1) + "\n")
    storage.remove(session, export.parts)
    quantisation = export.manifest["quantisation"]
    seconds = round(time.monotonic() - started, 2)
    return {**result, "status": "written", "rows": rows, "files": len(files), "quantisation": quantisation,
            "seconds": seconds}  # fmt: skip


def _write_whole(export: Export) -> int:
    """Write one CIFF file unless it is finished; return the number of parts."""
    folder = f"{export.parts}/00000"
    if not storage.exists(export.session, f"{folder}/_SUCCESS"):
        storage.remove(export.session, folder)
        write_ciff_file(export, folder)
        storage.write_text(export.session, f"{folder}/_SUCCESS", "")
    return 1


def _write_chunks(export: Export, kept: ExitStack) -> int:
    """Write the unfinished parts, each from a chunk of data files; return the number of parts."""
    session, rows = export.session, export.rows
    line_format = LINE_FORMATS.get(export.options.output_format)
    names = list(data_files(rows))
    size = max(1, math.ceil(len(names) / MOST_CHUNKS))
    chunks = [names[first : first + size] for first in range(0, len(names), size)]
    places = None
    if line_format is not None and line_format.numbered:
        places = kept_on_disk(numbered(rows).select("id", "place"), kept)
    for number, chunk in enumerate(chunks):
        folder = f"{export.parts}/{number:05}"
        if storage.exists(session, f"{folder}/_SUCCESS"):
            log.info("%s: part %d of %d was already written", export.output, number + 1, len(chunks))
            continue
        places_of = [name for name in ("doc_id", "passage", "start", "end") if name in rows.columns]
        part = rows_of_files(session, export.source, rows, chunk).select("id", "indices", "values", *places_of)
        part = part.withColumn("place", F.lit(0).cast("long")) if places is None else part.join(places, "id")
        _WRITERS.get(export.options.output_format, _write_lines)(export, part, folder)
    return len(chunks)


def _write_lines(export: Export, part: DataFrame, folder: str) -> None:
    options = export.options
    tokens = export.session.sparkContext.broadcast(export.tokens)
    lines = map_arrow(
        part.select("id", "indices", "values", "place"),
        Lines(options.output_format, tokens, export.quantiser),
        LINE_DDL,
    )
    writer = lines.write.mode("overwrite").option("compression", "gzip" if options.gzip else "none")
    writer.option("lineSep", "\n").text(folder)


def _write_parquet(export: Export, part: DataFrame, folder: str) -> None:
    part.drop("place").write.mode("overwrite").option("compression", "zstd").parquet(folder)


def _write_matrices(export: Export, part: DataFrame, folder: str) -> None:
    """Write matrices that scipy.sparse.load_npz reads, with the ids of the rows as a further array."""
    postings = part.agg(F.coalesce(F.sum(F.size("indices")), F.lit(0)).alias("n")).first()
    assert postings is not None
    pieces = max(1, math.ceil(int(postings["n"]) / MATRIX_POSTINGS))
    with tempfile.TemporaryDirectory(prefix="spladelake-export-") as local:
        for piece in range(pieces):
            chosen = part if pieces == 1 else part.where(F.pmod(F.xxhash64("id"), F.lit(pieces)) == piece)
            table = chosen.select("id", "indices", "values").toArrow().sort_by("id").combine_chunks()
            lists = [table.column(name).combine_chunks() for name in ("indices", "values")]
            starts = np.concatenate([[0], np.cumsum(lists[0].value_lengths().to_numpy())]).astype(np.int64)
            np.savez_compressed(
                Path(local) / f"part-{piece:05}.npz",
                data=lists[1].flatten().to_numpy(), indices=lists[0].flatten().to_numpy(), indptr=starts,
                shape=np.array([table.num_rows, len(export.tokens)]), format=np.array(b"csr"),
                ids=np.array(table.column("id").to_pylist(), dtype=np.str_),
            )  # fmt: skip
        storage.remove(export.session, folder)
        storage.upload(export.session, Path(local), folder)
    storage.write_text(export.session, f"{folder}/_SUCCESS", "")


_WRITERS: dict[str, Callable[[Export, DataFrame, str], None]] = {"npz": _write_matrices, "parquet": _write_parquet}


def _publish(export: Export, chunks: int) -> list[str]:
    """Move the files of all parts into the folder with consecutive numbers, and return their names.

    A file of the moves is written first, so that a later run can finish interrupted moves.
    """
    session = export.session
    moves = moves_in(session, export.parts)
    if not moves:
        moves = _moves(export, chunks)
        storage.write_text(session, f"{export.parts}/{MOVES}", json.dumps(moves))
    for source, name in moves.items():
        target = f"{export.output}/{name}"
        if storage.exists(session, source):
            storage.move(session, source, target)
        elif not storage.exists(session, target):
            wanted = "wanted the file that the interrupted export wrote"
            raise DataError(target, "the file is missing", wanted, "Run export_vectors again with --force.")
    if export.options.output_format == "parquet":
        storage.write_text(session, f"{export.output}/{CARD}", _card(export))
    return list(moves.values())


def _moves(export: Export, chunks: int) -> dict[str, str]:
    """Return the final name of each file of the parts."""
    made = [
        f"{export.parts}/{number:05}/{name}"
        for number in range(chunks)
        for name in storage.children(export.session, f"{export.parts}/{number:05}")
    ]
    if export.options.output_format == "ciff":
        return {source: source.rsplit("/", 1)[-1] for source in made}
    suffix = {"npz": "npz", "parquet": "parquet"}.get(export.options.output_format, "jsonl")
    suffix += ".gz" if export.options.gzip and suffix == "jsonl" else ""
    names = [
        f"train-{n:05}-of-{len(made):05}.parquet" if suffix == "parquet" else f"part-{n:05}.{suffix}"
        for n in range(len(made))
    ]
    return dict(zip(made, names, strict=True))


def _card(export: Export) -> str:
    return (
        "---\nconfigs:\n- config_name: default\n  data_files: train-*.parquet\n---\n"
        f"Sparse vectors ({export.options.side}): `indices` are term ids below {len(export.tokens)}, ascending, "
        f"`values` their weights. model_id {export.manifest['model_id']}. Similarity: dot product.\n"
    )
