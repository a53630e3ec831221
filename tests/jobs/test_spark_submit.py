"""Every job of jobs/ runs under spark-submit with the options of the command line, alone and on a small cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyspark
import pytest

from support.collections import write_fruit

REPOSITORY = Path(__file__).resolve().parents[2]
Command = Any


@pytest.mark.slow
def test_every_job_runs_under_spark_submit_and_executors_get_the_code_from_the_zip(
    spark_submit: Command, spladelake: Command, tmp_path: Path
) -> None:
    """Three jobs on one machine without further settings; the one that ships code and model on two executors."""
    lake, tiny = str(tmp_path / "lake"), ("--model", "splade-tiny")
    archive = tmp_path / "spladelake.zip"
    assert spladelake("package", "--output", str(archive)).code == 0
    cluster = (
        "--master", "local-cluster[2,1,1024]", "--py-files", str(archive), "--jars", spladelake("jars").out.strip(),
        "--properties-file", str(REPOSITORY / "conf" / "cluster.conf"),
        "--conf", "spark.executor.memory=600m", "--conf", "spark.executor.memoryOverhead=384m",
        "--conf", "spark.executor.cores=1", "--conf", "spark.sql.shuffle.partitions=2",
    )  # fmt: skip
    home = {"SPARK_HOME": str(Path(pyspark.__file__).parent), "SPARK_LOCAL_IP": "127.0.0.1"}
    results = {}
    for job, given, options in (
        ("ingest_texts", ("--source", str(write_fruit(tmp_path / "fruit"))), ()),
        ("encode_texts", tiny, cluster),
        ("retrieve_run", (*tiny, "--k", "5"), ()),
        ("evaluate_run", tiny, ()),
    ):
        done = spark_submit(job, "--lake", lake, *given, options=options, env=home)
        assert done.code == 0, done.err
        results[job] = done.result
    assert {job: result["job"] for job, result in results.items()} == {job: job for job in results}
    assert results["encode_texts"]["documents"]["rows"] == 5
    assert results["evaluate_run"]["measures"]["mrr@10"] == 1.0


def test_a_users_mistake_keeps_its_exit_code_under_spark_submit(spark_submit: Command) -> None:
    done = spark_submit("retrieve_run", "--lake", "nowhere", "--k", "0")
    assert done.code == 2, done.err
    assert "retrieve_run: k" in done.result["error"]
    assert len(done.out.splitlines()) == 1
    assert "retrieve_run: k" in done.err
