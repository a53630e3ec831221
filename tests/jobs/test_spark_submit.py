"""Every job of jobs/ runs under spark-submit with the options of the command line, alone and on a small cluster."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pyspark
import pytest

from support.collections import write_fruit

REPOSITORY = Path(__file__).resolve().parents[2]
Command = Any


@pytest.fixture
def bare_python(tmp_path: Path) -> str:
    """An interpreter with every package of this one but spladelake, as the nodes of a cluster have it."""
    home = tmp_path / "bare"
    venv.create(home)
    (site,) = home.glob("lib/python*/site-packages")
    # Folders named in a .pth file become part of the path; .pth files in them, those of editable installs, do nothing.
    (site / "packages.pth").write_text("\n".join(sysconfig.get_paths()[key] for key in ("purelib", "platlib")))
    python = str(home / "bin" / "python")
    code = "from importlib.util import find_spec; print(bool(find_spec('torch')), bool(find_spec('spladelake')))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, env={}, check=True)
    assert found.stdout == "True False\n"
    return python


@pytest.mark.slow
def test_every_job_runs_under_spark_submit_and_executors_get_the_code_from_the_zip(
    spark_submit: Command, spladelake: Command, bare_python: str, tmp_path: Path
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
    # The driver knows spladelake, the executors only what --py-files brings them.
    workers = {"PYSPARK_PYTHON": bare_python, "PYSPARK_DRIVER_PYTHON": sys.executable, "PYTHONPATH": ""}
    home = {"SPARK_HOME": str(Path(pyspark.__file__).parent), "SPARK_LOCAL_IP": "127.0.0.1"}
    results = {}
    for job, given, options in (
        ("ingest_texts", ("--source", str(write_fruit(tmp_path / "fruit"))), ()),
        ("encode_texts", tiny, cluster),
        ("retrieve_run", (*tiny, "--k", "5"), ()),
        ("evaluate_run", tiny, ()),
    ):
        env = {**home, **(workers if options else {})}
        done = spark_submit(job, "--lake", lake, *given, options=options, env=env)
        assert done.code == 0, done.err
        results[job] = done.result
    assert {job: result["job"] for job, result in results.items()} == {job: job for job in results}
    assert results["encode_texts"]["documents"]["rows"] == 5
    assert results["evaluate_run"]["measures"]["mrr@10"] == 1.0


def test_a_users_mistake_keeps_its_exit_code_under_spark_submit(spark_submit: Command) -> None:
    done = spark_submit("retrieve_run", "--lake", "nowhere", "--k", "0")
    assert done.code == 2, done.err
    assert "retrieve_run: k" in done.result["error"]


SHOW_METRICS = """
from urllib.request import urlopen
from pyspark.sql import SparkSession
session = SparkSession.builder.getOrCreate()
session.range(10).count()
for page in ("prometheus", "executors/prometheus"):
    print(urlopen(f"{session.sparkContext.uiWebUrl}/metrics/{page}").read().decode())
"""


@pytest.mark.slow
def test_the_samples_for_metrics_and_logs_do_what_their_comments_say(spark_submit: Command, tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(SHOW_METRICS, encoding="utf-8")
    conf = REPOSITORY / "conf"
    options = (
        "--conf", f"spark.metrics.conf={conf / 'metrics.properties'}",
        "--conf", f"spark.driver.extraJavaOptions=-Dlog4j2.configurationFile={conf / 'log4j2.properties'}",
        "--conf", "spark.log.level=INFO", "--conf", "spark.driver.host=127.0.0.1", "--master", "local[1]",
    )  # fmt: skip
    done = spark_submit(str(tmp_path / "show"), options=options, env={"SPARK_LOCAL_IP": "127.0.0.1"})
    assert done.code == 0, done.err
    assert "driver_jvm_heap_used" in done.out
    assert "metrics_executor_completedTasks_total" in done.out
    assert re.search(r"^\d{4}-\d\d-\d\dT[\d:.]+\S+ (INFO|WARN) \[\w", done.err, re.MULTILINE), done.err[:2000]
