"""Every job of jobs/ runs under spark-submit with the options of the command line, alone and on a small cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.collections import write_drawn, write_fruit
from support.cross_encoders import write_cross_encoder
from support.every_job import EVERY_JOB, TINY, TRAIN
from support.processes import REPOSITORY, TWO_EXECUTORS

Command = Any
# Its processes are the tasks', two of them, and have the zip from these.
ON_EXECUTORS = (("train_model", (*TRAIN, "--output", "{folder}/there", "--where", "executors", "--processes", "2")),)


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
    for job, given in (*EVERY_JOB, *ON_EXECUTORS):
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
