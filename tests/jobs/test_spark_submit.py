"""Every job of jobs/ runs under spark-submit with the options of the command line, alone and on a small cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.collections import write_fruit

REPOSITORY = Path(__file__).resolve().parents[2]
Command = Any


def test_all_four_jobs_run_under_spark_submit_without_further_settings(spark_submit: Command, tmp_path: Path) -> None:
    lake, fruit = str(tmp_path / "lake"), str(write_fruit(tmp_path / "fruit"))
    for job, options in (
        ("ingest_texts", ["--source", fruit]),
        ("encode_texts", ["--model", "splade-tiny"]),
        ("retrieve_run", ["--model", "splade-tiny", "--k", "5"]),
        ("evaluate_run", ["--model", "splade-tiny"]),
    ):
        done = spark_submit(job, "--lake", lake, *options)
        assert done.code == 0, done.err
        assert done.result["job"] == job
    assert done.result["measures"]["mrr@10"] == 1.0


def test_a_users_mistake_keeps_its_exit_code_under_spark_submit(spark_submit: Command) -> None:
    done = spark_submit("retrieve_run", "--lake", "nowhere", "--model", "splade-tiny")
    assert done.code == 3, done.err
    assert "there is no vectors table" in done.result["error"]


@pytest.mark.slow
def test_executors_get_the_code_from_the_zip(spark_submit: Command, spladelake: Command, tmp_path: Path) -> None:
    """Two executors of their own processes; they find the package in the zip, the model under the driver's path."""
    archive = tmp_path / "spladelake.zip"
    command = [sys.executable, "-m", "zipfile", "-c", str(archive), "lib/spladelake/"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    lake = str(tmp_path / "lake")
    assert spladelake("ingest_texts", "--lake", lake, "--source", str(write_fruit(tmp_path / "fruit"))).code == 0
    jars = spladelake("jars").out.strip()
    import pyspark

    options = (
        "--master", "local-cluster[2,1,1024]", "--py-files", str(archive), "--jars", jars,
        "--properties-file", str(REPOSITORY / "conf" / "cluster.conf"),
        "--conf", "spark.executor.memory=600m", "--conf", "spark.executor.memoryOverhead=384m",
        "--conf", "spark.executor.cores=1",
    )  # fmt: skip
    env = {"SPARK_HOME": str(Path(pyspark.__file__).parent), "SPARK_LOCAL_IP": "127.0.0.1", **os.environ}
    done = spark_submit("encode_texts", "--lake", lake, "--model", "splade-tiny", options=options, env=env)
    assert done.code == 0, done.err
    assert done.result["documents"]["rows"] == 5
