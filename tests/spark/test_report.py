"""The report shows what the tables hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.cli import main
from spladelake.errors import DataError, UsageError
from spladelake.spark.evaluate.report import gather
from spladelake.spark.tables import schemas
from spladelake.spark.tables.refs import Lake
from support.tables import table_rows

TEXTS = {
    "a": "A river carries water to the sea <script>alert(1)</script>",
    "b": "Bread is baked from flour and water",
    "c": "Water and water again",
    "d": "",
}
QUESTIONS = {"q1": "river water <script>", "q2": "bread", "q3": "nothing known", "q4": "water that nobody judged"}
JUDGED = [("q1", "c", 2), ("q1", "a", 0), ("q2", "b", 1), ("q3", "a", 1)]


@pytest.fixture(scope="module")
def measured_lake(spark: SparkSession, run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two runs of BM25, one of them cut after the first document."""
    lake = str(tmp_path_factory.mktemp("report") / "lake")
    for name, schema, rows in (
        ("documents", schemas.DOCUMENTS, [(i, None, text) for i, text in TEXTS.items()]),
        ("queries", schemas.QUERIES, list(QUESTIONS.items())),
        ("judgements", schemas.JUDGEMENTS, JUDGED),
    ):
        spark.createDataFrame(rows, schema.struct).coalesce(1).write.format("delta").save(f"{lake}/{name}")
    run_job("encode_texts", lake=lake, model="bm25")
    run_job("retrieve_run", lake=lake, model="bm25", run_id="whole", k=10, also={"first": {"k": 1}})
    for run_id in ("whole", "first"):
        run_job("evaluate_run", lake=lake, model="bm25", run_id=run_id, measures=["ndcg_cut_10", "recall@10"])
    return lake


@pytest.mark.slow
def test_what_is_gathered_is_what_the_tables_hold(spark: SparkSession, measured_lake: str) -> None:
    data = gather(spark, Lake(measured_lake), runs=("whole", "first"), queries=3)
    assert [system.run_id for system in data.systems] == ["whole", "first"]
    assert (data.measures, data.queries) == (("ndcg_cut_10", "recall@10"), 3)
    rows = {
        side: {row["id"]: set(row["indices"]) for row in
               table_rows(f"{measured_lake}/vectors/bm25/{side}")}
        for side in ("documents", "queries")
    }  # fmt: skip
    # What counts in the means counts here: judged queries.
    documents, queries = rows["documents"].values(), [rows["queries"][i] for i in ("q1", "q2", "q3")]
    cost = data.systems[0].cost
    assert cost is not None
    # Products worked over every pair: the terms that both have.
    pairs = [len(d & q) for d in documents for q in queries]
    assert cost.products == pytest.approx(sum(pairs) / len(pairs))
    assert cost.document_terms == pytest.approx(sum(map(len, documents)) / 4)
    assert cost.query_terms == pytest.approx(sum(map(len, queries)) / 3)
    assert cost.table_bytes > 0
    (statistics,) = data.vectors
    assert sum(statistics.dims.values()) == 4
    assert statistics.dims[0] == 1
    assert statistics.frequencies[3] == 1  # only water stands in three documents
    # q1 has its relevant document at rank 2, which the shorter run has cut; q2 and q3 do not differ.
    (differing,) = data.differing
    assert (differing.query_id, differing.text) == ("q1", QUESTIONS["q1"])
    assert (differing.better.run_id, differing.worse.run_id, differing.worse.value) == ("whole", "first", 0.0)
    first = differing.better.hits[0]
    assert (first.doc_id, first.relevance, first.text) == ("a", 0, TEXTS["a"])
    assert sum(share for _, share in first.terms) == pytest.approx(first.score)
    assert {term for term, _ in first.terms} == {"river", "water", "script"}
    assert [len(listing.hits) for listing in (differing.better, differing.worse)] == [3, 1]


def test_the_command_writes_the_page_escaped_and_says_where(
    measured_lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.html"
    assert main(["report", "--lake", measured_lake, "--runs", "whole,first", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["out"] == str(out)
    page = out.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;" in page
    assert "<mark>river</mark>" in page
    assert page.count("<svg") == 5


def test_runs_and_measures_that_are_not_there_are_refused(spark: SparkSession, measured_lake: str, lake: str) -> None:
    with pytest.raises(DataError, match="the table has no run 'absent'"):
        gather(spark, Lake(measured_lake), runs=("whole", "absent"))
    with pytest.raises(UsageError, match="measure mrr@10: some runs do not have this measure"):
        gather(spark, Lake(measured_lake), measure="mrr@10")
    with pytest.raises(DataError, match="there is no runs table"):
        gather(spark, Lake(lake))
