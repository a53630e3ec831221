"""Functions that rank documents: exact retrieval and search, as plans over DataFrames."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import Ranking, checked
from spladelake.encoder import EncoderSettings
from spladelake.errors import UsageError
from spladelake.functions.columns import (
    VECTOR_NAME,
    Id,
    Vectors,
    check_one_model,
    id_column,
    vector_columns,
)
from spladelake.functions.vectors import encoded_texts, text_checkpoint
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.frames import Limits, ranked
from spladelake.spark.retrieve.vector_functions import MOST_TERMS
from spladelake.spark.tables.sql_text import quoted

# Memory of a task for its rankings, as in retrieve_run.
TASK_MEMORY_MB = 512
_SHOWN = ("rank", "doc_id", "score")


def retrieve(
    documents: DataFrame,
    queries: DataFrame,
    k: int = 100,
    *,
    document_id: str | None = None,
    query_id: str | None = None,
    vector: str | None = None,
    minimum_score: float = 0.0,
    exclude_self: bool = False,
    vocabulary_size: int | None = None,
    passes: int = 1,
    task_memory_mb: int = TASK_MEMORY_MB,
) -> DataFrame:
    """Return (query_id, doc_id, rank, score): the k documents of highest dot product for every query.

        run = sl.retrieve(documents.where("lang = 'en'"), queries, k=100)

    The result is a plan: nothing is read before an action. It has the rows of retrieve_run to the last bit: scores are
    exact, equal scores stand by ascending id as text, and a document that shares no term with a query is not listed.
    Ids have the types of the given columns.

    - documents, queries: DataFrames with an id and a vector. A null vector counts as an empty one.
    - k: most documents of a query.
    - document_id, query_id: columns of the ids, string or integer. By default columns with usual names, such as doc_id.
    - vector: column of the vectors in both (default: vector, or the columns indices and values).
    - minimum_score: lowest score to list.
    - exclude_self: whether to leave out a document with the query's id.
    - vocabulary_size: number of terms, to refuse vectors with others (default: of the model that made the vectors).
    - passes: reads the documents that many times, each time for a share of the queries, which saves memory.
    - task_memory_mb: memory of a task for its rankings.

    Raises UsageError for a column that is missing or of another type, vectors of two models, and an invalid number. A
    task raises DataError for vectors that break an invariant, and for ids that occur more than once.
    """
    given = {"k": k, "minimum_score": minimum_score, "exclude_self": exclude_self}
    ranking = checked(Ranking, given, place="retrieve")
    own = _document_id(documents, document_id)
    fix = "Name a column of ids with query_id=."
    asked = id_column(queries, query_id, kind="queries", column="query_id", place="queries", fix=fix)
    sides = (
        vector_columns(documents, vector, place="documents"),
        vector_columns(queries, vector, place="queries"),
    )
    check_one_model(*sides)
    size = vocabulary_size or next((s.made_by["vocabulary_size"] for s in sides if s.made_by), MOST_TERMS)
    numbers = {"vocabulary_size": size, "passes": passes, "task_memory_mb": task_memory_mb}
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise UsageError(
                f"retrieve, {name}",
                f"the value is {number!r}",
                "wanted a whole number of 1 or more",
                f"Leave out {name} to use its default.",
            )
    compared = not all(side.made_by for side in sides) and "model_id" in documents.columns and (
        "model_id" in queries.columns
    )  # fmt: skip
    found = ranked(
        _rows(documents, own, sides[0], compared),
        _rows(queries, asked, sides[1], compared),
        Kept(ranking.k, ranking.exclude_self, ranking.minimum_score),
        Limits(size, task_memory_mb * 2**20, passes),
    )
    ids = (F.col(name).cast(of.type).alias(name) for name, of in (("query_id", asked), ("doc_id", own)))
    return found.select(*ids, "rank", "score")


def _document_id(documents: DataFrame, given: str | None) -> Id:
    fix = "Name a column of ids with document_id=."
    return id_column(documents, given, kind="documents", column="doc_id", place="documents", fix=fix)


def _rows(frame: DataFrame, own: Id, vectors: Vectors, compared: bool) -> DataFrame:
    """Return the rows that `ranked` takes.

    - compared: whether the column model_id says which vectors belong together.
    """
    model: Column = F.xxhash64("model_id") if compared else F.lit(0).cast("long")
    return frame.select(
        own.text.alias("id"), vectors.indices.alias("indices"), vectors.values.alias("values"), model.alias("model")
    )


def search(
    documents: DataFrame,
    text: str,
    k: int = 10,
    *,
    model: str | None = None,
    document_id: str | None = None,
    vector: str | None = None,
) -> DataFrame:
    """Return the k documents that answer a question best: rank, doc_id, score and the other columns of the documents.

        sl.search(documents, "how is bread made", 5).show()

    Columns of the documents that are called rank, doc_id or score give way to those of the result.

    - documents: a DataFrame with an id and a vector.
    - text: the question.
    - k: most documents.
    - model: encodes the question (default: the model with which sl.encode made the vectors, with its settings, if the
      column says so; columns that withColumn made on Spark Connect do not).
    - document_id, vector: as in `retrieve`.

    Raises UsageError for a blank question, an unusable model, and as `retrieve` does.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError("search", f"the question is {text!r}", "wanted a text", "Write a question in words.")
    vectors = vector_columns(documents, vector, place="documents")
    own = _document_id(documents, document_id)
    asked = _question(documents.sparkSession, text, vectors, model)
    best = retrieve(documents, asked, k, document_id=own.name, vector=vector)
    left_out = {own.name, *vectors.names, *_SHOWN}
    others = [F.col(quoted(name)) for name in documents.columns if name not in left_out]
    if others:
        best = documents.select(F.col(quoted(own.name)).alias("doc_id"), *others).join(F.broadcast(best), "doc_id")
    # Not a sort of all: it would take a sample of the rows first.
    return best.select(*_SHOWN, *others).orderBy("rank").limit(k)


def _question(session: SparkSession, text: str, vectors: Vectors, model: str | None) -> DataFrame:
    """Return a question in one row, with the columns that the documents' vectors have."""
    made_by = vectors.made_by if model is None else {}
    settings = EncoderSettings(**made_by["settings"]) if made_by else EncoderSettings()
    if model is None and not made_by:
        found, wanted = "the column of vectors does not name its model", "wanted the model that encodes the question"
        raise UsageError("search", found, wanted, "Name the model of the vectors with model=.")
    checkpoint = text_checkpoint(model or made_by["model"], settings)
    row = session.range(0, 1, 1, 1).select(
        F.lit("question").alias("query_id"),
        encoded_texts(F.lit(text), checkpoint, "query"),
        F.lit(checkpoint.model_id).alias("model_id"),
    )
    if len(vectors.names) == 1:
        return row.withColumnRenamed(VECTOR_NAME, vectors.names[0])
    return row.select("query_id", "model_id", f"{VECTOR_NAME}.indices", f"{VECTOR_NAME}.values")
