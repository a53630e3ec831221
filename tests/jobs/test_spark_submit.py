"""Every job of jobs/ runs under spark-submit with the options of the command line, alone and on a small cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.collections import write_drawn, write_fruit
from support.cross_encoders import write_cross_encoder
from support.processes import REPOSITORY, TWO_EXECUTORS

Command = Any
TINY = ("--model", "splade-tiny")
# The teacher has random weights: what it teaches may measure below the start model.
TRAIN = (*TINY, "--batch-size", "4", "--max-steps", "2", "--max-length", "32", "--accept-worse")

# Each job at least once, in an order in which it finds what it needs; {folder} is the test's.
EVERY_JOB: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ingest_texts", ("--source", "{folder}/drawn")),
    ("encode_texts", TINY),
    ("index_vectors", TINY),
    ("retrieve_run", (*TINY, "--k", "20", "--strategy", "blocks", "--run-id", "splade-tiny")),
    ("compact_vectors", (*TINY, "--mantissa-bits", "6", "--into", "small", "--measures", "ndcg@10")),
    ("rerank_run", ("--run", "splade-tiny", "--cross-encoder", "{folder}/teacher", "--run-id", "reranked")),
    ("fuse_runs", ("--runs", "splade-tiny,reranked", "--run-id", "fused")),
    ("evaluate_run", (*TINY, "--run-id", "splade-tiny")),
    ("evaluate_run", (*TINY, "--run-id", "fused")),
    ("compare_runs", ("--run-ids", "splade-tiny,fused", "--measures", "ndcg_cut_10")),
    ("export_run", ("--run-id", "splade-tiny", "--output", "{folder}/tiny.trec")),
    ("import_run", ("--run", "{folder}/tiny.trec", "--run-id", "theirs")),
    ("export_measures", ("--run-id", "splade-tiny", "--output", "{folder}/tiny.csv")),
    ("export_vectors", (*TINY, "--output", "{folder}/out", "--output-format", "anserini")),
    ("import_vectors", ("--input", "{folder}/out", "--input-format", "anserini", "--vectors", "theirs")),
    ("mine_pairs", ("--run", "splade-tiny", "--dev-share", "0.2", "--test-share", "0.2")),
    ("score_pairs", ("--teachers", "{folder}/teacher")),
    ("train_model", (*TRAIN, "--output", "{folder}/new")),
    # Its processes are the tasks', two of them, and have the zip from these.
    ("train_model", (*TRAIN, "--output", "{folder}/there", "--where", "executors", "--processes", "2")),
    ("maintain_tables", ()),
    ("verify_tables", ()),
)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_every_job_runs_on_a_cluster_whose_nodes_have_nothing_but_the_zip(
    spark_submit: Command, without_package: dict[str, str], shipped: tuple[str, ...], tmp_path: Path
) -> None:
    assert {job for job, _ in EVERY_JOB} == {file.stem for file in (REPOSITORY / "jobs").glob("*.py")}
    write_drawn(tmp_path / "drawn")
    write_cross_encoder(tmp_path / "teacher")
    cluster = (*TWO_EXECUTORS, *shipped)
    results = {}
    for job, given in EVERY_JOB:
        arguments = [word.format(folder=tmp_path) for word in given]
        done = spark_submit(
            job, "--lake", str(tmp_path / "lake"), "--run-date", "2026-11-24", *arguments,
            options=cluster, env=without_package, timeout=600,
        )  # fmt: skip
        assert done.code == 0, f"{job}: {done.err[-8000:]}"
        assert len(done.out.splitlines()) == 1, f"{job} says on stdout what is no result: {done.out}"
        results[job] = done.result
        assert (done.result["job"], done.result["exit_code"]) == (job, 0)
        assert done.result["run_date"] == "2026-11-24"
    assert results["encode_texts"]["documents"]["rows"] == 60
    assert results["import_run"]["rows"] == results["retrieve_run"]["rows"]
    assert results["verify_tables"]["findings"] == []


@pytest.mark.slow
def test_a_job_runs_under_spark_submit_on_one_machine_without_further_settings(
    spark_submit: Command, tmp_path: Path
) -> None:
    source = write_fruit(tmp_path / "fruit")
    assert spark_submit("ingest_texts", "--lake", "lake", "--source", str(source)).code == 0
    done = spark_submit("encode_texts", "--lake", "lake", *TINY)
    assert done.code == 0, done.err
    assert done.result["documents"]["rows"] == 5


def test_a_users_mistake_keeps_its_exit_code_under_spark_submit(spark_submit: Command) -> None:
    done = spark_submit("retrieve_run", "--lake", "nowhere", "--k", "0")
    assert done.code == 2, done.err
    assert "retrieve_run: k" in done.result["error"]
    assert len(done.out.splitlines()) == 1
    assert "retrieve_run: k" in done.err
