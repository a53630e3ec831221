"""The SQL functions that rank documents through the index of a local folder, in a Python worker.

The worker looks at each statement whether the index is current. If it is not, the worker reads the vectors. The rows
are those of the join in explore.sql.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from spladelake.errors import DataError
from spladelake.index.search import IndexSearch
from spladelake.passages import document_of
from spladelake.spark.retrieve.driver_search import Best, ranked_here
from spladelake.spark.retrieve.indexed_search import folder_index
from spladelake.spark.retrieve.local_tables import LocalTables, local_tables
from spladelake.spark.retrieve.vector_rows import VECTOR_COLUMNS, vectors_of
from spladelake.spark.session.arrow_functions import column_function
from spladelake.spark.tables.refs import Lake
from spladelake.vectors import SparseVectors

# Rows of the functions, without and with the texts.
_RANKED = [("rank", "int", pa.int32()), ("doc_id", "string", pa.string()), ("score", "double", pa.float64())]
_TEXTS = [("title", "string", pa.string()), ("text", "string", pa.string())]
SEARCH, SIMILAR = "search_index", "similar_index"


@dataclass(frozen=True)
class IndexedVectors:
    """The document vectors of a local folder.

    - lake, name: the folder, and the name of the vectors.
    - model_id: of the model that encodes questions.
    """

    lake: str
    name: str
    model_id: str

    def search(self, question: SparseVectors, k: int) -> Best:
        """Return id and score of the best documents of a question."""
        tables = self._tables()
        return _documents(self._ranked(tables, self.index(tables), question, k, model_id=self.model_id), tables)

    def similar(self, doc_id: str | None, k: int) -> Best:
        """Return id and score of the documents whose vectors are most similar to those of a document, or passage."""
        tables = self._tables()
        index, own = self.index(tables), self._own_vectors(tables, doc_id)
        best: dict[str, float] = {}
        names = own["id"].to_pylist()
        for batch in own.combine_chunks().to_batches(max_chunksize=1):
            question, _ = vectors_of(batch, place=tables.place, vocabulary_size=_size(tables))
            for found, score in _documents(self._ranked(tables, index, question, k + 1), tables):
                best[found] = max(score, best.get(found, 0.0))
        for name in names:
            best.pop(document_of(name)[0] if tables.of_passages else name, None)
        return sorted(best.items(), key=lambda found: (-found[1], found[0].encode()))[:k]

    def texts(self, doc_ids: Sequence[str]) -> dict[str, dict[str, str | None]]:
        """Return title and text of documents by doc_id."""
        texts = self._tables().texts
        schema = pa.schema([("doc_id", pa.string()), *((name, kind) for name, _, kind in _TEXTS)])
        rows = [] if texts is None else texts.rows_with("doc_id", doc_ids, schema).to_pylist()
        return {row.pop("doc_id"): row for row in rows}

    def _tables(self) -> LocalTables:
        tables = local_tables(self.lake, self.name)
        if tables is None:
            raise DataError(
                f"{self.lake}, vectors {self.name}",
                "the tables have changed since the functions were defined, and can no longer be read without Spark",
                "wanted functions that fit the tables",
                "Start spladelake sql again, or call install again.",
            )
        return tables

    def _own_vectors(self, tables: LocalTables, doc_id: str | None) -> pa.Table:
        """Read the vectors of a document, or of a passage. A document comes before a passage with the same id."""
        for column in ("doc_id", "id") if tables.of_passages else ("id",):
            found = VECTOR_COLUMNS.empty_table()
            if doc_id is not None:
                found = tables.vectors.rows_with(column, [doc_id], VECTOR_COLUMNS)
            if found.num_rows:
                return found.sort_by("id")
        found = "the id is NULL" if doc_id is None else f"there is no vector of a document with the id {doc_id!r}"
        fix = "Choose a doc_id from the view `documents`"
        fix += "." if doc_id is None else ", or encode new documents with encode_texts."
        raise DataError("similar", found, "wanted the id of a document with a vector", fix)

    def index(self, tables: LocalTables) -> IndexSearch | None:
        """Open the index of the vectors; None unless it is current."""
        return folder_index(Lake(self.lake), self.name, tables)

    def _ranked(
        self, tables: LocalTables, index: IndexSearch | None, question: SparseVectors, k: int,
        *, model_id: str | None = None,
    ) -> Best:  # fmt: skip
        if index is None:
            rows = _Vectors(tables, model_id)
            size, passages = _size(tables), tables.of_passages
            return ranked_here(question, rows, k=k, vocabulary_size=size, place=tables.place, passages=passages)
        row = index.rows[0] if index.rows else None
        if row is not None and model_id is not None and row.model_id != model_id:
            (first,) = row.ids(row.directory(), np.zeros(1, dtype=np.int64))
            raise _other_model(first.decode(), row.model_id, model_id)
        return [(hit.row_id, hit.score) for hit in index.best(question, k=k)]


@dataclass(frozen=True)
class _Vectors:
    """The rows of a table of vectors. model_id: that all rows must have; None for any."""

    tables: LocalTables
    model_id: str | None

    def to_batches(self, _: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches."""
        for batch in self.tables.vectors.batches([*VECTOR_COLUMNS.names, "model_id"]):
            others = {*batch.column("model_id").unique().to_pylist()} - {self.model_id}
            if self.model_id is not None and others:
                row = batch.column("model_id").index(next(iter(others))).as_py()
                raise _other_model(batch.column("id")[row].as_py(), str(next(iter(others))), self.model_id)
            yield from pa.Table.from_batches([batch]).select(VECTOR_COLUMNS.names).cast(VECTOR_COLUMNS).to_batches()


@dataclass(frozen=True)
class Indexed:
    """The functions of a session that rank through an index. has_texts: whether their rows have the texts too."""

    has_texts: bool


def define_search(session: SparkSession, vectors: IndexedVectors) -> Indexed | None:
    """Define the functions in a session. Returns None if the vectors have no current index."""
    tables = local_tables(vectors.lake, vectors.name)
    if tables is None or vectors.index(tables) is None:
        return None
    has_texts = tables.texts is not None

    def search(indices: pa.Array, values: pa.Array, k: pa.Array) -> pa.Array:
        rows = zip(indices.to_pylist(), values.to_pylist(), k.to_pylist(), strict=True)
        best = [vectors.search(SparseVectors.from_rows([(terms, weights)]), n) for terms, weights, n in rows]
        return _column(vectors, best, has_texts=has_texts)

    def similar(doc_ids: pa.Array, k: pa.Array) -> pa.Array:
        best = [vectors.similar(*row) for row in zip(doc_ids.to_pylist(), k.to_pylist(), strict=True)]
        return _column(vectors, best, has_texts=has_texts)

    fields = ", ".join(f"{name}: {kind}" for name, kind, _ in _columns(has_texts=has_texts))
    returns = f"array<struct<{fields}>>"
    session.udf.register(SEARCH, column_function(search, returns, empty=pa.list_(pa.int32())))
    session.udf.register(SIMILAR, column_function(similar, returns, empty=pa.string()))
    return Indexed(has_texts)


def _columns(*, has_texts: bool) -> list[tuple[str, str, pa.DataType]]:
    """Return name, type in SQL and type in Arrow of the columns of the functions."""
    return [*_RANKED, *(_TEXTS if has_texts else [])]


def _column(vectors: IndexedVectors, found: Sequence[Best], *, has_texts: bool) -> pa.Array:
    doc_ids = [doc_id for best in found for doc_id, _ in best]
    texts = vectors.texts(doc_ids) if has_texts and doc_ids else {}
    rows = [
        [
            {"rank": n, "doc_id": doc_id, "score": score, **texts.get(doc_id, {})}
            for n, (doc_id, score) in enumerate(best, 1)
        ]
        for best in found
    ]
    return pa.array(rows, pa.list_(pa.struct([(name, kind) for name, _, kind in _columns(has_texts=has_texts)])))


def _documents(best: Best, tables: LocalTables) -> Best:
    """Return the documents of ranked rows, which may be passages."""
    return [(document_of(row_id)[0], score) for row_id, score in best] if tables.of_passages else best


def _size(tables: LocalTables) -> int:
    return int(tables.vectors.properties["spladelake.vocabulary_size"])


def _other_model(doc_id: str, found: str, wanted: str) -> DataError:
    return DataError(
        "search",
        f"the document {doc_id!r} was encoded by the model {found[:12]}, but questions are encoded by {wanted[:12]}",
        "wanted one model for documents and questions",
        "Start spladelake sql again with the --model of the documents, or encode the documents again.",
    )
