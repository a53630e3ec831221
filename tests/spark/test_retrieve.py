"""Retrieval by join is exact: the documents, the order and the scores of a brute-force product, however it runs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from spladelake.errors import DataError
from spladelake.spark.retrieve import matched_terms, top_k
from spladelake.spark.schemas import VECTORS
from support.collections import write_fruit

Vectors = dict[str, dict[int, float]]
TERMS = 40


def random_vectors(rng: np.random.Generator, names: list[str], *, levels: int) -> Vectors:
    """Sparse vectors whose weights take few values, so that scores tie often; some are empty."""
    found = {}
    for name in names:
        terms = rng.choice(TERMS, size=rng.integers(0, 8), replace=False)
        found[name] = {int(t): float(np.float32(rng.integers(1, levels + 1) / 10)) for t in sorted(terms)}
    return found


def as_frame(spark: SparkSession, vectors: Vectors) -> DataFrame:
    rows = [(name, list(terms), list(terms.values())) for name, terms in vectors.items()]
    return spark.createDataFrame(rows, "id string, indices array<int>, `values` array<float>")


def brute_force(queries: Vectors, documents: Vectors, k: int) -> list[tuple[str, str, int, float]]:
    """Every pair that shares a term, scored with exact fractions, ordered by score and then doc_id."""
    rows = []
    for query_id, query in queries.items():
        scored = []
        for doc_id, document in documents.items():
            shared = query.keys() & document.keys()
            if shared:
                scored.append((-sum(Fraction(query[t]) * Fraction(document[t]) for t in shared), doc_id))
        rows += [(query_id, d, rank, float(-score)) for rank, (score, d) in enumerate(sorted(scored)[:k], start=1)]
    return sorted(rows)


@pytest.mark.parametrize("k", [1, 7, 100])
@pytest.mark.parametrize("partitions", [1, 5])
def test_the_join_gives_the_brute_force_ranking_also_where_scores_tie(
    spark: SparkSession, k: int, partitions: int
) -> None:
    rng = np.random.default_rng(k)
    documents = random_vectors(rng, [f"d{n}" for n in range(60)] + ["é", "D", "\U0001f600", "\uffee"], levels=3)
    queries = random_vectors(rng, [f"q{n}" for n in range(12)], levels=2)
    frame = as_frame(spark, documents).repartition(partitions)
    found = sorted(tuple(row) for row in top_k(spark, as_frame(spark, queries), frame, k=k).collect())
    wanted = brute_force(queries, documents, k)
    assert found == wanted


@pytest.mark.parametrize("exponent", [-6, 0, 6])
def test_scores_are_exact_for_weights_of_any_usual_size(spark: SparkSession, exponent: int) -> None:
    rng = np.random.default_rng(7)
    scale = np.float32(2.0**exponent)

    def side(letter: str, rows: int) -> Vectors:
        return {
            f"{letter}{n}": {t: float(scale * np.float32(rng.gamma(2.0) + 0.01)) for t in range(12)}
            for n in range(rows)
        }

    documents, queries = side("d", 20), side("q", 4)
    found = sorted(
        tuple(row) for row in top_k(spark, as_frame(spark, queries), as_frame(spark, documents), k=20).collect()
    )
    assert found == brute_force(queries, documents, 20)


def test_contributions_of_matched_terms_add_up_to_the_score(spark: SparkSession) -> None:
    queries = as_frame(spark, {"q": {1: 2.0, 2: 0.5, 9: 1.0}})
    documents = as_frame(spark, {"d": {1: 1.5, 2: 4.0, 3: 7.0}})
    vocabulary = spark.createDataFrame([(1, "one"), (2, "two"), (3, "three"), (9, "nine")], "term_id int, token string")
    ranked = top_k(spark, queries, documents, k=1)
    (row,) = matched_terms(spark, queries, documents, ranked, vocabulary, limit=5).collect()
    assert [(term["token"], term["contribution"]) for term in row["terms"]] == [("one", 3.0), ("two", 2.0)]
    assert row["score"] == 5.0


def test_a_run_keeps_its_rows_when_another_is_written_and_is_not_repeated(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Any
) -> None:
    run_job("ingest_texts", lake=lake, source=str(write_fruit(tmp_path / "fruit")))
    run_job("encode_texts", lake=lake, model="splade-tiny")
    first = run_job("retrieve_run", lake=lake, model="splade-tiny", k=3)
    run_job("retrieve_run", lake=lake, model="splade-tiny", k=1, run_id="it's one")
    runs = spark.read.format("delta").load(f"{lake}/runs")
    rows = sorted(map(tuple, runs.collect()))
    best = {row["query_id"]: row["doc_id"] for row in runs.where("rank = 1").collect()}
    assert best == {"q1": "apple", "q2": "river", "q3": "bread"}
    assert {r["run_id"]: r["n"] for r in runs.groupBy("run_id").agg({"*": "count"}).toDF("run_id", "n").collect()} == {
        "splade-tiny": first["rows"],
        "it's one": 3,
    }
    assert run_job("retrieve_run", lake=lake, model="splade-tiny", k=3)["status"] == "skipped"
    run_job("retrieve_run", lake=lake, model="splade-tiny", k=3, force=True)
    assert sorted(map(tuple, spark.read.format("delta").load(f"{lake}/runs").collect())) == rows


def test_vectors_of_two_models_are_refused(spark: SparkSession, run_job: Any, lake: str) -> None:
    for side, model_id in (("documents", "aaa"), ("queries", "bbb")):
        row = ("x", [1], [1.0], 1, False, "", "ok", model_id)
        spark.createDataFrame([row], VECTORS.struct).write.format("delta").save(f"{lake}/vectors/m/{side}")
    with pytest.raises(DataError, match=r"of 2 models .*documents has aaa.*queries has bbb"):
        run_job("retrieve_run", lake=lake, model="m")
