"""Runs made of runs: re-ranked ones have the model's scores, fused ones the scores worked by hand and those of ranx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from ranx import Run, fuse
from sentence_transformers import CrossEncoder as Reference

from spladelake.errors import DataError, UsageError
from spladelake.spark.rerank.fuse import best, normalised, reciprocal_ranks, summed
from spladelake.spark.tables.schemas import DOCUMENTS, QUERIES, RUNS
from support.collections import FRUIT, QUESTIONS
from support.cross_encoders import write_cross_encoder
from support.tables import table_rows, write_rows

Scores = dict[str, dict[str, float]]


def write_runs(spark: SparkSession, lake: str, runs: dict[str, Scores]) -> None:
    rows = []
    for run_id, queries in runs.items():
        for query_id, scores in queries.items():
            ordered = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
            rows += [(run_id, query_id, doc_id, rank, score) for rank, (doc_id, score) in enumerate(ordered, start=1)]
    write_rows(f"{lake}/runs", rows, RUNS, mode="append")


def run_of(spark: SparkSession, lake: str, run_id: str) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    rows = sorted(table_rows(f"{lake}/runs", run_id=run_id), key=lambda row: (row["query_id"], row["rank"]))
    for place, row in enumerate(rows):
        of_query = found.setdefault(row["query_id"], [])
        of_query.append((row["doc_id"], row["score"]))
        assert row["rank"] == len(of_query), place
    return found


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cross_encoder(tmp_path_factory.mktemp("cross") / "small-cross")


def test_a_reranked_run_has_the_scores_of_sentence_transformers_and_the_rest_below(
    spark: SparkSession, run_job: Any, lake: str, cross_encoder: Path
) -> None:
    texts = {**FRUIT, "copy": FRUIT["apple"], "nothing": ""}
    documents = [(i, None, text) for i, text in texts.items()]
    write_rows(f"{lake}/documents", documents, DOCUMENTS)
    write_rows(f"{lake}/queries", list(QUESTIONS.items()), QUERIES)
    first = {
        query_id: {doc_id: float(len(texts) - place) for place, doc_id in enumerate(texts)} for query_id in QUESTIONS
    }
    del first["q3"]["river"], first["q3"]["train"], first["q3"]["copy"], first["q3"]["nothing"]
    write_runs(spark, lake, {"first": first})
    options = {"lake": lake, "run": "first", "cross_encoder": str(cross_encoder), "depth": 6}
    result = run_job("rerank_run", **options)
    assert result["run_id"] == "first-small-cross"
    # q3 has three documents; the copy of a document is scored once for the two questions that have both.
    assert (result["pairs"], result["distinct_pairs"], result["rows"]) == (15, 13, 17)
    assert run_job("rerank_run", **options)["status"] == "skipped"
    found = run_of(spark, lake, "first-small-cross")
    reference = Reference(str(cross_encoder), device="cpu")
    for query_id, scores in first.items():
        top = sorted(scores, key=lambda doc_id: -scores[doc_id])[:6]
        pairs = [(QUESTIONS[query_id], texts[doc_id]) for doc_id in top]
        wanted = dict(zip(top, reference.predict(pairs, show_progress_bar=False).tolist(), strict=True))
        listed = found[query_id]
        again = dict(listed[: len(top)])
        assert set(again) == set(top)
        for doc_id, score in again.items():
            assert score == pytest.approx(wanted[doc_id], abs=1e-5)
        assert listed == sorted(listed, key=lambda pair: (-pair[1], pair[0]))
        assert [doc_id for doc_id, _ in listed[len(top) :]] == [d for d in scores if d not in top]
        if "copy" in again:
            assert again["copy"] == again["apple"]
    dropped = run_job("rerank_run", **{**options, "rest": "drop", "run_id": "top", "rows_per_task": 2})
    assert (dropped["rows"], dropped["distinct_pairs"]) == (15, 13)
    with pytest.raises(UsageError, match="is the run to re-rank"):
        run_job("rerank_run", **options, run_id="first")
    with pytest.raises(DataError, match="the table has no run 'absent'"):
        run_job("rerank_run", **{**options, "run": "absent"})
    write_runs(spark, lake, {"foreign": {"q1": {"apple": 2.0, "elsewhere": 1.0}}})
    with pytest.raises(DataError, match="the lake lacks the query or the document of 1 of 2 pairs"):
        run_job("rerank_run", **{**options, "run": "foreign"})


HAND: dict[str, Scores] = {
    "one": {"q": {"a": 10.0, "b": 6.0, "c": 2.0}, "only": {"x": 5.0}},
    "two": {"q": {"b": 0.9, "d": 0.4}},
}


def test_reciprocal_rank_fusion_is_as_worked_by_hand(spark: SparkSession, run_job: Any, lake: str) -> None:
    write_runs(spark, lake, HAND)
    result = run_job("fuse_runs", lake=lake, runs="one,two")
    assert (result["run_id"], result["rows"], result["queries"]) == ("rrf-one-two", 5, 2)
    found = run_of(spark, lake, "rrf-one-two")
    # b is second and first, a first, d second, c third.
    wanted = [("b", 1 / 62 + 1 / 61), ("a", 1 / 61), ("d", 1 / 62), ("c", 1 / 63)]
    assert found == {"q": [(i, pytest.approx(s, abs=1e-15)) for i, s in wanted], "only": [("x", 1 / 61)]}
    assert run_job("fuse_runs", lake=lake, runs="one,two")["status"] == "skipped"
    run_job("fuse_runs", lake=lake, runs="one,two", method="sum", weights="2,1", k=2, run_id="hybrid")
    # min-max: one has a 1, b 0.5, c 0; two has b 1, d 0; so 2a = 2, 2b + b = 2: a tie, by doc_id.
    assert run_of(spark, lake, "hybrid") == {"q": [("a", 2.0), ("b", 2.0)], "only": [("x", 2.0)]}
    run_job("fuse_runs", lake=lake, runs="one,two", method="sum", normalisation="z-score", run_id="z")
    # one: mean 6, deviation sqrt(32/3); two: mean 0.65, deviation 0.25, so b 1 and d -1, which a and c get too.
    a = 4 / np.sqrt(32 / 3)
    wanted_z = [("b", 1.0), ("a", a - 1), ("c", -a - 1), ("d", -a - 1)]
    assert run_of(spark, lake, "z")["q"] == [(i, pytest.approx(s, abs=1e-12)) for i, s in wanted_z]
    for runs, says in (
        ("one,absent", "the table has no run 'absent'"),
        ("one,twice", "lists a document or a rank twice"),
    ):
        if "twice" in runs:
            twice = [("twice", "q", "a", 1, 2.0), ("twice", "q", "a", 2, 1.0)]
            write_rows(f"{lake}/runs", twice, RUNS, mode="append")
        with pytest.raises(DataError, match=says):
            run_job("fuse_runs", lake=lake, runs=runs)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"runs": "one"}, "wanted two or more different runs"),
        ({"runs": "one,one"}, "wanted two or more different runs"),
        ({"runs": "one,two", "weights": "1"}, "--weights has 1 weight for 2 runs"),
        ({"runs": "one,two", "weights": "0,0"}, "only zeros"),
        ({"runs": "one,two", "run_id": "two"}, "is one of the runs to fuse"),
    ],
)
def test_options_of_fusion_that_make_no_sense_are_refused(run_job: Any, given: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run_job("fuse_runs", lake="unused", **given)


@pytest.mark.slow
def test_fused_scores_equal_ranx_and_do_not_depend_on_partitioning(spark: SparkSession) -> None:
    rng = np.random.default_rng(1)
    names = [f"d{n:02}" for n in range(30)]
    runs = {
        run_id: {f"q{q}": dict(zip(names, rng.normal(size=30).tolist(), strict=True)) for q in range(4)}
        for run_id in ("r1", "r2", "r3")
    }
    rows = []
    for run_id, queries in runs.items():
        for query_id, scores in queries.items():
            ordered = sorted(scores, key=lambda d: -scores[d])
            rows += [(run_id, query_id, d, rank, scores[d]) for rank, d in enumerate(ordered, start=1)]
    frame = spark.createDataFrame(rows, RUNS.struct)
    weights = [("r1", 0.2), ("r2", 0.3), ("r3", 0.5)]
    given = [Run(queries, name=run_id) for run_id, queries in runs.items()]
    ones = [(run_id, 1.0) for run_id, _ in weights]
    wsum: dict[str, Any] = {"method": "wsum", "params": {"weights": tuple(w for _, w in weights)}}
    cases = [
        (lambda run: summed(reciprocal_ranks(run, constant=60), ones, missing="zero"), fuse(given, method="rrf")),
        (lambda run: summed(normalised(run, how="min-max"), weights, missing="zero"), fuse(given, **wsum)),
        (lambda run: summed(normalised(run, how="z-score"), weights, missing="lowest"), fuse(given, "zmuv", **wsum)),
    ]
    for scores, reference in cases:
        found = {(row["query_id"], row["doc_id"]): row["score"] for row in scores(frame).collect()}
        wanted = {(q, d): s for q, of_query in reference.to_dict().items() for d, s in of_query.items()}
        assert found == pytest.approx(wanted, abs=1e-9)
        shuffled = scores(frame.orderBy(F.rand(7)).repartition(5))
        assert {(row["query_id"], row["doc_id"]): row["score"] for row in shuffled.collect()} == found
    top = best(cases[0][0](frame), k=3).where("query_id = 'q1'").orderBy("rank").collect()
    assert [row["rank"] for row in top] == [1, 2, 3]
