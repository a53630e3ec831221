"""Answer a question in the driver: rank a small collection and explain its scores, with the kernels of the workers.

The rows equal the rows of workers to the last bit. The same kernel adds up scores as integers, so the division into
blocks does not matter. A contribution is the same product of two doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spladelake.files.delta_folder import FolderTable
from spladelake.passages import document_of, passage_id
from spladelake.passages.aggregate import Aggregate
from spladelake.scoring import check_vectors
from spladelake.spark.retrieve.blocks import Batched, ranked_in_driver
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.local_tables import UNREADABLE, local_tables
from spladelake.spark.retrieve.passes import Asked
from spladelake.spark.retrieve.query_rows import QueryBatch
from spladelake.spark.retrieve.vector_rows import VECTOR_COLUMNS
from spladelake.spark.session.totals import DriverTotals
from spladelake.vectors import SparseVectors

# Up to these limits the driver reads and ranks all vectors of a collection before workers could start.
MOST_DOCUMENTS = 50_000
MOST_BYTES = 64 * 2**20
# Memory limit of the ranking of one question: far more than it takes.
TASK_BYTES = 64 * 2**20
# Most bytes of a `documents` table whose titles are read without Spark.
MOST_TEXT_BYTES = 256 * 2**20

_MODEL = pa.schema([("model_id", pa.string())])
TITLES = pa.schema([("doc_id", pa.string()), ("title", pa.string())])


# Rows of vectors, the best first, each with its score: of documents, or of their best passages.
Best = list[tuple[str, float]]
# The first and the end character of passages in the texts of their documents, by id.
Places = Mapping[str, tuple[int, int]]
PLACES = pa.schema([("start", pa.int32()), ("end", pa.int32())])


@dataclass(frozen=True)
class SmallCollection:
    """A small collection, read into the driver.

    - place: the vectors' table, for errors.
    - vectors: (id, indices, values).
    - model_id: of the vectors; None if there is no vector.
    - vocabulary_model_id: model_id in the properties of the vocabulary's table.
    - properties: properties of the vectors' table.
    - tokens: (term_id, token) of the vocabulary.
    - titles: (doc_id, title) of the documents.
    - places: (id, start, end) of the passages; None if the vectors are of whole texts.
    """

    place: str
    vectors: pa.Table
    model_id: str | None
    vocabulary_model_id: str | None
    properties: Mapping[str, str]
    tokens: pa.Table
    titles: pa.Table
    places: pa.Table | None = None

    @property
    def vocabulary_size(self) -> int:
        """Dimensions of the vectors."""
        return int(self.properties["spladelake.vocabulary_size"])

    def answer(self, query: SparseVectors, *, k: int, terms: int) -> list[dict[str, Any]]:
        """Return the k best documents for the vector of a question, as `search_documents` does."""
        of_passages = self.places is not None
        best = ranked_here(
            query, self.vectors, k=k, vocabulary_size=self.vocabulary_size, place=self.place, passages=of_passages
        )
        return explained(
            query, best, self.vectors, terms=terms,
            tokens=lambda keys: pairs(self.tokens, keys), titles=lambda keys: pairs(self.titles, keys),
            places=self._places_of if of_passages else None,
        )  # fmt: skip

    def _places_of(self, ids: list[str]) -> Places:
        assert self.places is not None
        return places_in(self.places, ids)


def question_rules(k: int, *, passages: bool) -> Kept:
    """Return the rules of the ranking for a question. passages: whether the vectors are of passages."""
    return Kept(k, False, 0.0, Aggregate() if passages else None)


def best_rows(found: pa.Table, *, passages: bool) -> Best:
    """Return the ids and scores of ranked rows, which are sorted by rank. passages: as of `question_rules`."""
    ids, scores = found.column("doc_id").to_pylist(), found.column("score").to_pylist()
    if passages:
        ids = [passage_id(doc_id, n) for doc_id, n in zip(ids, found.column("passage").to_pylist(), strict=True)]
    return list(zip(ids, scores, strict=True))


def ranked_here(
    query: SparseVectors, vectors: Batched, *, k: int, vocabulary_size: int, place: str, passages: bool = False
) -> Best:
    """Return (id, score) of the k best documents, best first.

    - vectors: (id, indices, values).
    - place: the vectors' table, for errors.
    - passages: whether the vectors are of passages. A document then has the id of its best one.
    """
    check_vectors(
        query, vocabulary_size=vocabulary_size, place="the vector of the question", ids=(), fix="Use another model."
    )
    found = ranked_in_driver(
        QueryBatch(["question"], query, vocabulary_size),
        _OneGroup(vectors),
        [Asked(question_rules(k, passages=passages))],
        place=place,
        totals=DriverTotals(),
        task_bytes=TASK_BYTES,
    )
    return best_rows(found, passages=passages)


@dataclass(frozen=True)
class _OneGroup:
    """Rows of vectors, all of one group."""

    vectors: Batched

    def to_batches(self, max_chunksize: int) -> Iterable[pa.RecordBatch]:
        """Return the rows in batches."""
        for batch in self.vectors.to_batches(max_chunksize):
            yield batch.append_column("groups", pa.repeat(pa.scalar(1, pa.int32()), batch.num_rows))


def explained(
    query: SparseVectors,
    best: Best,
    vectors: pa.Table,
    *,
    terms: int,
    tokens: Callable[[set[int]], Mapping[int, str]],
    titles: Callable[[list[str]], Mapping[str, str | None]],
    places: Callable[[list[str]], Places] | None = None,
) -> list[dict[str, Any]]:
    """Return the best documents with rank, title, score and at most `terms` contributions, the largest first.

    If the vectors are of passages, a document has the number of its best passage and its place in the text too.

    - vectors: (id, indices, values) of at least these documents.
    - tokens, titles: functions that return the tokens of term ids, and the titles of documents.
    - places: function that returns the places of passages; None if the vectors are of whole texts.
    """
    if not best:
        return []
    ids = [row_id for row_id, _ in best]
    rows = pc.index_in(pa.array(ids, pa.string()), vectors["id"].combine_chunks()).to_pylist()
    weights = ([vectors[name][row].values.to_numpy() for name in ("indices", "values")] for row in rows)
    contributions = [_contributions(query, indices, values) for indices, values in weights]
    documents = ids if places is None else [document_of(row_id)[0] for row_id in ids]
    token_of, title_of = tokens({term for of_hit in contributions for term in of_hit}), titles(documents)
    named = [_named(of_hit, token_of, most=terms) for of_hit in contributions]
    where = [{}] * len(ids) if places is None else _places(ids, places(ids))
    return [
        {"rank": rank, "doc_id": doc_id, "title": title_of.get(doc_id), "score": score, **place, "terms": shown}
        for rank, (doc_id, (_, score), place, shown) in enumerate(zip(documents, best, where, named, strict=True), 1)
        if shown is not None
    ]


def _places(ids: list[str], places: Places) -> list[dict[str, int]]:
    """Return number, start and end of each passage, as entries of a hit."""
    return [{"passage": document_of(i)[1], "start": places[i][0], "end": places[i][1]} for i in ids]


def _contributions(query: SparseVectors, indices: NDArray[np.int32], values: NDArray[np.float32]) -> dict[int, float]:
    """Return the contribution of each common term to the score: the product of its weights in question and document."""
    asked, weights = query.row(0)
    common, in_query, in_document = np.intersect1d(asked, indices, assume_unique=True, return_indices=True)
    products = weights[in_query].astype(np.float64) * values[in_document].astype(np.float64)
    return dict(zip(common.tolist(), products.tolist(), strict=True))


def _named(contributions: Mapping[int, float], tokens: Mapping[int, str], *, most: int) -> dict[str, float] | None:
    """Return the largest contributions by token, sorted as in SQL; None if the vocabulary names none of the terms."""
    known = sorted(((part, tokens[term]) for term, part in contributions.items() if term in tokens), reverse=True)
    return {token: part for part, token in known[:most]} if known else None


def small_collection(lake: str, name: str) -> SmallCollection | None:
    """Read the collection of a local folder without Spark.

    Returns None if the collection is large, or unusual in any way. Spark then reads it, or reports the fault.
    """
    tables = local_tables(lake, name)
    if tables is None or tables.titles_elsewhere or not _is_small(tables.vectors, tables.texts):
        return None
    tokens, vectors = tables.tokens(), tables.vectors
    try:
        rows = vectors.read(pa.schema([*VECTOR_COLUMNS, *_MODEL, *(PLACES if tables.of_passages else [])]))
        titles = TITLES.empty_table() if tables.texts is None else tables.texts.read(TITLES)
    except UNREADABLE:
        return None
    if tokens is None:
        return None
    model_id = rows["model_id"][0].as_py() if len(rows) else None
    places = rows.select(["id", *PLACES.names]) if tables.of_passages else None
    return SmallCollection(
        tables.place, rows.select(VECTOR_COLUMNS.names), model_id, tables.vocabulary_model_id, vectors.properties,
        tokens, titles, places,
    )  # fmt: skip


def _is_small(vectors: FolderTable, texts: FolderTable | None) -> bool:
    if vectors.bytes > MOST_BYTES or (texts is not None and texts.bytes > MOST_TEXT_BYTES):
        return False
    try:
        return vectors.rows <= MOST_DOCUMENTS
    except (OSError, pa.ArrowException):
        return False


def pairs(table: pa.Table, keys: Iterable[Any]) -> dict[Any, Any]:
    """Return the second column by the first, of the rows whose first column is one of the keys."""
    key = table.column(0)
    chosen = table.filter(pc.is_in(key, pa.array(list(keys), key.type)))
    return dict(zip(*(column.to_pylist() for column in chosen.columns), strict=True))


def places_in(table: pa.Table, ids: list[str]) -> Places:
    """Return the places of some passages. table: (id, start, end)."""
    chosen = table.filter(pc.is_in(table["id"], pa.array(ids, pa.string()))).to_pylist()
    return {row["id"]: (row["start"], row["end"]) for row in chosen}
