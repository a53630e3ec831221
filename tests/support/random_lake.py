"""A lake of random vectors with many equal scores, judged at random."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from pyspark.sql import SparkSession

from spladelake.spark.tables.schemas import JUDGEMENTS, VECTORS
from support.reference import Vector
from support.tables import write_rows

TERMS = 60


def random_side(rng: np.random.Generator, names: list[str]) -> dict[str, Vector]:
    """Vectors that share term 0, so that no score is 0: a join lists no such document, the reference ranks it."""
    found = {}
    for name in names:
        terms = [0, *sorted(rng.choice(np.arange(1, TERMS), size=6, replace=False).tolist())]
        found[name] = (terms, [float(np.float32(w)) for w in rng.integers(1, 5, size=len(terms)) / 4])
    return found


def write_vectors(spark: SparkSession, lake: str, side: str, vectors: dict[str, Vector]) -> None:
    rows = [(i, terms, weights, 3, False, "", "ok", "m") for i, (terms, weights) in vectors.items()]
    frame = spark.createDataFrame(rows, VECTORS.struct)
    path = f"{lake}/vectors/m/{side}"
    frame.write.format("delta").save(path)
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('spladelake.vocabulary_size' = '{TERMS}')")


def write_judgements(spark: SparkSession, lake: str, rows: Iterable[tuple[str, str, int]]) -> None:
    write_rows(f"{lake}/judgements", list(rows), JUDGEMENTS)


@dataclass(frozen=True)
class RandomLake:
    """What the lake's tables hold."""

    queries: dict[str, Vector]
    documents: dict[str, Vector]
    judged: list[tuple[str, str, int]]

    @property
    def relevant(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for query_id, doc_id, relevance in self.judged:
            if relevance >= 1:
                found.setdefault(query_id, set()).add(doc_id)
        return found


def write_random_lake(spark: SparkSession, lake: str, *, seed: int) -> RandomLake:
    """150 documents and 30 queries; the last five are not judged, and the first has no relevant document."""
    rng = np.random.default_rng(seed)
    documents = random_side(rng, [f"d{n:03}" for n in range(150)])
    queries = random_side(rng, [f"q{n}" for n in range(30)])
    write_vectors(spark, lake, "documents", documents)
    write_vectors(spark, lake, "queries", queries)
    judged = []
    for query_id in list(queries)[:25]:
        for doc_id in rng.choice(list(documents), size=12, replace=False):
            judged.append((query_id, str(doc_id), 0 if query_id == "q0" else int(rng.integers(-1, 3))))
    write_judgements(spark, lake, judged)
    return RandomLake(queries, documents, judged)
