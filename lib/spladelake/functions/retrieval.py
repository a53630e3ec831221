"""Functions that rank documents: exact retrieval and search, as plans over DataFrames."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import Ranking, checked
from spladelake.encoder import EncoderSettings
from spladelake.errors import UsageError
from spladelake.functions.columns import (
    VECTOR_NAME,
    Vectors,
    check_one_model,
    id_column,
    vector_columns,
)
from spladelake.functions.ranked_ids import ranked_ids_of
from spladelake.functions.vectors import encoded_texts, text_checkpoint
from spladelake.spark.retrieve.blocks import Corpus, Limits, ranked_lazily
from spladelake.spark.retrieve.vector_functions import MOST_TERMS
from spladelake.spark.tables.sql_text import quoted

# Memory of a task for its rankings, as in retrieve_run.
TASK_MEMORY_MB = 512
_SHOWN = ("rank", "doc_id", "score")
_KEY = "spladelake_key"


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
    aggregate: str | None = None,
) -> DataFrame:
    """Return (query_id, doc_id, rank, score): the k documents of highest dot product for every query.

        run = sl.retrieve(documents.where("lang = 'en'"), queries, k=100)

    The result is a plan: nothing is read before an action. It has the rows of retrieve_run to the last bit: scores are
    exact, equal scores stand by ascending id as text, and a document that shares no term with a query is not own.
    Ids have the types of the given columns. Vectors of passages rank their documents, and a column `passage` says which
    passage of each document is the best.

    - documents, queries: DataFrames with an id and a vector. A null vector counts as an empty one.
    - k: most documents of a query.
    - document_id, query_id: columns of the ids, string or integer. By default columns with usual names, such as doc_id.
    - vector: column of the vectors in both (default: vector, or the columns indices and values).
    - minimum_score: lowest score to list.
    - exclude_self: whether to leave out a document with the query's id.
    - vocabulary_size: number of terms, to refuse vectors with others (default: of the model that made the vectors).
    - passes: reads the documents that many times, each time for a share of the queries, which saves memory.
    - task_memory_mb: memory of a task for its rankings.
    - aggregate: how the passages of a document make its score, as `--aggregate` of retrieve_run. It needs the columns
      doc_id (or document_id) and passage. Default: max for a DataFrame of sl.passages if document_id is not given. Any
      other DataFrame ranks its rows.

    Raises UsageError for a column that is missing or of another type, vectors of two models, and an invalid number. A
    task raises DataError for vectors that break an invariant, and for ids that occur more than once, also if no query
    finds them.
    """
    given = {"k": k, "minimum_score": minimum_score, "exclude_self": exclude_self, "aggregate": aggregate}
    own = ranked_ids_of(documents, document_id, checked(Ranking, given, place="retrieve"))
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
    rows = own.chosen(_rows(documents, own.key, sides[0], compared))
    found = ranked_lazily(
        Corpus(rows, is_index=False, place="documents"),
        _rows(queries, asked.text, sides[1], compared),
        own.kept,
        Limits(size, task_memory_mb * 2**20, passes),
    )
    return found.select(F.col("query_id").cast(asked.type).alias("query_id"), *own.columns)


def _rows(frame: DataFrame, ids: Column, vectors: Vectors, compared: bool) -> DataFrame:
    """Return the rows that `ranked_lazily` takes.

    - ids: as text.
    - compared: whether the column model_id says which vectors belong together.
    """
    model: Column = F.xxhash64("model_id") if compared else F.lit(0).cast("long")
    return frame.select(
        ids.alias("id"), vectors.indices.alias("indices"), vectors.values.alias("values"), model.alias("model")
    )


def search(
    documents: DataFrame,
    text: str,
    k: int = 10,
    *,
    model: str | None = None,
    document_id: str | None = None,
    vector: str | None = None,
    aggregate: str | None = None,
) -> DataFrame:
    """Return the k documents that answer a question best: rank, doc_id, score and the other columns of the documents.

        sl.search(documents, "how is bread made", 5).show()

    Of passages, the other columns are those of each document's best passage.

    Columns of the documents that are called rank, doc_id or score give way to those of the result.

    - documents: a DataFrame with an id and a vector.
    - text: the question.
    - k: most documents.
    - model: encodes the question (default: the model with which sl.encode made the vectors, with its settings, if the
      column says so; columns that withColumn made on Spark Connect do not).
    - document_id, vector, aggregate: as in `retrieve`.

    Raises UsageError for a blank question, an unusable model, and as `retrieve` does.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError("search", f"the question is {text!r}", "wanted a text", "Write a question in words.")
    vectors = vector_columns(documents, vector, place="documents")
    own = ranked_ids_of(documents, document_id, checked(Ranking, {"k": k, "aggregate": aggregate}, place="search"))
    asked = _question(documents.sparkSession, text, vectors, model)
    best = retrieve(documents, asked, k, document_id=document_id, vector=vector, aggregate=aggregate)
    shown = [*_SHOWN, *own.passage_columns]
    left_out = {own.ids.name, *vectors.names, *shown}
    others = [F.col(quoted(name)) for name in documents.columns if name not in left_out]
    if others:
        best = best.select(own.key_of_result.cast("string").alias(_KEY), *shown)
        best = documents.select(own.key.alias(_KEY), *others).join(F.broadcast(best), _KEY)
    # Not a sort of all: it would take a sample of the rows first.
    return best.select(*shown, *others).orderBy("rank").limit(k)


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
