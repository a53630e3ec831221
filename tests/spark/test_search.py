"""A question in free text finds what the retrieval job finds for the same words, with titles and terms."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.cli import main
from spladelake.display.results import hits_table
from spladelake.encoder import resolve_checkpoint
from spladelake.errors import DataError, UsageError
from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.texts import encoded, hashed, spread
from spladelake.spark.encode.vectorisers import vectoriser_of
from spladelake.spark.encode.worker import EncodeBatches
from spladelake.spark.retrieve import driver_search
from spladelake.spark.retrieve.search import search_documents, search_folder
from spladelake.spark.session.totals import Totals
from support.cases import mostly_slow
from support.collections import QUESTIONS
from support.tables import table_rows


def test_search_ranks_as_the_job_does_and_its_terms_add_up(spark: SparkSession, run_job: Any, fruit_lake: str) -> None:
    run_job("retrieve_run", lake=fruit_lake, model="splade-tiny", run_id="searched", k=3)
    rows = table_rows(f"{fruit_lake}/runs", run_id="searched", query_id="q1")
    rows.sort(key=lambda row: row["rank"])
    hits = search_documents(spark, QUESTIONS["q1"], lake=fruit_lake, model="splade-tiny", k=3, terms=100)
    assert [(hit["doc_id"], hit["rank"]) for hit in hits] == [(row["doc_id"], row["rank"]) for row in rows]
    job_scores = [row["score"] for row in rows]
    assert [hit["score"] for hit in hits] == pytest.approx(job_scores, abs=1e-4)  # of texts encoded in other batches
    for hit in hits:
        assert sum(hit["terms"].values()) == pytest.approx(hit["score"], rel=1e-9)
        assert list(hit["terms"].values()) == sorted(hit["terms"].values(), reverse=True)
    assert {"fruit", "juice", "pressed"} <= set(hits[0]["terms"])


@pytest.fixture
def by_workers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have workers rank from now on, as they do large collections."""
    return lambda: monkeypatch.setattr(driver_search, "MOST_BYTES", -1)


@pytest.mark.parametrize("model", mostly_slow(["splade-tiny", "bm25"], 0))
def test_the_driver_answers_with_and_without_spark_what_workers_answer_to_the_last_bit(
    spark: SparkSession, run_job: Any, fruit_lake: str, by_workers: Callable[[], None], model: str
) -> None:
    run_job("encode_texts", lake=fruit_lake, model=model)
    asked = [
        {"text": "which fruit is pressed for juice by the river", "k": 50, "terms": 100},
        {"text": QUESTIONS["q1"], "k": 2, "terms": 2},
        {"text": "zebras", "k": 1, "terms": 0},
        {"text": "", "k": 1, "terms": 1},
    ]
    folder = [search_folder(lake=fruit_lake, model=model, **one) for one in asked]
    driver = [search_documents(spark, lake=fruit_lake, model=model, **one) for one in asked]
    by_workers()
    assert search_folder("fruit", lake=fruit_lake, model=model) is None
    workers = [search_documents(spark, lake=fruit_lake, model=model, **one) for one in asked]
    assert folder == driver == workers
    assert any(len(hits) > 1 for hits in workers)


def test_the_drivers_vector_of_a_question_is_the_workers(spark: SparkSession) -> None:
    totals = spark.sparkContext.accumulator({}, Totals())
    in_worker = EncodeBatches(WorkerSpec(resolve_checkpoint("splade-tiny"), None), "query", totals)
    for text in ("which fruit is pressed for juice", "", "straße"):
        rows = spark.createDataFrame([("q", text)], "id string, text string")
        row = encoded(spread(hashed(rows), 1), in_worker).first()
        found = vectoriser_of("splade-tiny").question(text)
        assert row is not None
        assert (row["indices"], row["values"]) == (found.vector.indices.tolist(), found.vector.values.tolist())
        assert row["model_id"] == found.model_id


def test_a_condition_is_met_by_what_the_driver_ranks_as_by_what_workers_rank(
    spark: SparkSession, fruit_lake: str, by_workers: Callable[[], None]
) -> None:
    asked = {"lake": fruit_lake, "model": "splade-tiny", "where": "doc_id <> 'apple'"}
    driver = search_documents(spark, "which fruit", **asked)
    by_workers()
    assert driver == search_documents(spark, "which fruit", **asked) != []


def test_a_condition_searches_only_the_documents_that_meet_it(spark: SparkSession, fruit_lake: str) -> None:
    every = search_documents(spark, "which fruit", lake=fruit_lake, model="splade-tiny")
    some = search_documents(spark, "which fruit", lake=fruit_lake, model="splade-tiny", where="doc_id <> 'apple'")
    assert [hit["doc_id"] for hit in some] == [hit["doc_id"] for hit in every if hit["doc_id"] != "apple"]
    assert len(some) == len(every) - 1
    with pytest.raises(UsageError, match="wanted a condition"):
        search_documents(spark, "x", lake=fruit_lake, model="splade-tiny", where="nothing here")


def test_the_command_prints_scores_ids_and_terms_and_returns_all_as_json(
    spark: SparkSession, fruit_lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", QUESTIONS["q1"], "--lake", fruit_lake, "--model", "splade-tiny", "-k", "2"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out.splitlines()[-1])
    hits = search_documents(spark, QUESTIONS["q1"], lake=fruit_lake, model="splade-tiny", k=2)
    assert result["hits"] == hits
    assert len(hits) == 2
    for hit in hits:
        assert f"{hit['score']:.2f}" in printed.err
        assert hit["doc_id"] in printed.err
        assert next(iter(hit["terms"])) in printed.err


def test_a_question_without_terms_finds_nothing_and_says_so(spark: SparkSession, fruit_lake: str) -> None:
    assert search_documents(spark, "", lake=fruit_lake, model="splade-tiny") == []
    assert "no document shares a term" in str(hits_table("[b]x", []).title)


def test_a_lake_without_the_models_vectors_is_refused(spark: SparkSession, fruit_lake: str) -> None:
    with pytest.raises(DataError, match="there is no vectors table"):
        search_documents(spark, "x", lake=fruit_lake, model="splade-tiny", vectors="other")


def test_bm25_is_searched_by_its_own_words(spark: SparkSession, run_job: Any, fruit_lake: str) -> None:
    run_job("encode_texts", lake=fruit_lake, model="bm25")
    (first, *_) = search_documents(spark, "Baked BREAD and zebras", lake=fruit_lake, model="bm25")
    assert first["doc_id"] == "bread"
    assert set(first["terms"]) == {"bake", "bread"}
