"""Exact sparse retrieval on any DataFrame.

    import spladelake.functions as sl

    documents = documents.withColumn("vector", sl.encode("text"))
    queries = queries.withColumn("vector", sl.encode("question", kind="query"))
    run = sl.retrieve(documents, queries, k=100)
    sl.evaluate(run, qrels, measures=["nDCG@10"]).show()

Columns: encode, dot, decode, explain. DataFrames: passages, retrieve, search, evaluate, compare. SQL: register. All of
them only make plans, so they also run on Spark Connect.
"""

from spladelake.functions.evaluation import compare, evaluate
from spladelake.functions.passages import passages
from spladelake.functions.retrieval import retrieve, search
from spladelake.functions.sql import Registered, register
from spladelake.functions.vectors import decode, dot, encode, explain

__all__ = [
    "Registered",
    "compare",
    "decode",
    "dot",
    "encode",
    "evaluate",
    "explain",
    "passages",
    "register",
    "retrieve",
    "search",
]
