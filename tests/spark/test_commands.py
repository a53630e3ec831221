"""The command line in a running session: what it prints, what it returns, what a second run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spladelake.cli import main
from support.collections import write_fruit, write_lines
from support.tables import table_rows


def test_bad_data_ends_with_3_and_leaves_a_result_line(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "corpus.jsonl", [{"text": "no id"}])
    code = main(["ingest_texts", "--lake", str(tmp_path / "lake"), "--documents", str(source)])
    printed = capsys.readouterr()
    assert code == 3
    for piece in ("1 of 1 records are malformed", 'corpus.jsonl line 1: "_id" is missing', "--max-rejected"):
        assert piece in printed.err
    assert "Traceback" not in printed.err
    assert json.loads(printed.out.splitlines()[-1])["exit_code"] == 3


def test_a_missing_table_ends_with_3_and_names_the_command_that_makes_it(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["retrieve_run", "--lake", str(tmp_path / "nowhere"), "--model", "splade-tiny"])
    assert code == 3
    assert (
        "Correct --lake or --model, or make the table first with this command: spladelake encode_texts"
        in capsys.readouterr().err
    )


def test_a_pipeline_runs_all_steps_and_a_second_run_skips_them(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRUIT", str(write_fruit(tmp_path / "fruit")))
    steps = "{ingest_texts: {source: '${FRUIT}'}, encode_texts: , retrieve_run: {k: 5}, evaluate_run: }"
    file = tmp_path / "p.yaml"
    file.write_text(f"lake: {tmp_path / 'lake'}\nmodel: splade-tiny\nsteps: {steps}\n", encoding="utf-8")
    results = []
    for _ in range(2):
        assert main(["pipeline", "run", str(file)]) == 0
        printed = capsys.readouterr()
        assert "mrr@10" in printed.err  # the table for people
        results.append(json.loads(printed.out.splitlines()[-1])["steps"])
    first, again = results
    assert first["evaluate_run"]["measures"]["mrr@10"] == 1.0
    assert {step: result["status"] for step, result in again.items()} == dict.fromkeys(
        ("ingest_texts", "encode_texts", "retrieve_run", "evaluate_run"), "skipped"
    )
    assert again["evaluate_run"]["measures"] == first["evaluate_run"]["measures"]


def test_active_dims_are_those_of_the_runs_own_vectors(
    spark: SparkSession, fruit_lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retrieve_run", "--lake", fruit_lake, "--model", "splade-tiny", "--run-id", "named"]) == 0
    assert "write --ranking named instead" in capsys.readouterr().err
    evaluate = ["evaluate_run", "--lake", fruit_lake, "--ranking", "named", "--run-id", "nightly"]
    assert main(evaluate) == 0  # the model is not said again
    log = spark.read.format("delta").load(f"{fruit_lake}/run_log").orderBy("started").collect()
    assert [row["run_id"] for row in log[-2:]] == ["named", "nightly"]
    measures = json.loads(capsys.readouterr().out.splitlines()[-1])["measures"]
    vectors = table_rows(f"{fruit_lake}/vectors/splade-tiny/documents")
    assert measures["corpus_active_dims"] == sum(len(row["indices"]) for row in vectors) / len(vectors)


@pytest.mark.slow
def test_a_lake_may_be_a_schema_of_the_catalog(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spark.sql("CREATE SCHEMA fruit")
    source = str(write_fruit(tmp_path / "fruit"))
    assert main(["ingest_texts", "--lake", "schema:fruit", "--source", source]) == 0
    for job in ("encode_texts", "retrieve_run", "evaluate_run"):
        assert main([job, "--lake", "schema:fruit", "--model", "splade-tiny"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["measures"]["mrr@10"] == 1.0
    tables = {row["tableName"] for row in spark.sql("SHOW TABLES IN fruit").collect()}
    assert {"documents", "vectors_splade_tiny_documents", "runs", "measures"} <= tables
