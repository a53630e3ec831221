"""Ad-hoc search: a question in free text, encoded in the driver and ranked against the vectors of a lake.

Of a small collection in a local folder nothing needs Spark. Of other small ones Spark reads the vectors, and the driver
ranks them; large ones are ranked by workers. The answer is the same, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.bm25 import BM25_MODEL
from spladelake.errors import DataError
from spladelake.names import short_name
from spladelake.scoring import compile_kernels
from spladelake.spark.retrieve import driver_search
from spladelake.spark.retrieve.blocks import Asked, Corpus, QueryBatch, ranked_in_blocks, set_batch_size
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.conditions import selected
from spladelake.spark.retrieve.driver_search import Best, SmallCollection, explained, ranked_here, small_collection
from spladelake.spark.retrieve.index import current_index
from spladelake.spark.retrieve.vector_checks import vocabulary_size
from spladelake.spark.retrieve.worker import VECTOR_COLUMNS, vectors_of
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables import delta_log
from spladelake.spark.tables.create import require
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, VECTORS
from spladelake.vectors import SparseVectors

if TYPE_CHECKING:
    from spladelake.encoder import Checkpoint, SpladeEncoder


@dataclass(frozen=True)
class Question:
    """A question as a vector, and the model that made it."""

    vector: SparseVectors
    model_id: str


def encoded_question(text: str, model: str) -> Question:
    """A question as a worker encodes it: alone, by one thread, so that its weights are the same."""
    from spladelake.encoder import resolve_checkpoint

    checkpoint = resolve_checkpoint(model)
    return Question(_encoder(checkpoint).encode_queries([text]), checkpoint.model_id)


@lru_cache(maxsize=1)
def _encoder(checkpoint: Checkpoint) -> SpladeEncoder:
    from spladelake.encoder import SpladeEncoder
    from spladelake.spark.encode.models import task_device

    return SpladeEncoder.load(checkpoint, threads=1, device=task_device(None))


def encoded_beside(text: str, model: str) -> Callable[[], Question]:
    """Begin to encode a question in a thread, while Spark starts; returns what waits for it."""
    if model == BM25_MODEL:
        return lambda: encoded_question(text, model)
    pool = ThreadPoolExecutor(1)
    future: Future[Question] = pool.submit(encoded_question, text, model)
    pool.shutdown(wait=False)
    return future.result


def search_folder(
    text: str, *, lake: str, model: str, vectors: str | None = None, k: int = 10, terms: int = 5
) -> list[dict[str, Any]] | None:
    """What `search_documents` answers, without Spark; None where Spark must read the lake, or say what it lacks."""
    collection = small_collection(lake, short_name(vectors or model))
    if collection is None:
        return None
    if model == BM25_MODEL:
        question = _counted(text, collection)
        return None if question is None else collection.answer(question.vector, k=k, terms=terms)
    question = encoded_question(text, model)
    _check_model(collection.model_id, question, collection.place, model)
    return collection.answer(question.vector, k=k, terms=terms)


def _counted(text: str, collection: SmallCollection) -> Question | None:
    """The words of a question with their counts; None where the tables were made with other settings."""
    from spladelake.bm25.encoder import Bm25Encoder
    from spladelake.bm25.settings import DEFAULT_STOP_WORDS, Bm25Settings, read_stop_words

    settings = Bm25Settings(stop_words=read_stop_words(DEFAULT_STOP_WORDS))
    model_id = collection.properties.get("spladelake.model_id")
    if collection.properties.get("spladelake.bm25") != settings.fingerprint:
        return None
    if model_id is None or {collection.model_id, collection.vocabulary_model_id} - {None, model_id}:
        return None
    term_ids, tokens = (collection.tokens[name].to_pylist() for name in ("term_id", "token"))
    vocabulary = dict(zip(tokens, term_ids, strict=True))
    encoder = Bm25Encoder(settings, vocabulary, np.zeros(0, dtype=np.int64), documents=0, average_length=0.0)
    return Question(encoder.encode_queries([text]), model_id)


def search_documents(
    session: SparkSession,
    text: str,
    *,
    lake: str,
    model: str,
    vectors: str | None = None,
    k: int = 10,
    where: str | None = None,
    terms: int = 5,
    encoded: Callable[[], Question] | None = None,
) -> list[dict[str, Any]]:
    """The k best documents of a question: rank, doc_id, title, score and matched terms, largest share first.

    encoded: the question as a vector, where it was encoded before. Raises DataError where the lake has no vectors of
    the model, or vectors that were encoded otherwise.
    """
    root, name = Lake(lake), short_name(vectors or model)
    documents, texts = root.vectors(name, "documents"), root.table("documents")
    require(session, documents, VECTORS, made_by=f"spladelake encode_texts --lake {root.root} --model {model}")
    require(session, texts, DOCUMENTS, made_by=f"spladelake ingest_texts --lake {root.root} …")
    rows = documents.read(session, version=documents.version(session))
    if model == BM25_MODEL:
        question = _counted_by_spark(session, root, name, text)
    else:
        question = encoded() if encoded is not None else encoded_question(text, model)
    first = rows.select("model_id").first()
    _check_model(None if first is None else first["model_id"], question, str(documents), model)
    size = vocabulary_size(session, documents, documents)
    chosen = selected(rows, texts.read(session), [where]).where("groups > 0")
    if delta_log.size_in_bytes(session, documents) <= driver_search.MOST_BYTES:
        here = _collected(chosen)
        best = ranked_here(question.vector, here, k=k, vocabulary_size=size, place=str(documents))
    else:
        index = root.vectors(name, "index") if where is None else None
        corpus = _corpus(session, documents, index, chosen)
        best = _ranked_by_workers(session, question, corpus, k=k, vocabulary_size=size)
        here = _collected(rows.where(F.col("id").isin([doc_id for doc_id, _ in best])))
    vocabulary = root.vectors(name, "vocabulary").read(session)
    return explained(
        question.vector, best, here, terms=terms,
        tokens=lambda keys: _pairs(vocabulary, "term_id", "token", keys),
        titles=lambda keys: _pairs(texts.read(session), "doc_id", "title", keys),
    )  # fmt: skip


def _counted_by_spark(session: SparkSession, root: Lake, name: str, text: str) -> Question:
    from spladelake.spark.encode.bm25 import counted_queries

    rows = session.createDataFrame([("question", text)], "id string, text string")
    table = counted_queries(session, root, name, rows).select(*VECTOR_COLUMNS.names, "model_id").toArrow()
    (batch,) = table.combine_chunks().to_batches()
    vector, _ = vectors_of(batch, place="the question", vocabulary_size=2**31 - 1)
    return Question(vector, batch.column("model_id")[0].as_py())


def _corpus(session: SparkSession, documents: TableRef, index: TableRef | None, chosen: DataFrame) -> Corpus:
    """What workers rank: the index of all documents where there is a current one, else the vectors."""
    if index is not None:
        found = current_index(session, index, documents, version=documents.version(session))
        if found.rows is not None:
            return Corpus(found.rows, is_index=True, place=str(documents))
    return Corpus(chosen, is_index=False, place=str(documents))


def _ranked_by_workers(
    session: SparkSession, question: Question, corpus: Corpus, *, k: int, vocabulary_size: int
) -> Best:
    compile_kernels()
    set_batch_size(session)
    queries = QueryBatch(["question"], question.vector, vocabulary_size)
    totals = session.sparkContext.accumulator({}, Totals())
    asked = [Asked(Kept(k, False, 0.0))]
    found = ranked_in_blocks(session, queries, corpus, asked, totals=totals, task_bytes=driver_search.TASK_BYTES)
    rows = found.select("doc_id", "rank", "score").collect()
    return [(row["doc_id"], row["score"]) for row in sorted(rows, key=lambda row: int(row["rank"]))]


def _collected(vectors: DataFrame) -> pa.Table:
    return vectors.select(*VECTOR_COLUMNS.names).toArrow().cast(VECTOR_COLUMNS)


def _pairs(rows: DataFrame, key: str, value: str, keys: Iterable[Any]) -> dict[Any, Any]:
    """Value by key, of the rows that have one of the keys."""
    chosen = rows.where(F.col(key).isin(list(keys))).select(key, value)
    return {row[key]: row[value] for row in chosen.collect()}


def _check_model(found: str | None, wanted: Question, place: str, model: str) -> None:
    if found is not None and found != wanted.model_id:
        raise DataError(
            place,
            f"its vectors are of the model_id {found[:12]}",
            f"{model} with its own settings is {wanted.model_id[:12]}",
            "Name the model and vectors that belong together, or encode again without other settings.",
        )
