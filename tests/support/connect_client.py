"""A client of Spark Connect: encodes, retrieves, evaluates and asks in SQL; prints what it found as JSON.

python -m support.connect_client sc://127.0.0.1:15002
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pyspark.sql import SparkSession

import spladelake.functions as sl
from spladelake.cli import main as main_of
from spladelake.errors import UsageError
from support.collections import FRUIT, QUESTIONS, RELEVANT

MODEL = "splade-tiny"


def vectors_of(rows: list[Any]) -> dict[str, dict[int, float]]:
    return {row[0]: dict(zip(row["vector"]["indices"], row["vector"]["values"], strict=True)) for row in rows}


def main(address: str) -> None:
    spark = SparkSession.builder.remote(address).getOrCreate()
    documents = spark.createDataFrame(list(FRUIT.items()), "doc_id string, text string").repartition(2)
    documents = documents.withColumn("vector", sl.encode("text", model=MODEL))
    queries = spark.createDataFrame(list(QUESTIONS.items()), "query_id string, text string")
    queries = queries.withColumn("vector", sl.encode("text", model=MODEL, kind="query"))
    qrels = [(query, doc, grade) for (query, doc), grade in RELEVANT.items()]
    judged = spark.createDataFrame(qrels, "query_id string, doc_id string, relevance int")
    run = sl.retrieve(documents, queries, 3)
    few = sl.retrieve(documents.where("doc_id <> 'apple'"), queries, 1)
    found: dict[str, Any] = {
        "documents": vectors_of(documents.collect()),
        "queries": vectors_of(queries.collect()),
        "run": [tuple(row) for row in run.collect()],
        "measures": {row["measure"]: row["value"] for row in sl.evaluate(run, judged, ["ndcg@10", "mrr@10"]).collect()},
        "pairs": [row.asDict() for row in sl.compare({"all": run, "few": few}, judged, measures="mrr@10").collect()],
        "search": [row.asDict() for row in sl.search(documents, QUESTIONS["q3"], 2, model=MODEL).collect()],
    }
    best = run.where("rank = 1").join(documents.select("doc_id", "vector"), "doc_id")
    best = best.join(queries.selectExpr("query_id", "vector AS asked"), "query_id")
    parts = best.select(
        "score", sl.dot("asked", "vector").alias("dot"), sl.explain("asked", "vector", model=MODEL, k=99)
    )
    found["dots"] = [(row[0], row[1], sum(part["contribution"] for part in row[2])) for row in parts.collect()]
    registered = sl.register(spark, model=MODEL, permanent=True)
    found["permanent"] = registered.permanent
    documents.createOrReplaceTempView("fruit")
    found["sql"] = [tuple(row) for row in spark.sql(
        "SELECT doc_id, sparse_dot(vector, sparse_encode_query('how is bread made')) AS score, "
        "sparse_decode(sparse_encode(text), 1)[0].token FROM fruit ORDER BY score DESC LIMIT 1"
    ).collect()]  # fmt: skip
    try:
        sl.retrieve(documents, queries, vector="vektor")
    except UsageError as error:
        found["refused"] = str(error)
    # This server has no Delta.
    found["without_delta"] = main_of(["verify_tables", "--lake", "schema:default"])
    print(json.dumps(found))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
