"""One local session for all Spark tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.config import JOBS, checked
from spladelake.spark import jobs
from spladelake.spark.session import quick_settings as quick
from spladelake.spark.session import small_plans
from spladelake.spark.session.class_archive import archive_options
from spladelake.spark.session.start import java_version, spark_session
from spladelake.spark.session.worker_daemon import COMMON, MODELS, daemon_settings
from support.collections import write_fruit

# small: plans as jobs on little data have them, for what tests ask of tables too. generated: as on large data.
PLANS = os.environ.get("SPLADELAKE_TEST_PLANS", "small")


def java_options_of_tests() -> str:
    """Those of quick sessions, since each test runs other code; with room for all that the first compiler makes."""
    java, _ = java_version()
    return f"{quick.java_options({})} -XX:ReservedCodeCacheSize=512m {archive_options(java)}"


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """local[2] with Delta."""
    folder = tmp_path_factory.mktemp("spark")
    if PLANS != "small":
        small_plans.SETTINGS = {}
    session = spark_session(
        "spladelake tests",
        settings={
            "spark.master": "local[2]",
            "spark.driver.memory": "3g",
            "spark.driver.defaultJavaOptions": java_options_of_tests(),
            **daemon_settings((*COMMON, *MODELS)),
            **(quick.SETTINGS if PLANS == "small" else {"spark.sql.shuffle.partitions": "2"}),
            # Over so many tasks VACUUM spreads the names of a table's files, by default 10,000.
            "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
            "spark.local.dir": str(folder / "local"),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
        },
    )
    yield session
    session.stop()


@pytest.fixture(autouse=True, scope="module")
def nothing_stays_on_disk() -> Iterator[None]:
    """Jobs free what they kept on disk, also those that failed; Delta keeps its logs in memory."""
    yield
    session = SparkSession.getActiveSession()
    if session is not None:
        kept = session.sparkContext._jsc.getPersistentRDDs().values()
        assert [rdd.toString() for rdd in kept if not rdd.getStorageLevel().useMemory()] == []


class Jobs:
    """Runs jobs by name with their options as keywords, the way a pipeline file gives them."""

    def __init__(self, session: SparkSession) -> None:
        self.session = session

    def __call__(self, job: str, **options: Any) -> dict[str, Any]:
        return jobs.run_job(self.session, job, checked(JOBS[job].options, options, place=job))


@pytest.fixture(scope="session")
def run_job(spark: SparkSession) -> Jobs:
    return Jobs(spark)


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


@pytest.fixture(scope="session")
def fruit_once(run_job: Jobs, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five documents and three queries, ingested and encoded with splade-tiny; only to be copied."""
    folder = tmp_path_factory.mktemp("fruit")
    root = str(folder / "lake")
    run_job("ingest_texts", lake=root, source=str(write_fruit(folder / "source")))
    run_job("encode_texts", lake=root, model="splade-tiny")
    return root


@pytest.fixture(scope="module")
def fruit_lake(fruit_once: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy for the tests of one module: what one of them writes, the later ones find there."""
    return shutil.copytree(fruit_once, str(tmp_path_factory.mktemp("fruit") / "lake"))


@pytest.fixture
def own_fruit_lake(fruit_once: str, lake: str) -> str:
    """A copy for one test."""
    return shutil.copytree(fruit_once, lake)
