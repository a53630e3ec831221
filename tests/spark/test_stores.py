"""Sessions that do not fit and stores that do not answer: one message each, soon, and nothing is written."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spladelake.cli import main
from spladelake.commands import doctor
from spladelake.config.job import Job
from spladelake.config.jobs import JOBS
from spladelake.errors import ConflictError, MachineError, UsageError
from spladelake.spark.session import delta_classes, stores
from spladelake.spark.session.connect import check_job, refuse_connect
from spladelake.spark.session.delta_classes import check_running, jars_of, needs_delta
from spladelake.spark.session.start import spark_session
from spladelake.spark.session.store_trial import trials
from spladelake.spark.session.stores import check_store, check_stores, store_error
from spladelake.spark.tables.locks import exclusive, lock_place
from support.collections import write_fruit

SECONDS = 20


@pytest.fixture
def silent() -> Iterator[int]:
    """A port of 127.0.0.1 that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("lake", "found"),
    [
        ("hdfs://127.0.0.1:CLOSED/lake", "the store cannot be reached"),
        ("hdfs://no-such-host.invalid/lake", "the store cannot be reached"),
        ("s3a://bucket/lake", "Spark has no client for this store"),
        ("gs://bucket/lake", "Spark has no client for this store"),
        ("abfss://files@account.dfs.core.windows.net/lake", "Spark has no client for this store"),
    ],
)
def test_a_store_that_cannot_be_used_ends_a_job_soon_with_one_message(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], lake: str, found: str
) -> None:
    lake = lake.replace("CLOSED", str(closed_port()))
    started = time.monotonic()
    code = main(["ingest_texts", "--lake", lake, "--source", str(write_fruit(tmp_path / "fruit"))])
    assert time.monotonic() - started < SECONDS
    out, err = capsys.readouterr()
    assert code == 5, err
    assert json.loads(out.splitlines()[-1])["exit_code"] == 5
    assert (lake in err, found in err, "Traceback" in err) == (True, True, False)
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1


def test_a_store_that_never_answers_is_given_up(
    spark: SparkSession, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "MOST_SECONDS", 2.0)
    started = time.monotonic()
    with pytest.raises(MachineError, match=r"the store (did not answer within 2 s|cannot be reached)"):
        check_store(spark, f"hdfs://127.0.0.1:{silent}/lake")
    assert time.monotonic() - started < SECONDS


def test_each_store_among_the_options_is_asked_once_and_local_paths_are_not(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(stores, "check_store", lambda session, place: asked.append(place))
    check_stores(
        spark,
        {
            "lake": "s3a://one/lake", "documents": "s3a://one/texts/*.jsonl", "source": str(tmp_path), "k": 10,
            "collections": {"a": "gs://two/lake", "b": "schema:main.b"}, "queries": "file:///tmp/queries.jsonl",
            "runs": ["https://example.org/run", "hdfs://three:8020/runs/*.trec"], "model": None,
        },
    )  # fmt: skip
    assert sorted(asked) == ["gs://two/lake", "hdfs://three:8020/", "s3a://one/"]


# First lines as the clients of Hadoop 3.4 and 3.5 write them.
@pytest.mark.parametrize(
    ("text", "found", "fix"),
    [
        ("org.apache.hadoop.fs.s3a.auth.NoAuthWithAWSException: No AWS Credentials provided by "
         "DefaultCredentialsProvider", "there are no credentials", "role or keys"),
        ("java.nio.file.AccessDeniedException: s3a://b/lake: getFileStatus on s3a://b/lake: "
         "S3Exception: (Service: S3, Status Code: 403, Request ID: X):403 Forbidden", "refuses access", "role or keys"),
        ("org.apache.hadoop.fs.s3a.AWSRedirectException: Received permanent redirect response to region eu-west-1: "
         "S3Exception: null (Service: S3, Status Code: 301)", "in another region", "endpoint.region"),
        ("org.apache.hadoop.fs.s3a.UnknownStoreException: `s3a://nowhere/lake': The bucket does not exist",
         "no such bucket", "create the bucket"),
        ("org.apache.hadoop.net.ConnectTimeoutException: getFileStatus: SdkClientException: Unable to execute HTTP "
         "request: Connect to 10.0.0.1 failed: Connect timed out", "cannot be reached", "endpoint"),
        ("java.net.UnknownHostException: getFileStatus on s3a://b/: UnknownHostException", "cannot be reached",
         "host name"),
    ],
)  # fmt: skip
def test_what_a_client_of_s3_says_becomes_one_message(text: str, found: str, fix: str) -> None:
    known = store_error(text, "s3a://b/lake")
    assert known is not None
    assert (known.exit_code, known.place) == (5, "s3a://b/lake")
    assert found in known.found
    assert fix in known.fix


def test_spark_connect_is_refused_before_anything_is_sent(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_connect({})
    monkeypatch.setenv("SPARK_REMOTE", "sc://connect.example:15002/;token=secret")
    with pytest.raises(UsageError) as refused:
        spark_session("a job")
    assert str(refused.value).startswith(
        "SPARK_REMOTE: the variable names the server sc://connect.example:15002; wanted"
    )
    assert "secret" not in str(refused.value)
    assert "spladelake.functions" in refused.value.fix
    monkeypatch.delenv("SPARK_REMOTE")
    with pytest.raises(UsageError, match=r"spark\.remote: the setting names the server local\[2\]"):
        refuse_connect({"spark.remote": "local[2]"})


@pytest.mark.parametrize("job", JOBS.values(), ids=lambda job: job.name)
def test_a_job_runs_on_spark_connect_or_names_the_jobs_that_do(job: Job) -> None:
    settings = {"spark.remote": "sc://connect.example:15002/;token=secret"}
    options = job.options.model_construct(lake="schema:main.shop")
    if job.on_connect:
        check_job(job, options, settings)
        with pytest.raises(UsageError, match=r"--lake shop: the lake is a folder.*sc://connect.example:15002; wanted"):
            check_job(job, job.options.model_construct(lake="shop"), settings)
    else:
        with pytest.raises(UsageError, match=rf"because {job.name} does not run .* evaluate_run, compare_runs.* and"):
            check_job(job, options, settings)
    check_job(job, options, {})


def test_the_callers_jars_keep_delta_and_a_delta_of_theirs_is_taken(spark: SparkSession) -> None:
    ours = jars_of({}).split(",")
    assert jars_of({"spark.jars": "/a/reader.jar"}).split(",") == ["/a/reader.jar", *ours]
    assert jars_of({"spark.jars.packages": "io.delta:delta-spark_2.13:4.9.0"}) == ""
    for given in (
        {"spark.jars": "/a/delta-spark_2.12-3.3.2.jar"},
        {"spark.jars.packages": "io.delta:delta-core_2.12:2.4.0"},
    ):
        with pytest.raises(MachineError, match=r"built for Scala 2\.12"):
            jars_of(given)


def test_a_platforms_own_delta_is_recognised(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    jvm, conf = spark._jvm, spark.sparkContext.getConf()
    check_running(jvm)
    assert not needs_delta(jvm, conf)
    # As if the classes had other names than Delta's own.
    monkeypatch.setattr(delta_classes, "EXTENSION", "com.platform.DeltaExtension")
    monkeypatch.setattr(delta_classes, "_DELTA_TABLE", "com.platform.DeltaTable")
    assert not needs_delta(jvm, conf), "the session is configured with a class that is there"
    other = conf.set("spark.sql.extensions", "com.platform.Missing").set("spark.sql.catalog.spark_catalog", "")
    assert needs_delta(jvm, other)
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    assert not needs_delta(jvm, other)


def test_the_trials_of_a_store_write_list_and_refuse_to_write_twice_and_leave_nothing(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    lake = f"file://{tmp_path}"
    assert [(name, trial()) for name, trial in trials(spark, lake)] == [
        ("store: write", f"wrote, read and deleted an object in {lake}"),
        ("store: listing", f"1 entries in {lake}"),
        ("store: conditional write", "an object that is there already is not written again, as Delta's commits need"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_doctor_tries_a_store_only_if_it_answers_and_one_line_says_which_trial_failed(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(doctor.store_lines("s3a://bucket/lake")) == [False]
    assert capsys.readouterr().out.startswith("FIX  store: s3a://bucket/lake: Spark has no client for this store")
    (tmp_path / "no-folder").write_text("", encoding="utf-8")
    assert list(doctor.store_lines(f"file://{tmp_path}")) == [True] * 4
    assert list(doctor.store_lines(f"file://{tmp_path}/no-folder/lake"))[1:] == [False, True, False]
    out = capsys.readouterr().out
    assert [line.split(": ")[:2] for line in out.splitlines() if line.startswith("FIX")] == [
        ["FIX  store", "write"], ["FIX  store", "conditional write"]
    ]  # fmt: skip


def test_a_table_of_a_catalog_is_locked_in_the_folder_of_its_schema(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark.sql(f"CREATE SCHEMA locked LOCATION '{tmp_path}'")
    try:
        assert lock_place("locked.documents") == f"{tmp_path}/documents"
        assert lock_place("spark_catalog.locked.documents") == f"{tmp_path}/documents"
        assert lock_place("absent.documents") == "absent.documents"
        assert lock_place(f"{tmp_path}/a.b") == f"{tmp_path}/a.b"
        monkeypatch.setenv("SPLADELAKE_LOCK_SECONDS", "0.2")
        # Another thread that names the folder: the file keeps it out, as it does another process.
        refused = pytest.raises(ConflictError, match="another job is still writing")
        with ThreadPoolExecutor(1) as pool, exclusive("locked.documents"), refused:
            pool.submit(exclusive(f"{tmp_path}/documents").__enter__).result()
    finally:
        spark.sql("DROP SCHEMA locked CASCADE")
