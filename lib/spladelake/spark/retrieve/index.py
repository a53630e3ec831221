"""The persisted index: document vectors as blocks ready to score. Each use checks that the index is current."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from pyspark.accumulators import Accumulator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import IndexVectors
from spladelake.index.layout import VERSION, ids_to_bytes, to_bytes
from spladelake.names import short_name
from spladelake.results import IndexResult
from spladelake.scoring import compile_kernels, invert
from spladelake.spark.retrieve.blocks import set_batch_size
from spladelake.spark.retrieve.vector_checks import check_rows, check_same_model, surveyed, vocabulary_size
from spladelake.spark.retrieve.vector_rows import vectors_of
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.progress import progress
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.create import require
from spladelake.spark.tables.data_files import data_files, rows_of_files
from spladelake.spark.tables.delta_log import reader_version
from spladelake.spark.tables.lineage import Lineage, newest_lineage
from spladelake.spark.tables.properties import set_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import INDEX, VECTORS
from spladelake.spark.tables.skeleton import made_unless_current
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.suggestions import encoded_by
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)

# Documents of a block, and its postings if those are fewer: about 60 MB. The larger the blocks, the longer the postings
# that a search reads at once.
MOST_DOCUMENTS, MOST_POSTINGS = 65_536, 12_000_000


@dataclass(frozen=True)
class BuildBlocks:
    """The function for mapInArrow: turns (id, indices, values, model_id, source_file) rows into rows of the index.

    - place: the table of document vectors, for messages.
    - vocabulary_size: dimensions of the vectors.
    - totals: counts from the workers.
    """

    place: str
    vocabulary_size: int
    totals: Accumulator[dict[str, float]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held, source_file = list[pa.RecordBatch](), ""
        for piece, of_file in _pieces(batches):
            if held and (of_file != source_file or not _fit([*held, piece])):
                yield self._block(held, source_file)
                held = []
            held.append(piece)
            source_file = of_file
        if held:
            yield self._block(held, source_file)

    def _block(self, pieces: list[pa.RecordBatch], source_file: str) -> pa.RecordBatch:
        (batch,) = pa.Table.from_batches(pieces).combine_chunks().to_batches()
        vectors, ids = vectors_of(batch, place=self.place, vocabulary_size=self.vocabulary_size)
        block = invert(vectors, vocabulary_size=self.vocabulary_size)
        values: list[Any] = [
            source_file, len(vectors), *ids_to_bytes(ids), *to_bytes(block), batch.column("model_id")[0].as_py(),
        ]  # fmt: skip
        self.totals.add({"documents": len(vectors), "blocks": 1})
        schema = INDEX.arrow
        columns = [pa.array([value], field.type) for value, field in zip(values, schema, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


def _pieces(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, str]]:
    """Yield the rows of each data file, and its name, in the order of the batches."""
    for batch in batches:
        files = batch.column("source_file").to_pylist()
        first = 0
        for row in range(1, len(files) + 1):
            if row == len(files) or files[row] != files[first]:
                yield batch.slice(first, row - first), files[first]
                first = row


def _fit(pieces: list[pa.RecordBatch]) -> bool:
    """Return whether rows are few enough for one block."""
    postings = sum(len(piece.column("indices").flatten()) for piece in pieces)
    return sum(piece.num_rows for piece in pieces) <= MOST_DOCUMENTS and postings <= MOST_POSTINGS


def lineage_of_files(documents: TableRef, files: Iterable[str]) -> Lineage:
    """Return the lineage of the index, which depends on data files: table versions with equal files share an index.

    - files: the paths or the names of the files, of a table in which a file holds only rows of the table.
    """
    names = sorted(file.rsplit("/", 1)[-1] for file in files)
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return Lineage("index_vectors", {"documents": [str(documents), digest]}, {"layout": VERSION})


def _lineage(session: SparkSession, documents: TableRef, rows: DataFrame, version: int) -> Lineage:
    """Return the lineage of the index of some version. rows: of this version."""
    files = list(data_files(rows))
    # A deletion vector removes rows of a file, whose name stays.
    return lineage_of_files(documents, files if _is_plain(session, documents) else [*files, f"version {version}"])


def _is_plain(session: SparkSession, documents: TableRef) -> bool:
    """Return whether a data file always holds the same rows of the table: reader version 1 has no deletion vectors."""
    return reader_version(session, documents) == 1


@dataclass(frozen=True)
class FoundIndex:
    """The state of an index, and its rows if the index is current."""

    state: Literal["none", "stale", "used"]
    rows: DataFrame | None = None


def current_index(session: SparkSession, index: TableRef, documents: TableRef, *, version: int) -> FoundIndex:
    """Return the index if it was made from exactly the vectors of this version. Log the reason if it is stale.

    - index, documents: the tables of the index and of the document vectors.
    - version: the version of `documents`.
    """
    if not index.exists(session):
        return FoundIndex("none")
    wanted = _lineage(session, documents, documents.scan(session, version=version), version)
    found = newest_lineage(session, index)
    why = _outdated(found, wanted)
    if why:
        log.warning("%s: the index is ignored, because %s; run index_vectors to update it", index, why)
        return FoundIndex("stale")
    return FoundIndex("used", index.scan(session))


def _outdated(found: Mapping[str, Any] | None, wanted: Lineage) -> str:
    """Return why an index with a lineage cannot be used; "" if it can."""
    if found is None:
        return "another program wrote to the index"
    if found["fingerprint"] == wanted.fingerprint:
        return ""
    if found["settings"] != wanted.settings:
        return "another release of spladelake made the index"
    return "the vectors have changed since the index was made"


def index_vectors(session: SparkSession, options: IndexVectors) -> IndexResult:
    """Bring the index of a lake's document vectors up to date.

    The job adds blocks for new data files and removes the blocks of deleted ones. Raises DataError if the vectors are
    missing or break an invariant.
    """
    lake, model = Lake(options.lake), short_name(options.vectors or options.model)
    documents, target = lake.vectors(model, "documents"), lake.vectors(model, "index")
    made_by = encoded_by(lake, model=options.model, vectors=options.vectors)
    require(session, documents, VECTORS, made_by=made_by)
    version = documents.version(session)
    rows = documents.scan(session, version=version)
    files, lineage = list(data_files(rows)), _lineage(session, documents, rows, version)
    return made_unless_current(
        session, {target: lineage},
        lambda: _index(session, documents, rows, target, lineage, files, force=options.force),
        force=options.force, step=f"index {model}", known=IndexResult(table=str(target)),
    )  # fmt: skip


def _index(
    session: SparkSession, documents: TableRef, rows: DataFrame, target: TableRef, lineage: Lineage, files: list[str],
    *, force: bool,
) -> dict[str, Any]:  # fmt: skip
    """Write the blocks and return the counts."""
    size = vocabulary_size(session, documents, documents)
    survey = surveyed(rows)
    check_same_model((documents, survey))
    check_rows(session, documents, rows, survey, size=size)
    found = newest_lineage(session, target)
    kept = set() if force or found is None else _indexed_files(session, target, documents, found)
    totals = _write(session, rows, target, lineage, _IndexPlan(files, kept, documents, size))
    set_properties(session, target, {"vocabulary_size": str(size), "source": str(documents)})
    blocks = target.read(session).agg(F.count("*").alias("blocks"), F.sum("documents").alias("rows")).first()
    assert blocks is not None
    made = {"blocks": int(blocks["blocks"]), "blocks_made": int(totals.get("blocks", 0))}
    return {"rows": int(blocks["rows"] or 0), **made}


def _indexed_files(session: SparkSession, target: TableRef, documents: TableRef, found: dict[str, Any]) -> set[str]:
    """Return the data files that the index has blocks of. Empty if none of them can be kept.

    That is so if the index was made from another table, or by a release that stored blocks in another form, or if data
    files may have lost rows.
    """
    is_other = found["inputs"]["documents"][0] != str(documents) or found["settings"] != {"layout": VERSION}
    if is_other or not _is_plain(session, documents):
        return set()
    return {row["source_file"] for row in target.read(session).select("source_file").distinct().collect()}


@dataclass(frozen=True)
class _IndexPlan:
    """The inputs of a write.

    - files: the data files of the vectors.
    - kept: the data files that the index already has blocks of; some may be gone from `files`.
    - documents: the table of the vectors.
    - vocabulary_size: dimensions of the vectors.
    """

    files: list[str]
    kept: set[str]
    documents: TableRef
    vocabulary_size: int


def _write(
    session: SparkSession, rows: DataFrame, target: TableRef, lineage: Lineage, plan: _IndexPlan
) -> dict[str, float]:
    compile_kernels()
    set_batch_size(session)
    totals = session.sparkContext.accumulator({}, Totals())
    made = [name for name in plan.files if name not in plan.kept]
    gone = sorted(plan.kept.difference(plan.files))
    if plan.kept:
        rows = rows_of_files(session, plan.documents, rows, made)
    vectors = rows.select("id", "indices", "values", "model_id", F.col("_metadata.file_name").alias("source_file"))
    blocks = map_arrow(vectors, BuildBlocks(str(plan.documents), plan.vocabulary_size, totals), INDEX.struct)
    changed = ", ".join(sql_string(name) for name in [*gone, *made])
    where = f"source_file IN ({changed})" if plan.kept else None
    describe(session, "index vectors")
    with progress("index vectors", total=rows.count(), done=lambda: totals.value.get("documents", 0)):
        replace_rows(session, target, INDEX, blocks, lineage=lineage, where=where)
    describe(session)
    return dict(totals.value)
