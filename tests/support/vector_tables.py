"""Sparse vectors for tests: made at random, written as tables, and ranked by brute force with exact fractions."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from spladelake.spark.tables.create import ensure_table
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import VECTORS

Vectors = dict[str, dict[int, float]]
Row = tuple[str, str, int, float]
TERMS = 40


def random_vectors(rng: np.random.Generator, names: Iterable[str], *, levels: int, most_terms: int = 7) -> Vectors:
    """Sparse vectors whose weights take few values, so that scores tie often; some are empty."""
    found = {}
    for name in names:
        terms = rng.choice(TERMS, size=rng.integers(0, most_terms + 1), replace=False)
        found[name] = {int(t): float(np.float32(rng.integers(1, levels + 1) / 10)) for t in sorted(terms)}
    return found


def as_frame(spark: SparkSession, vectors: Vectors) -> DataFrame:
    rows = [(name, list(terms), list(terms.values())) for name, terms in vectors.items()]
    return spark.createDataFrame(rows, "id string, indices array<int>, `values` array<float>")


def brute_force(
    queries: Vectors, documents: Vectors, k: int, *, minimum_score: float = 0.0, exclude_self: bool = False
) -> list[Row]:
    """Every pair that shares a term, scored with exact fractions, ordered by score and then doc_id."""
    rows = []
    for query_id, query in queries.items():
        scored = []
        for doc_id, document in documents.items():
            shared = query.keys() & document.keys()
            score = sum((Fraction(query[t]) * Fraction(document[t]) for t in shared), Fraction(0))
            if shared and float(score) >= minimum_score and not (exclude_self and doc_id == query_id):
                scored.append((-score, doc_id))
        rows += [(query_id, d, rank, float(-score)) for rank, (score, d) in enumerate(sorted(scored)[:k], start=1)]
    return sorted(rows)


def write_vectors(
    spark: SparkSession, path: str | Path, vectors: Vectors, *, mode: str = "overwrite", files: int = 1,
    model_id: str = "made", vocabulary_size: int = TERMS,
) -> TableRef:  # fmt: skip
    """A table of vectors as encode_texts writes it, in that many data files; with mode append: more of its rows."""
    ref = TableRef(path=str(path))
    if mode != "append":
        properties = {"vocabulary_size": str(vocabulary_size), "model_id": model_id, "model": "made"}
        ensure_table(spark, ref, VECTORS, properties=properties)
    rows = [
        (name, list(terms), list(terms.values()), 1, False, f"{name} {sorted(terms.items())}", "ok", model_id)
        for name, terms in vectors.items()
    ]
    frame = spark.createDataFrame(rows, VECTORS.struct).coalesce(1)
    if files > 1:
        frame = frame.repartition(files, "id")
    frame.write.format("delta").mode(mode).save(str(path))
    return ref
