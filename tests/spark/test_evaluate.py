"""The measures in the table are those that sentence-transformers computes on the same vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from spladelake.errors import DataError, UsageError
from spladelake.spark.schemas import JUDGEMENTS, RUNS, VECTORS
from support.collections import FRUIT, QUESTIONS, RELEVANT
from support.reference import reference_measures

Vector = tuple[list[int], list[float]]
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


def test_measures_equal_sentence_transformers_with_ties_and_unjudged_queries(
    spark: SparkSession, run_job: Any, lake: str
) -> None:
    rng = np.random.default_rng(5)
    documents = random_side(rng, [f"d{n:03}" for n in range(150)])
    queries = random_side(rng, [f"q{n}" for n in range(30)])
    write_vectors(spark, lake, "documents", documents)
    write_vectors(spark, lake, "queries", queries)
    judged = []
    for query_id in list(queries)[:25]:  # the last five are not judged, and the first has no relevant document
        for doc_id in rng.choice(list(documents), size=12, replace=False):
            judged.append((query_id, str(doc_id), 0 if query_id == "q0" else int(rng.integers(-1, 3))))
    spark.createDataFrame(judged, JUDGEMENTS.struct).write.format("delta").save(f"{lake}/judgements")
    run_job("retrieve_run", lake=lake, model="m")
    result = run_job("evaluate_run", lake=lake, model="m")
    relevant: dict[str, set[str]] = {}
    for query_id, doc_id, relevance in judged:
        if relevance >= 1:
            relevant.setdefault(query_id, set()).add(doc_id)
    wanted = reference_measures(queries, documents, relevant, vocabulary_size=TERMS)
    found = {name: value for name, value in result["measures"].items() if name != "ndcg_cut_10"}
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name  # the reference keeps float32 in its active dims


@pytest.fixture
def small_run(spark: SparkSession, lake: str) -> str:
    """q1 finds its document at rank 2, q2 finds nothing, q3 is not judged."""
    runs = [("r", "q1", "x", 1, 2.0), ("r", "q1", "a", 2, 1.0), ("r", "q3", "a", 1, 1.0)]
    spark.createDataFrame(runs, RUNS.struct).write.format("delta").save(f"{lake}/runs")
    judged = [("q1", "a", 2), ("q2", "b", 1)]
    spark.createDataFrame(judged, JUDGEMENTS.struct).write.format("delta").save(f"{lake}/judgements")
    return lake


def test_a_judged_query_without_results_counts_as_zero(spark: SparkSession, run_job: Any, small_run: str) -> None:
    result = run_job("evaluate_run", lake=small_run, run_id="r", measures=["mrr@10", "recall@10", "ndcg_cut_10"])
    assert result["queries"] == 2
    # By hand: q1 has reciprocal rank 1/2, recall 1 and (2/log2(3)) / 2 of its ideal gain; q2 has 0 of each.
    assert result["measures"] == pytest.approx({"mrr@10": 0.25, "recall@10": 0.5, "ndcg_cut_10": 0.5 / np.log2(3)})
    rows = spark.read.format("delta").load(f"{small_run}/measures").where("query_id = 'q2'").collect()
    assert {row["measure"]: row["value"] for row in rows} == {"mrr@10": 0.0, "recall@10": 0.0, "ndcg_cut_10": 0.0}


def test_the_relevance_level_decides_what_is_relevant(run_job: Any, small_run: str) -> None:
    result = run_job("evaluate_run", lake=small_run, run_id="r", measures=["mrr@10", "recip_rank"], relevance_level=2)
    # At level 2 q2 has no relevant document: sentence-transformers leaves it out, trec_eval counts it.
    assert result["measures"] == {"mrr@10": 0.5, "recip_rank": 0.25}


def test_nothing_to_measure_is_an_error_not_a_zero(spark: SparkSession, run_job: Any, small_run: str) -> None:
    with pytest.raises(DataError, match="no query has a document of relevance 4 or more"):
        run_job("evaluate_run", lake=small_run, run_id="r", relevance_level=4, measures=["mrr@10"])
    other = [("other", "x1", "a", 1, 1.0)]
    spark.createDataFrame(other, RUNS.struct).write.format("delta").mode("append").save(f"{small_run}/runs")
    with pytest.raises(DataError, match="no query of run 'other' is judged"):
        run_job("evaluate_run", lake=small_run, run_id="other")


def test_a_second_evaluation_is_skipped_and_says_the_same(spark: SparkSession, run_job: Any, small_run: str) -> None:
    first = run_job("evaluate_run", lake=small_run, run_id="r")
    again = run_job("evaluate_run", lake=small_run, run_id="r")
    assert (first["status"], again["status"]) == ("written", "skipped")
    assert first["measures"] == again["measures"]
    run_job("evaluate_run", lake=small_run, run_id="r", force=True)
    table = spark.read.format("delta").load(f"{small_run}/measures")
    assert table.count() == table.dropDuplicates(["run_id", "measure", "query_id"]).count()


def test_a_run_that_is_absent_or_lists_a_document_twice_is_refused(
    spark: SparkSession, run_job: Any, small_run: str
) -> None:
    with pytest.raises(DataError, match="no run 'other'"):
        run_job("evaluate_run", lake=small_run, run_id="other")
    twice = [("twice", "q1", "a", 1, 2.0), ("twice", "q1", "a", 2, 1.0)]
    spark.createDataFrame(twice, RUNS.struct).write.format("delta").mode("append").save(f"{small_run}/runs")
    with pytest.raises(DataError, match="lists document 'a' 2 times for query 'q1'"):
        run_job("evaluate_run", lake=small_run, run_id="twice")
    with pytest.raises(UsageError, match="ndgc@10"):
        run_job("evaluate_run", lake=small_run, run_id="r", measures=["ndgc@10"])


def test_the_small_pipeline_is_right_from_text_to_measure(run_job: Any, fruit_lake: str, tmp_path: Path) -> None:
    assert len(FRUIT) == 5
    assert set(QUESTIONS) == {q for q, _ in RELEVANT}
    run_job("retrieve_run", lake=fruit_lake, model="splade-tiny", run_id="fruit")
    result = run_job("evaluate_run", lake=fruit_lake, model="splade-tiny", run_id="fruit")
    # Each question has one relevant document, and it is what the question is about.
    assert {n: result["measures"][n] for n in ("accuracy@1", "mrr@10", "map@100")} == {
        "accuracy@1": 1.0, "mrr@10": 1.0, "map@100": 1.0,
    }  # fmt: skip
