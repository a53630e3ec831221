"""Pairs of a query and a document with their texts, and the scores that a cross-encoder gives them."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.names import example
from spladelake.spark.encode.passages.texts import with_texts
from spladelake.spark.encode.texts import SIDES, texts_of
from spladelake.spark.rerank.worker import ScorePairBatches
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import BEST_PASSAGE

_INSTEAD = {"runs": "choose a run over the texts of this lake", "pairs": "run mine_pairs again"}


def run_pairs(run: DataFrame, queries: DataFrame, documents: DataFrame) -> DataFrame:
    """Return (query_id, doc_id, query, document, pair, known) for every row of a run, with texts joined by id.

    If the run names a passage, the document is that passage with the title, and the columns of the run that name it
    stay. `pair` is a hash of both texts. `known` says whether both ids are in the tables; the text of a known id can be
    null.
    """
    asked = texts_of(queries, SIDES["queries"]).select(
        F.col("id").alias("query_id"), F.col("text").alias("query"), F.col("text_sha256").alias("query_hash")
    )
    places = [name for name in BEST_PASSAGE if name in run.columns]
    joined = run.select("query_id", "doc_id", *places).join(asked.withColumn("asked", F.lit(True)), "query_id", "left")
    joined = with_texts(joined, documents)
    hashes = (F.coalesce(name, F.lit("")) for name in ("query_hash", "document_hash"))
    known = F.col("asked").isNotNull() & F.col("found").isNotNull()
    pair = F.concat_ws(" ", *hashes).alias("pair")
    return joined.select("query_id", "doc_id", "query", "document", pair, known.alias("known"), *places)


def scored_pairs(pairs: DataFrame, function: ScorePairBatches, *, tasks: int) -> DataFrame:
    """Return (query_id, doc_id, score) for rows of `run_pairs`. Pairs of equal texts meet in one task, in sequence."""
    read = pairs.select("query_id", "doc_id", "query", "document", "pair")
    spread = read.repartition(tasks, "pair").sortWithinPartitions("pair")
    return map_arrow(spread, function, SCORED)


def check_texts(pairs: DataFrame, tables: Mapping[str, TableRef], *, what: str) -> int:
    """Return the number of pairs. Raises DataError if a pair names an id that is not in the tables.

    - pairs: rows of `run_pairs`.
    - tables: the table of each name; "queries", "documents" and `what` are read.
    - what: the name of the table that lists the pairs: runs or pairs.
    """
    absent = ~F.col("known")
    place = F.min(F.when(absent, F.struct("query_id", "doc_id"))).alias("first")
    row = pairs.agg(F.count("*").alias("rows"), F.count_if(absent).alias("absent"), place).first()
    assert row is not None
    if row["absent"]:
        query_id, doc_id = row["first"]
        raise DataError(
            str(tables[what]),
            f"the lake lacks the query or the document of {row['absent']:,} of {row['rows']:,} pairs "
            + example(row["absent"], f"query {query_id!r} with document {doc_id!r}"),
            f"wanted all queries in {tables['queries']} and all documents in {tables['documents']}",
            f"Ingest the missing texts, or {_INSTEAD[what]}.",
        )
    return int(row["rows"])


SCORED = "query_id string, doc_id string, score double"
