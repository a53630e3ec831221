"""The run log, the checks of a lake and its upkeep say what happened, and find what is wrong."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.cli import main
from spladelake.errors import DataError
from spladelake.spark.tables.every_schema import SCHEMAS
from spladelake.spark.tables.properties import LAYOUT_VERSION
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import VECTOR_FILES
from spladelake.spark.tables.split_files import ROUNDED_FILES, SPLIT_FILES, files_of
from spladelake.spark.upkeep.maintain import schema_name
from spladelake.spark.upkeep.verify import FindingsError
from support.collections import write_fruit, write_lines
from support.tables import table_rows


def test_every_run_has_its_row_also_when_it_failed_and_no_secret_is_in_it(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "Zq7-not-a-real-one")
    lake, folder = str(tmp_path / "lake"), tmp_path / "Zq7-not-a-real-one"
    source = write_lines(folder / "corpus.jsonl", [{"_id": "a", "text": "a private letter"}, {"text": "no id"}])
    ingest = ["ingest_texts", "--lake", lake, "--documents", str(source)]
    assert main(ingest) == 3
    assert main([*ingest, "--max-rejected", "0.5"]) == 0
    assert main([*ingest, "--max-rejected", "0.5"]) == 0
    rows = sorted(table_rows(f"{lake}/run_log"), key=lambda row: row["started"])
    assert [(row["status"], row["exit_code"]) for row in rows] == [("failed", 3), ("written", 0), ("skipped", 0)]
    assert [(row["rows"], row["rows_quarantined"]) for row in rows] == [(0, 0), (1, 1), (0, 0)]
    assert json.loads(rows[1]["outputs"])[f"{lake}/documents"] >= 0
    assert rows[0]["config_sha256"] != rows[1]["config_sha256"] == rows[2]["config_sha256"]
    for row in rows:
        assert "Zq7-not-a-real-one" not in str(row)
        assert "private letter" not in str(row)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lake_that_was_tampered_with_is_found_out_and_encoding_again_mends_it(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    run_job("ingest_texts", lake=lake, source=str(write_fruit(tmp_path / "fruit")))
    run_job("encode_texts", lake=lake, model="splade-tiny")
    run_job("retrieve_run", lake=lake, model="splade-tiny", k=3)
    assert run_job("verify_tables", lake=lake)["findings"] == []
    TableRef(path=f"{lake}/documents").delta(spark).update("doc_id = 'river'", {"text": "'changed'"})
    TableRef(path=f"{lake}/vectors/splade-tiny/documents").delta(spark).delete("id = 'bread'")
    TableRef(path=f"{lake}/runs").delta(spark).update("rank = 2", {"rank": "9", "doc_id": "'nowhere'"})
    with pytest.raises(DataError) as raised:
        run_job("verify_tables", lake=lake)
    assert raised.value.exit_code == 3
    said = str(raised.value)
    for finding in (
        "1 document is without a vector",
        "1 document is different from the encoded text",
        "the table 'documents' lacks 1 document of the runs",
        "with missing ranks",
    ):
        assert finding in said
    run_job("encode_texts", lake=lake, model="splade-tiny")
    run_job("retrieve_run", lake=lake, model="splade-tiny", k=3)
    done = run_job("maintain_tables", lake=lake)
    assert {Path(table).name for table in done["tables"]} == {
        "documents", "queries", "judgements", "runs", "vocabulary",
    }  # fmt: skip
    assert run_job("verify_tables", lake=lake)["tables"][f"{lake}/vectors/splade-tiny/documents"] == 5


def test_quarantine_is_shown_without_the_rows_and_retry_runs_their_job_again(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, bad = str(tmp_path / "lake"), {"text": "a private [red]letter[/red] \u001b[31m"}
    source = write_lines(tmp_path / "corpus.jsonl", [{"_id": "a", "text": "x"}, bad])
    assert main(["ingest_texts", "--lake", lake, "--documents", str(source), "--max-rejected", "1"]) == 0
    assert main(["quarantine", "show", "--lake", lake]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out.splitlines()[-1])["inputs"] == {f"documents: {source}": 1}
    assert '"_id" is missing' in " ".join(printed.err.split())
    assert "letter" not in printed.err + printed.out
    assert main(["quarantine", "show", "--lake", lake, "--raw"]) == 0
    assert "\u001b" not in capsys.readouterr().err
    write_lines(source, [{"_id": "a", "text": "x"}, {"_id": "b", "text": "mended"}])
    assert main(["quarantine", "retry", "--lake", lake]) == 0
    assert len(table_rows(f"{lake}/documents")) == 2
    assert len(table_rows(f"{lake}/quarantine")) == 0
    assert main(["quarantine", "retry", "--lake", lake, "--input", "documents: elsewhere"]) == 3


def test_clustered_tables_have_near_ids_in_one_file_and_the_rows_they_had(
    spark: SparkSession, run_job: Any, tmp_path: Path
) -> None:
    """Ids in turn over two files: afterwards half of the rows is in each, in the order of their ids."""
    lake, ids = str(tmp_path / "lake"), [f"d{number:03}" for number in range(100)]
    for start in (0, 1):
        source = write_lines(tmp_path / "corpus.jsonl", [{"_id": i, "text": f"text of {i}"} for i in ids[start::2]])
        run_job("ingest_texts", lake=f"{lake}{start}", documents=str(source))
    half = spark.read.format("delta").load(f"{lake}1/documents")
    half.coalesce(1).write.format("delta").mode("append").save(f"{lake}0/documents")
    table = spark.read.format("delta").load(f"{lake}0/documents")
    before = sorted(table.collect())
    spark.conf.set("spark.databricks.delta.optimize.maxFileSize", "500")
    try:
        run_job("maintain_tables", lake=f"{lake}0", cluster=True)
    finally:
        spark.conf.unset("spark.databricks.delta.optimize.maxFileSize")
    assert sorted(table.collect()) == before
    files = table.selectExpr("_metadata.file_name AS file", "doc_id").groupBy("file")
    spans = sorted((row["first"], row["last"]) for row in files.agg(
        F.min("doc_id").alias("first"), F.max("doc_id").alias("last")
    ).collect())  # fmt: skip
    assert len(spans) > 1
    assert all(one[1] < other[0] for one, other in itertools.pairwise(spans)), spans
    done = DeltaTable.forPath(spark, f"{lake}0/documents").history(1).first()
    assert json.loads(done["operationParameters"]["zOrderBy"]) == ["doc_id"]


@dataclass(frozen=True)
class Upkeep:
    """What maintain_tables did to a small lake with old files in two tables: tasks of each of its stages, and what came
    out of Scala's println."""

    lake: str
    tasks: list[int]
    printed: str
    old: list[Path]
    young: Path


@pytest.fixture(scope="module")
def upkeep(spark: SparkSession, run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> Upkeep:
    folder = tmp_path_factory.mktemp("upkeep")
    lake = str(folder / "lake")
    run_job("ingest_texts", lake=lake, source=str(write_fruit(folder / "fruit")))
    old = [Path(lake) / table / "left-behind.parquet" for table in ("documents", "queries")]
    young = Path(lake) / "judgements" / "left-behind.parquet"
    for file in (*old, young):
        file.write_bytes(b"of a writer that was killed")
    days_ago = time.time() - 60 * 24 * 3600
    for file in old:
        os.utime(file, (days_ago, days_ago))
    spark.sparkContext.setJobGroup("upkeep", "counted by the test")
    try:
        with printed_by_scala(spark) as printed:
            run_job("maintain_tables", lake=lake)
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    tracker = spark.sparkContext.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup("upkeep")]
    stages = [tracker.getStageInfo(stage) for job in jobs if job is not None for stage in job.stageIds]
    return Upkeep(lake, [stage.numTasks for stage in stages if stage is not None], printed(), old, young)


@contextmanager
def printed_by_scala(spark: SparkSession) -> Iterator[Callable[[], str]]:
    """Catch what Scala's println of this thread writes; the body gets a function that says it."""
    jvm: Any = spark.sparkContext._jvm
    console = getattr(getattr(jvm.scala, "Console$"), "MODULE$")
    caught, stdout = jvm.java.io.ByteArrayOutputStream(), console.out()
    console.setOutDirect(jvm.java.io.PrintStream(caught, True))
    try:
        yield lambda: str(caught.toString())
    finally:
        console.setOutDirect(stdout)


def test_upkeep_of_a_small_lake_takes_few_tasks(spark: SparkSession, upkeep: Upkeep) -> None:
    """VACUUM spreads the names of files over 10,000 tasks unless it is told otherwise."""
    assert len(upkeep.tasks) > 10
    assert max(upkeep.tasks) <= 4 * spark.sparkContext.defaultParallelism


def test_upkeep_deletes_files_that_are_older_than_the_retention_and_no_others(
    spark: SparkSession, upkeep: Upkeep
) -> None:
    """Also where VACUUM is left out, since all of a table's files are younger."""
    assert [file.exists() for file in upkeep.old] == [False, False]
    assert upkeep.young.exists()
    assert len(table_rows(f"{upkeep.lake}/documents")) == 5


def test_upkeep_prints_nothing_where_the_result_is_printed(spark: SparkSession, upkeep: Upkeep) -> None:
    """VACUUM says with Scala's println how much it deleted, and stdout has one line, the result."""
    assert upkeep.printed == ""
    with printed_by_scala(spark) as printed:
        spark.sql(f"VACUUM delta.`{upkeep.lake}/documents`").collect()
    assert printed().startswith("Deleted 0 files")


def test_job_names_are_those_of_the_files_in_jobs() -> None:
    from spladelake.config import JOBS

    folder = Path(__file__).resolve().parents[2] / "jobs"
    assert {"maintain_tables", "verify_tables"} <= set(JOBS) & {file.stem for file in folder.glob("*.py")}


def test_a_staging_table_is_one_until_it_has_the_name_of_the_vectors() -> None:
    properties = {"spladelake.table": "vectors", "spladelake.staged_for": "changed: /l/vectors/m/documents"}
    assert schema_name(TableRef(path="/l/vectors/m/documents_staged"), properties) == "staged"
    assert schema_name(TableRef(name="l.vectors_m_documents_staged"), properties) == "staged"
    assert schema_name(TableRef(path="/l/vectors/m/documents"), properties) == "vectors"


def test_files_are_written_again_in_the_form_that_compaction_gave_them() -> None:
    assert files_of({"spladelake.files": "split", "spladelake.compaction": "levels 255"}, {}) == SPLIT_FILES
    assert files_of({"spladelake.compaction": "alpha_mass 0.7, mantissa_bits 6"}, VECTOR_FILES) == ROUNDED_FILES
    assert files_of({"spladelake.compaction": "none: queries are as they were"}, VECTOR_FILES) == VECTOR_FILES
    assert files_of({}, VECTOR_FILES) == VECTOR_FILES


def test_verification_names_each_constraint_of_each_table_that_a_row_breaks(
    spark: SparkSession, run_job: Callable[..., Any], tmp_path: Path
) -> None:
    """A row of nulls breaks every constraint; the tables hold one each, as another engine may have written it."""
    for number, schema in enumerate(SCHEMAS.values()):
        rows = spark.createDataFrame([tuple([None] * len(schema.columns))], schema.struct)
        properties = {"spladelake.table": schema.name, "spladelake.layout": LAYOUT_VERSION}
        writer = rows.coalesce(1).writeTo(f"delta.`{tmp_path}/lake/t{number}`").using("delta")
        for key, value in properties.items():
            writer = writer.tableProperty(key, value)
        writer.create()
    with pytest.raises(FindingsError) as raised:
        run_job("verify_tables", lake=str(tmp_path / "lake"))
    for number, schema in enumerate(SCHEMAS.values()):
        found = [text for text in raised.value.findings if f"/t{number}:" in text]
        for name in schema.constraints:
            broken = [text for text in found if f"the constraint {name} (" in text]
            assert [text for text in broken if text.endswith(" is broken in 1 row")], (schema.name, name)
            assert any(f"the constraint {name} is missing" in text for text in found), (schema.name, name)
