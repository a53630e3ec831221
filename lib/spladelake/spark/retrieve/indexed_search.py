"""Search through a current index of a lake in a local folder, without Spark; the files of another lake come by Spark.

The driver answers `spladelake search` in this way, and a worker the SQL functions `search` and `similar`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pyspark.sql import SparkSession

from spladelake.files.delta_folder import folder_table
from spladelake.index.files import Counter, IndexFile, LocalFile, OtherFormError, StoredRow, stored_rows
from spladelake.index.search import IndexSearch
from spladelake.spark.retrieve.driver_search import (
    PLACES,
    TITLES,
    Best,
    Places,
    explained,
    pairs,
    places_in,
)
from spladelake.spark.retrieve.index import FoundIndex, lineage_of_files
from spladelake.spark.retrieve.local_tables import LocalTables, local_tables
from spladelake.spark.retrieve.vector_rows import VECTOR_COLUMNS
from spladelake.spark.tables import storage
from spladelake.spark.tables.data_files import data_files
from spladelake.spark.tables.delta_log import Commit
from spladelake.spark.tables.lineage import lineage_in
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.vectors import SparseVectors

log = logging.getLogger(__name__)

# Newest commits of an index in which its lineage is looked for. Those of maintain_tables come after it.
_COMMITS = 100


@dataclass(frozen=True)
class IndexedCollection:
    """A collection in a local folder with a current index; its parameters are those of SmallCollection.

    - tables: the tables of the folder.
    - index: the index.
    """

    tables: LocalTables
    index: IndexSearch
    model_id: str | None
    tokens: pa.Table

    @property
    def place(self) -> str:
        """The vectors' table, for errors."""
        return self.tables.place

    @property
    def properties(self) -> Mapping[str, str]:
        """Properties of the vectors' table."""
        return self.tables.vectors.properties

    @property
    def vocabulary_model_id(self) -> str | None:
        """The model_id in the properties of the vocabulary's table."""
        return self.tables.vocabulary_model_id

    def answer(self, query: SparseVectors, *, k: int, terms: int) -> list[dict[str, Any]]:
        """Return the k best documents for the vector of a question, as `search_documents` does."""
        best, here = best_in_index(self.index, query, k=k)
        return explained(
            query, best, here, terms=terms, tokens=lambda keys: pairs(self.tokens, keys), titles=self._titles_of,
            places=self._places_of if self.index.of_passages else None,
        )  # fmt: skip

    def _titles_of(self, doc_ids: list[str]) -> Mapping[str, str | None]:
        texts = self.tables.texts
        return {} if texts is None else pairs(texts.rows_with("doc_id", doc_ids, TITLES), doc_ids)

    def _places_of(self, ids: list[str]) -> Places:
        schema = pa.schema([("id", pa.string()), *PLACES])
        return places_in(self.tables.vectors.rows_with("id", ids, schema), ids)


def indexed_collection(lake: str, name: str) -> IndexedCollection | None:
    """Open the collection of a local folder without Spark. Returns None if it has no current index, or is unusual."""
    tables = local_tables(lake, name)
    if tables is None or tables.titles_elsewhere:
        return None
    index = folder_index(Lake(lake), name, tables)
    tokens = None if index is None else tables.tokens()
    if index is None or tokens is None:
        return None
    return IndexedCollection(tables, index, index.rows[0].model_id if index.rows else None, tokens)


def best_in_index(index: IndexSearch, query: SparseVectors, *, k: int) -> tuple[Best, pa.Table]:
    """Return (id, score) of the k best documents, best first, and their vectors, with the terms of the question."""
    hits = index.best(query, k=k)
    rows = ((terms.tolist(), weights.tolist()) for terms, weights in index.vectors(hits, query))
    vectors = SparseVectors.from_rows(rows)
    ids = pa.array([hit.row_id for hit in hits], pa.string())
    table = pa.Table.from_arrays([ids, *vectors.list_columns()], schema=VECTOR_COLUMNS)
    return [(hit.row_id, hit.score) for hit in hits], table


def folder_index(lake: Lake, name: str, tables: LocalTables) -> IndexSearch | None:
    """Open the index of a local folder. Returns None unless it was made from exactly these vectors."""
    documents, target = lake.vectors(name, "documents"), lake.vectors(name, "index")
    found, vectors = folder_table(Path(target.path or "")), tables.vectors
    if found is None:
        return None
    made = lineage_in(Commit(*commit) for commit in found.commits(_COMMITS))
    if made is None or made["fingerprint"] != lineage_of_files(documents, vectors.sizes).fingerprint:
        return None
    files = (LocalFile(found.folder / file) for file in sorted(found.sizes))
    size = int(vectors.properties["spladelake.vocabulary_size"])
    return _opened(target, files, size, of_passages=tables.of_passages)


def session_index(
    session: SparkSession, index: TableRef, found: FoundIndex, *, vocabulary_size: int, of_passages: bool
) -> IndexSearch | None:
    """Open a current index in any place that Spark reads. Returns None if there is none.

    - index, found: the table of the index, and its state.
    """
    if found.rows is None:
        return None
    files = (_file_of(session, path) for path in data_files(found.rows).values())
    return _opened(index, files, vocabulary_size, of_passages=of_passages)


def _file_of(session: SparkSession, path: str) -> IndexFile:
    local = storage.local_path(path)
    if local is not None:
        return LocalFile(local)
    size, modified = storage.stamp(session, path) or (0, 0)
    return StreamFile(storage.open_input(session, storage.InputFile(path, size, modified / 1000)))


class StreamFile:
    """A file of another file system, read through Spark."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def read_at(self, place: int, size: int) -> bytes:
        """Return bytes from a place on."""
        self.stream.seek(place)
        return self.stream.read(size)


def _opened(
    index: TableRef, files: Iterable[IndexFile], vocabulary_size: int, *, of_passages: bool
) -> IndexSearch | None:
    counter, rows = Counter(), list[StoredRow]()
    try:
        for file in files:
            rows += stored_rows(file, counter)
    except (OtherFormError, OSError, pa.ArrowException) as error:
        log.warning(
            "%s: the index cannot be used (%s), so the search reads all vectors, which is slower. Run index_vectors "
            "with --force.",
            index,
            error,
        )
        return None
    return IndexSearch(rows, vocabulary_size=vocabulary_size, of_passages=of_passages, counter=counter)
