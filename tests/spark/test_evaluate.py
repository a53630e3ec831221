"""The measures in the table are those that sentence-transformers computes on the same vectors."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError, UsageError
from spladelake.measures.notes import COUNTS
from spladelake.spark.evaluate import driver as driver_evaluation
from spladelake.spark.evaluate.query_measures import MeasureQueries
from spladelake.spark.evaluate.run_checks import count_pairs
from spladelake.spark.session.failures import known_error
from spladelake.spark.tables.schemas import JUDGEMENTS, RUNS
from spladelake.spark.tables.training_schemas import PARTS
from support.cases import mostly_slow
from support.collections import FRUIT, QUESTIONS, RELEVANT
from support.random_lake import TERMS, write_judgements, write_random_lake
from support.reference import reference_measures
from support.tables import table_rows, write_rows


def test_measures_equal_sentence_transformers_with_ties_and_unjudged_queries(
    spark: SparkSession, run_job: Any, lake: str
) -> None:
    made = write_random_lake(spark, lake, seed=5)
    run_job("retrieve_run", lake=lake, model="m")
    result = run_job("evaluate_run", lake=lake, model="m")
    wanted = reference_measures(made.queries, made.documents, made.relevant, vocabulary_size=TERMS)
    found = {name: value for name, value in result["measures"].items() if name != "ndcg_cut_10"}
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name  # the reference keeps float32 in its active dims


@pytest.mark.parametrize(
    "options",
    mostly_slow(
        [
            {"measures": ["all"]},
            {"answered_only": True, "trec_scores": "float64", "relevance_level": 2, "part": "p/test"},
        ],
        0,
    ),
)
def test_a_small_run_is_measured_in_the_driver_as_a_large_one_is_in_spark(
    spark: SparkSession, run_job: Any, lake: str, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    write_random_lake(spark, lake, seed=11)
    run_job("retrieve_run", lake=lake, model="m")
    queries = spark.read.format("delta").load(f"{lake}/judgements").select("query_id").distinct()
    parts = queries.select("query_id", F.when(F.col("query_id") < "q3", "test").otherwise("train").alias("part"))
    parts.write.format("delta").save(f"{lake}/training/p/parts")
    given = {"lake": lake, "model": "m", "force": True, **options}

    def evaluated() -> tuple[dict[str, Any], list[Any]]:
        result = run_job("evaluate_run", **given)
        rows = [(row["query_id"], row["measure"], row["value"]) for row in table_rows(f"{lake}/measures")]
        return result, sorted(rows, key=repr)

    found = evaluated()
    monkeypatch.setattr(driver_evaluation, "MOST_BYTES", 0)
    wanted = evaluated()
    for key in COUNTS:
        assert found[0].get(key) == wanted[0].get(key), key
    # Spark adds up a mean in the order in which its rows come; what it is the mean of is the same to the last bit.
    assert found[0]["measures"] == pytest.approx(wanted[0]["measures"], rel=1e-14)
    assert [row for row in found[1] if row[0]] == [row for row in wanted[1] if row[0]]
    assert len(found[1]) == len(wanted[1]) > 0


@pytest.fixture
def small_run(spark: SparkSession, lake: str) -> str:
    """q1 finds its document at rank 2, q2 finds nothing, q3 is not judged."""
    runs = [("r", "q1", "x", 1, 2.0), ("r", "q1", "a", 2, 1.0), ("r", "q3", "a", 1, 1.0)]
    write_rows(f"{lake}/runs", runs, RUNS)
    write_judgements(spark, lake, [("q1", "a", 2), ("q2", "b", 1)])
    return lake


def test_a_judged_query_without_results_counts_as_zero(spark: SparkSession, run_job: Any, small_run: str) -> None:
    result = run_job("evaluate_run", lake=small_run, run_id="r", measures=["mrr@10", "recall@10", "ndcg_cut_10"])
    assert result["queries"] == 2
    # By hand: q1 has reciprocal rank 1/2, recall 1 and (2/log2(3)) / 2 of its ideal gain; q2 has 0 of each.
    assert result["measures"] == pytest.approx({"mrr@10": 0.25, "recall@10": 0.5, "ndcg_cut_10": 0.5 / np.log2(3)})
    rows = table_rows(f"{small_run}/measures", query_id="q2")
    assert {row["measure"]: row["value"] for row in rows} == {"mrr@10": 0.0, "recall@10": 0.0, "ndcg_cut_10": 0.0}


def test_the_relevance_level_decides_what_is_relevant(run_job: Any, small_run: str) -> None:
    result = run_job("evaluate_run", lake=small_run, run_id="r", measures=["mrr@10", "recip_rank"], relevance_level=2)
    # At level 2 q2 has no relevant document: sentence-transformers leaves it out, trec_eval counts it.
    assert result["measures"] == {"mrr@10": 0.5, "recip_rank": 0.25}


def test_nothing_to_measure_is_an_error_not_a_zero(spark: SparkSession, run_job: Any, small_run: str) -> None:
    with pytest.raises(
        DataError,
        match="wanted at least one document of relevance 4 or more",
    ):
        run_job("evaluate_run", lake=small_run, run_id="r", relevance_level=4, measures=["mrr@10"])
    other = [("other", "x1", "a", 1, 1.0)]
    write_rows(f"{small_run}/runs", other, RUNS, mode="append")
    with pytest.raises(DataError, match="no query of run 'other' is judged"):
        run_job("evaluate_run", lake=small_run, run_id="other")


def test_a_second_evaluation_is_skipped_and_says_the_same(spark: SparkSession, run_job: Any, small_run: str) -> None:
    first = run_job("evaluate_run", lake=small_run, run_id="r")
    again = run_job("evaluate_run", lake=small_run, run_id="r")
    assert (first["status"], again["status"]) == ("written", "skipped")
    assert first["measures"] == again["measures"]
    other = [("other", "q1", "a", 1, 1.0)]
    append_run(spark, small_run, other)  # of unknown making: only the version of the table can tell
    assert run_job("evaluate_run", lake=small_run, run_id="r")["status"] == "written"
    keys = [(row["run_id"], row["measure"], row["query_id"]) for row in table_rows(f"{small_run}/measures")]
    assert len(keys) == len(set(keys))


def test_a_run_that_is_absent_or_lists_a_document_twice_is_refused(
    spark: SparkSession, run_job: Any, small_run: str
) -> None:
    with pytest.raises(DataError, match="no run 'other'"):
        run_job("evaluate_run", lake=small_run, run_id="other")
    twice = [("twice", "q1", "a", 1, 2.0), ("twice", "q1", "a", 2, 1.0)]
    write_rows(f"{small_run}/runs", twice, RUNS, mode="append")
    with pytest.raises(PySparkException, match="run 'twice': query 'q1' lists document 'a' more than once") as raised:
        run_job("evaluate_run", lake=small_run, run_id="twice")
    told = known_error(raised.value)
    assert told is not None
    assert told.exit_code == 3
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


def append_run(spark: SparkSession, lake: str, rows: list[tuple[str, str, str, int, float | None]]) -> None:
    write_rows(f"{lake}/runs", rows, RUNS, mode="append")


def test_only_the_scores_rank_and_ranks_against_them_are_counted(
    spark: SparkSession, run_job: Any, small_run: str
) -> None:
    # By its rank the relevant document is first, by its score third; d ties with c, so either may stand first.
    rows = [("odd", "q1", "a", 1, 0.5), ("odd", "q1", "c", 3, 1.0), ("odd", "q1", "d", 2, 1.0)]
    append_run(spark, small_run, rows)
    result = run_job("evaluate_run", lake=small_run, run_id="odd", measures=["mrr@10", "recip_rank"])
    assert result["measures"] == pytest.approx({"mrr@10": 1 / 6, "recip_rank": 1 / 6})  # q2 has nothing
    assert (result["ranks_against_scores"], result["decided_by_tie_rule"]) == (1, 0)


def test_equal_scores_go_up_for_sentence_transformers_and_down_for_trec_eval_whose_scores_are_float32(
    spark: SparkSession, run_job: Any, small_run: str
) -> None:
    # As float32 all three are equal; as doubles z is below a and m, which tie.
    rows = [("tied", "q1", "a", 1, 1.0), ("tied", "q1", "m", 2, 1.0), ("tied", "q1", "z", 3, 1.0 - 1e-12)]
    append_run(spark, small_run, rows)
    options = {"lake": small_run, "run_id": "tied", "measures": ["mrr@10", "recip_rank"], "answered_only": True}
    result = run_job("evaluate_run", **options)
    assert result["measures"] == pytest.approx({"mrr@10": 1.0, "recip_rank": 1 / 3})  # without q2, which has no answer
    assert (result["queries"], result["decided_by_tie_rule"], result["ranks_against_scores"]) == (1, 1, 0)
    doubles = run_job("evaluate_run", **options, trec_scores="float64")
    assert doubles["measures"] == pytest.approx({"mrr@10": 1.0, "recip_rank": 1 / 2})


def test_what_the_means_leave_out_or_cannot_know_is_counted(spark: SparkSession, run_job: Any, small_run: str) -> None:
    spark.createDataFrame(
        [("a", None, "t"), ("x", None, "t")], "doc_id string, title string, text string"
    ).write.format("delta").save(f"{small_run}/documents")
    result = run_job("evaluate_run", lake=small_run, run_id="r", measures=["recall@10"])
    counts = {name: result[name] for name in COUNTS}
    assert counts == {
        "queries": 2,
        "queries_without_results": 1,  # q2
        "queries_not_judged": 1,  # q3
        "judged_documents_unknown": 1,  # b, which nothing can find: recall is 1 and 0
        "decided_by_tie_rule": 0,
        "ranks_against_scores": 0,
    }
    assert result["measures"] == {"recall@10": 0.5}


@pytest.mark.parametrize(("score", "said"), [(float("nan"), "the score nan"), (None, "no score")])
def test_a_score_that_is_no_number_is_refused_naming_the_document(
    spark: SparkSession, run_job: Any, small_run: str, score: float | None, said: str
) -> None:
    append_run(spark, small_run, [("bad", "q1", "a", 1, 2.0), ("bad", "q1", "b", 2, score)])
    with pytest.raises(PySparkException, match=rf"run 'bad': document 'b' of query 'q1' has {said}; .*in every row"):
        run_job("evaluate_run", lake=small_run, run_id="bad")


def test_judgements_that_grade_a_document_twice_are_refused(spark: SparkSession, run_job: Any, small_run: str) -> None:
    again = spark.createDataFrame([("q1", "a", 0)], JUDGEMENTS.struct)
    again.write.format("delta").mode("append").save(f"{small_run}/judgements")
    with pytest.raises(DataError, match="document 'a' is judged 2 times for query 'q1'"):
        run_job("evaluate_run", lake=small_run, run_id="r")


def test_a_part_without_queries_is_refused_by_its_name(spark: SparkSession, run_job: Any, small_run: str) -> None:
    parts = spark.createDataFrame([("q1", "train"), ("q2", "dev")], PARTS.struct)
    parts.write.format("delta").save(f"{small_run}/training/default/parts")
    with pytest.raises(DataError, match="the part 'test' of the training set 'default' has no query"):
        run_job("evaluate_run", lake=small_run, run_id="r", part="default/test")
    with pytest.raises(DataError, match="no query of run 'r' is judged"):  # the run itself is there
        run_job("evaluate_run", lake=small_run, run_id="r", part="default/dev")


def test_rows_of_a_query_are_counted_whatever_batches_they_come_in() -> None:
    rng = np.random.default_rng(3)
    # A document of 0 has no score; a query of 0 no id.
    rows = [
        (f"q{q}" if q else None, 90 * q + d if q and d else None)
        for q, d in rng.integers(0, (6, 90), (400, 2)).tolist()
    ]
    wanted = {
        query: (len(of), of.count(None), len(of) - of.count(None) - len({*of} - {None}))
        for query in dict(rows) for of in [[pair for name, pair in rows if name == query]]
    }  # fmt: skip
    assert sum(repeated for _, _, repeated in wanted.values()) > 50
    columns = {"query": pa.array([q for q, _ in rows]), "pair": pa.array([pair for _, pair in rows], pa.int64())}
    batch = pa.RecordBatch.from_pydict(columns)
    for cuts in ([0, 400], [0, 0, 1, 130, 400]):
        (found,) = count_pairs(batch.slice(first, last - first) for first, last in pairwise(cuts))
        assert {row["query"]: (row["results"], row["unusable"], row["repeated"]) for row in found.to_pylist()} == wanted
    assert list(count_pairs(iter([batch.slice(0, 0)]))) == []


def test_a_query_with_very_many_judgements_does_not_widen_those_of_its_batch() -> None:
    rng = np.random.default_rng(4)
    judged = [rng.integers(0, 3, 20_000 if query == 70 else 3).tolist() for query in range(1_000)]
    hits = [[{"relevance": of[0], "ascending_rank": 2, "descending_rank": 2}] for of in judged]
    kinds = pa.list_(pa.int32()), pa.list_(pa.struct([(name, pa.int32()) for name in hits[0][0]]))
    columns = [pa.array([f"q{query}" for query in range(1_000)]), pa.array(judged, kinds[0]), pa.array(hits, kinds[1])]
    batch = pa.RecordBatch.from_arrays(columns, names=["query_id", "judged", "hits"])
    measure = MeasureQueries(("recall_1000", "ndcg_cut_10"), level=1)

    def values(batches: list[pa.RecordBatch]) -> dict[tuple[str, str], float]:
        rows = pa.Table.from_batches(measure(iter(batches))).to_pylist()
        return {(row["query_id"], row["measure"]): row["value"] for row in rows}

    tracemalloc.start()
    found = values([batch])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50 * 2**20, "one matrix of all their grades holds 80 MB"
    assert found == values([batch.slice(0, 70), batch.slice(70, 1), batch.slice(71)])
    relevant = sum(grade >= 1 for grade in judged[70])
    assert found["q70", "recall_1000"] == (judged[70][0] >= 1) / relevant
