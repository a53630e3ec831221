"""Ad-hoc search: the driver encodes a free-text question, and ranks the documents of a lake for it.

If there is a current index, the driver reads only the postings of the question's terms. Without one, a small collection
in a local folder needs no Spark; of other small collections Spark reads the vectors and the driver ranks them; workers
rank large collections. All four give the same answer, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config.model_kinds import Capability
from spladelake.errors import DataError
from spladelake.index.search import IndexSearch
from spladelake.names import short_name
from spladelake.scoring import compile_kernels
from spladelake.spark.encode.query_models import QueryModel, query_model_of
from spladelake.spark.encode.question import Learnt, Question
from spladelake.spark.encode.text_tables import required_texts
from spladelake.spark.encode.vectorisers import vectoriser_of
from spladelake.spark.retrieve import driver_search
from spladelake.spark.retrieve.blocks import Corpus, ranked_in_blocks, set_batch_size
from spladelake.spark.retrieve.conditions import selected
from spladelake.spark.retrieve.driver_search import (
    Best,
    Places,
    SmallCollection,
    best_rows,
    explained,
    question_rules,
    ranked_here,
    small_collection,
)
from spladelake.spark.retrieve.index import current_index
from spladelake.spark.retrieve.indexed_search import (
    IndexedCollection,
    best_in_index,
    indexed_collection,
    session_index,
)
from spladelake.spark.retrieve.local_tables import folder_properties
from spladelake.spark.retrieve.passes import Asked
from spladelake.spark.retrieve.query_rows import QueryBatch
from spladelake.spark.retrieve.vector_checks import vocabulary_size
from spladelake.spark.retrieve.vector_rows import VECTOR_COLUMNS
from spladelake.spark.session.totals import DriverTotals
from spladelake.spark.tables import delta_log
from spladelake.spark.tables.create import require
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import VECTORS
from spladelake.spark.tables.suggestions import encoded_by


def encoded_beside(
    text: str, model: str, *, lake: str, query_model: str | None = None, vectors: str | None = None
) -> Callable[[], Question] | None:
    """Start to encode a question in a thread, while Spark starts; return a function that waits for the result.

    Returns None if the model needs the collection to encode a question.
    """
    place, properties = folder_properties(lake, short_name(vectors or model))
    vectoriser = vectoriser_of(model, query_model_of(query_model, properties, place=place))
    if Capability.TEXT_ALONE not in vectoriser.kind.capabilities:
        return None
    pool = ThreadPoolExecutor(1)
    future: Future[Question] = pool.submit(vectoriser.question, text)
    pool.shutdown(wait=False)
    return future.result


def search_folder(
    text: str,
    *,
    lake: str,
    model: str,
    query_model: str | None = None,
    vectors: str | None = None,
    k: int = 10,
    terms: int = 5,
) -> list[dict[str, Any]] | None:
    """Answer as `search_documents`, but without Spark.

    Returns None if Spark must read the lake, or report what the lake lacks.
    """
    name = short_name(vectors or model)
    collection = indexed_collection(lake, name) or small_collection(lake, name)
    if collection is None:
        return None
    asked = query_model_of(query_model, collection.properties, place=collection.place)
    question = vectoriser_of(model, asked).question(text, lambda: _learnt(collection, lake, name))
    _check_model(collection.model_id, question, collection.place, model, asked)
    return collection.answer(question.vector, k=k, terms=terms)


def _learnt(collection: SmallCollection | IndexedCollection, lake: str, name: str) -> Learnt:
    """Return the data that a model learnt from a collection.

    A vocabulary without a model_id is taken as the vocabulary of the vectors.
    """
    properties, ids = collection.properties, collection.tokens.select(["token", "term_id"])
    model_id = collection.vocabulary_model_id or properties.get("spladelake.model_id")
    return Learnt(Lake(lake), name, properties, model_id, lambda words: driver_search.pairs(ids, words))


def search_documents(
    session: SparkSession,
    text: str,
    *,
    lake: str,
    model: str,
    query_model: str | None = None,
    vectors: str | None = None,
    k: int = 10,
    where: str | None = None,
    terms: int = 5,
    encoded: Callable[[], Question] | None = None,
) -> list[dict[str, Any]]:
    """Return the k best documents of a question: rank, doc_id, title, score and matched terms.

    The term with the largest contribution to the score comes first.

    - query_model: encodes the question; None leaves it to the model that the vectors' table names, else to `model`.
    - where: SQL condition on the table of the documents' texts; None for all documents.
    - terms: most matched terms of a document.
    - encoded: returns the question's vector if it was encoded before.

    Raises DataError if the lake has no vectors of the model, or vectors encoded with other settings; UsageError for an
    invalid condition.
    """
    root, name = Lake(lake), short_name(vectors or model)
    documents = root.vectors(name, "documents")
    require(session, documents, VECTORS, made_by=encoded_by(root, model=model, vectors=vectors))
    texts = required_texts(session, root, documents)
    rows = documents.read(session, version=documents.version(session))
    asked = query_model_of(query_model, table_properties(session, documents), place=str(documents))
    question = encoded() if encoded is not None else _question(session, root, name, text, model, asked)
    first = rows.select("model_id").first()
    made_by = None if first is None else first["model_id"]
    if encoded is not None and asked is not None and made_by != question.model_id:
        # What encoded the question could not see which model the table names.
        question = _question(session, root, name, text, model, asked)
    _check_model(made_by, question, str(documents), model, asked)
    size = vocabulary_size(session, documents, documents)
    passages = "passage" in rows.columns
    text_rows = texts.ref.read(session)
    chosen = selected(rows, (texts, text_rows), [where]).where("groups > 0")
    index = None if where is not None else _index(session, root.vectors(name, "index"), documents, size, passages)
    if index is not None:
        best, here = best_in_index(index, question.vector, k=k)
    elif delta_log.size_in_bytes(session, documents) <= driver_search.MOST_BYTES:
        here = _collected(chosen)
        best = ranked_here(question.vector, here, k=k, vocabulary_size=size, place=str(documents), passages=passages)
    else:
        corpus = Corpus(chosen, is_index=False, place=str(documents))
        best = _ranked_by_workers(session, question, corpus, k=k, vocabulary_size=size, passages=passages)
        here = _collected(rows.where(F.col("id").isin([row_id for row_id, _ in best])))
    vocabulary = root.vectors(name, "vocabulary").read(session)
    return explained(
        question.vector, best, here, terms=terms,
        tokens=lambda keys: _pairs(vocabulary, "term_id", "token", keys),
        titles=lambda keys: _pairs(texts.shown(text_rows), "doc_id", "title", keys),
        places=(lambda keys: _places(rows, keys)) if passages else None,
    )  # fmt: skip


def _places(rows: DataFrame, ids: list[str]) -> Places:
    """Return the places of passages."""
    found = rows.where(F.col("id").isin(ids)).select("id", "start", "end").collect()
    return {row["id"]: (row["start"], row["end"]) for row in found}


def _question(
    session: SparkSession, lake: Lake, name: str, text: str, model: str, query_model: QueryModel | None
) -> Question:
    def learnt() -> Learnt:
        from spladelake.spark.encode.bm25_question import learnt_tables  # only BM25 needs it

        return learnt_tables(session, lake, name)

    return vectoriser_of(model, query_model).question(text, learnt)


def _index(
    session: SparkSession, index: TableRef, documents: TableRef, size: int, passages: bool
) -> IndexSearch | None:
    """Open the index if it is current. size: dimensions of the vectors."""
    found = current_index(session, index, documents, version=documents.version(session))
    return session_index(session, index, found, vocabulary_size=size, of_passages=passages)


def _ranked_by_workers(
    session: SparkSession, question: Question, corpus: Corpus, *, k: int, vocabulary_size: int, passages: bool
) -> Best:
    compile_kernels()
    set_batch_size(session)
    queries = QueryBatch(["question"], question.vector, vocabulary_size)
    asked = [Asked(question_rules(k, passages=passages))]
    found = ranked_in_blocks(
        session, queries, corpus, asked, totals=DriverTotals(), task_bytes=driver_search.TASK_BYTES
    )
    return best_rows(found.toArrow().sort_by("rank"), passages=passages)


def _collected(vectors: DataFrame) -> pa.Table:
    return vectors.select(*VECTOR_COLUMNS.names).toArrow().cast(VECTOR_COLUMNS)


def _pairs(rows: DataFrame, key: str, value: str, keys: Iterable[Any]) -> dict[Any, Any]:
    """Return the value by key, of the rows with one of the keys."""
    chosen = rows.where(F.col(key).isin(list(keys))).select(key, value)
    return {row[key]: row[value] for row in chosen.collect()}


def _check_model(found: str | None, wanted: Question, place: str, model: str, query_model: QueryModel | None) -> None:
    if found is not None and found != wanted.model_id:
        named = model if query_model is None else f"{model} for documents and {query_model.name} for queries, both"
        raise DataError(
            place,
            f"the vectors have the model_id {found[:12]}",
            f"wanted {wanted.model_id[:12]}, the model_id of {named} with default settings",
            "Set --model and --vectors to names that belong together, or run encode_texts with default settings.",
        )
