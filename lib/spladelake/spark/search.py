"""Ad-hoc search: a question in free text, encoded in a worker and ranked against the vectors of a lake."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.bm25 import BM25_MODEL
from spladelake.errors import DataError
from spladelake.names import short_name
from spladelake.scoring import compile_kernels
from spladelake.spark.block_top_k import Asked, Corpus, ranked_in_blocks, set_batch_size
from spladelake.spark.bm25 import counted_queries
from spladelake.spark.candidates import Kept
from spladelake.spark.encode import encoded_texts
from spladelake.spark.index import current_index
from spladelake.spark.retrieve import collected_queries
from spladelake.spark.schemas import DOCUMENTS, VECTORS
from spladelake.spark.selection import selected
from spladelake.spark.sql_top_k import matched_terms
from spladelake.spark.tables import Lake, require
from spladelake.spark.vector_checks import vocabulary_size
from spladelake.spark.worker import Totals

TASK_BYTES = 64 * 2**20


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
) -> list[dict[str, Any]]:
    """The k best documents of a question: rank, doc_id, title, score and matched terms, largest share first.

    Raises DataError where the lake has no vectors of the model, or vectors that were encoded otherwise.
    """
    root, name = Lake(lake), short_name(vectors or model)
    documents, texts = root.vectors(name, "documents"), root.table("documents")
    require(session, documents, VECTORS, made_by=f"spladelake encode_texts --lake {root.root} --model {model}")
    require(session, texts, DOCUMENTS, made_by=f"spladelake ingest_texts --lake {root.root} …")
    version = documents.version(session)
    rows = documents.read(session, version=version)
    question = session.createDataFrame([("question", text)], "id string, text string")
    if model == BM25_MODEL:
        query = counted_queries(session, root, name, question).persist()
    else:
        query = encoded_texts(session, question, model=model, kind="query").persist()
    _check_model(rows.select("model_id").first(), query.select("model_id").first(), str(documents), model)
    queries = collected_queries(query, "the question", vocabulary_size(session, documents, documents))
    compile_kernels()
    set_batch_size(session)
    index = current_index(session, root.vectors(name, "index"), documents, version=version)
    if where is None and index.rows is not None:
        corpus = Corpus(index.rows, is_index=True, place=str(documents))
    else:
        chosen = selected(rows, texts.read(session), [where]).where("groups > 0")
        corpus = Corpus(chosen, is_index=False, place=str(documents))
    totals = session.sparkContext.accumulator({}, Totals())
    found = ranked_in_blocks(
        session, queries, corpus, [Asked(Kept(k, False, 0.0))], totals=totals, task_bytes=TASK_BYTES
    )
    best = found.select("query_id", "doc_id", "rank", "score").collect()
    if not best:
        return []
    ranked = session.createDataFrame(
        [tuple(row) for row in best], "query_id string, doc_id string, rank int, score double"
    )
    vocabulary = root.vectors(name, "vocabulary").read(session)
    among = rows.where(F.col("id").isin([row["doc_id"] for row in best]))
    explained = matched_terms(session, query, among, ranked, vocabulary, limit=max(terms, 1))
    shown = explained.join(texts.read(session), "doc_id", "left").orderBy("rank")
    return [
        {
            "rank": row["rank"],
            "doc_id": row["doc_id"],
            "title": row["title"],
            "score": row["score"],
            "terms": {term["token"]: term["contribution"] for term in row["terms"][:terms]},
        }
        for row in shown.select("rank", "doc_id", "title", "score", "terms").collect()
    ]


def _check_model(found: Any, wanted: Any, place: str, model: str) -> None:
    if found is not None and found["model_id"] != wanted["model_id"]:
        raise DataError(
            place,
            f"its vectors are of the model_id {str(found['model_id'])[:12]}",
            f"{model} with its own settings is {str(wanted['model_id'])[:12]}",
            "Name the model and vectors that belong together, or encode again without other settings.",
        )
