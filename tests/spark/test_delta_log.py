"""What is asked of a table's log is what DESCRIBE DETAIL and DESCRIBE HISTORY answer, in whatever way it is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spladelake.errors import UsageError
from spladelake.spark.tables.delta import public
from spladelake.spark.tables.delta_log import (
    all_properties,
    newest_commits,
    newest_version,
    property_in_memory,
    reader_version,
    size_in_bytes,
)
from spladelake.spark.tables.lineage import Lineage, newest_lineage
from spladelake.spark.tables.refs import TableRef
from support.cases import mostly_slow

pytestmark = pytest.mark.every_spark
FIRST, SECOND = (Lineage("encode_texts", {"documents": ["d", version]}, {}) for version in (1, 2))


@pytest.fixture(params=["classes", "described", pytest.param("public", marks=pytest.mark.slow)], autouse=True)
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """By the classes of Delta's log, or by public interfaces, with deltalake or as for folders that it cannot read."""
    monkeypatch.setenv("SPLADELAKE_DELTA", "classes" if request.param == "classes" else "public")
    if request.param == "described":
        monkeypatch.setattr(public, "_local", lambda session, ref: None)
    return str(request.param)


@pytest.fixture(params=["path", "name"])
def ref(spark: SparkSession, tmp_path: Path, request: Any) -> Iterator[TableRef]:
    """An empty table with properties, in a folder or in the catalog."""
    made = TableRef(path=str(tmp_path / "a `table`")) if request.param == "path" else TableRef(name="default.log_asked")
    spark.sql(f"CREATE TABLE {made.identifier} (id BIGINT) USING delta TBLPROPERTIES ('a.b' = 'it''s', 'c' = '')")
    yield made
    if made.name is not None:
        spark.sql(f"DROP TABLE {made.identifier}")


def write(spark: SparkSession, ref: TableRef, lineage: Lineage | None, *, mode: str = "overwrite") -> None:
    writer = spark.range(3).write.format("delta").mode(mode)
    if lineage is not None:
        writer = writer.option("userMetadata", lineage.as_json())
    if ref.path is not None:
        writer.save(ref.path)
    else:
        writer.saveAsTable(ref.identifier)


def housekeeping(spark: SparkSession, ref: TableRef, times: int) -> None:
    for number in range(times):
        spark.sql(f"ALTER TABLE {ref.identifier} SET TBLPROPERTIES ('n' = '{number}')")


def test_version_properties_protocol_size_and_commits_are_those_that_describe_shows(
    spark: SparkSession, ref: TableRef
) -> None:
    for change in (
        lambda: write(spark, ref, FIRST),
        lambda: housekeeping(spark, ref, 2),
        lambda: ref.delta(spark).delete("id = 1"),
        lambda: spark.sql(f"ALTER TABLE {ref.identifier} ADD CONSTRAINT positive CHECK (id >= 0)"),
        lambda: spark.sql(f"ALTER TABLE {ref.identifier} UNSET TBLPROPERTIES ('a.b')"),
        lambda: spark.sql(f"OPTIMIZE {ref.identifier}"),
        lambda: write(spark, ref, None, mode="append"),
    ):
        change()
        detail = ref.delta(spark).detail().first()
        history = ref.delta(spark).history().orderBy("version", ascending=False).collect()
        assert detail is not None
        assert newest_version(spark, ref) == history[0]["version"]
        assert all_properties(spark, ref) == detail["properties"]
        assert reader_version(spark, ref) == detail["minReaderVersion"]
        assert size_in_bytes(spark, ref) == detail["sizeInBytes"]
        wanted = [(row["version"], row["operation"], row["userMetadata"]) for row in history]
        assert newest_commits(spark, ref, 100) == wanted
        assert newest_commits(spark, ref, 2) == wanted[:2]


def test_a_commit_of_another_engine_is_seen_at_once(spark: SparkSession, tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    ref = TableRef(path=str(tmp_path / "shared"))
    write(spark, ref, FIRST)
    assert (newest_version(spark, ref), newest_lineage(spark, ref)) == (0, found_of(FIRST))
    deltalake.write_deltalake(ref.path, pa.table({"id": pa.array([7], pa.int64())}), mode="append")
    assert newest_version(spark, ref) == 1
    assert newest_lineage(spark, ref) is None
    deltalake.DeltaTable(ref.path).alter.set_table_properties({"delta.logRetentionDuration": "interval 9 days"})
    assert all_properties(spark, ref)["delta.logRetentionDuration"] == "interval 9 days"


def test_a_table_that_was_made_anew_is_not_taken_for_the_old_one(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef(path=str(tmp_path / "table"))
    for lineage, text in ((FIRST, "first"), (SECOND, "second one")):
        shutil.rmtree(tmp_path / "table", ignore_errors=True)
        write(spark, ref, lineage)
        spark.sql(f"ALTER TABLE {ref.identifier} SET TBLPROPERTIES ('made' = '{text}')")
        assert all_properties(spark, ref)["made"] == text
        assert property_in_memory(spark, ref, "made") == text
        assert newest_lineage(spark, ref) == found_of(lineage)
        assert newest_version(spark, ref) == 1


def test_an_unknown_way_is_refused(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLADELAKE_DELTA", "private")
    with pytest.raises(UsageError, match="SPLADELAKE_DELTA: the value is 'private'; wanted classes or public"):
        newest_version(spark, TableRef(path=str(tmp_path / "table")))


def found_of(lineage: Lineage) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lineage.as_json())
    return found


@pytest.mark.parametrize("commits", mostly_slow([0, 6, 7, 8, 25], 0, 2))
def test_the_lineage_is_found_behind_any_number_of_commits_that_touch_no_row(
    spark: SparkSession, tmp_path: Path, commits: int
) -> None:
    ref = TableRef(path=str(tmp_path / "table"))
    write(spark, ref, FIRST)
    write(spark, ref, SECOND)
    housekeeping(spark, ref, commits)
    assert newest_lineage(spark, ref) == found_of(SECOND)
    write(spark, ref, None, mode="append")
    housekeeping(spark, ref, commits)
    assert newest_lineage(spark, ref) is None


@pytest.mark.slow
def test_the_lineage_of_each_scope_is_found_however_many_came_after_it(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef(path=str(tmp_path / "runs"))
    scopes = [Lineage("retrieve_run", {}, {}, scope=f"run {number}") for number in range(12)]
    for lineage in scopes:
        write(spark, ref, lineage)
    for lineage in scopes:
        assert newest_lineage(spark, ref, scope=lineage.scope) == found_of(lineage)
    assert newest_lineage(spark, ref, scope="another") is None


def test_a_log_whose_old_commits_are_gone_is_read_as_far_as_it_goes(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef(path=str(tmp_path / "table"))
    write(spark, ref, FIRST)
    housekeeping(spark, ref, 11)  # the tenth makes a checkpoint
    log = tmp_path / "table" / "_delta_log"
    for version in range(10):
        (log / f"{version:020}.json").unlink()
    assert [commit.version for commit in newest_commits(spark, ref, 8)] == [11, 10]
    assert newest_lineage(spark, ref) is None
    write(spark, ref, SECOND)
    assert newest_lineage(spark, ref) == found_of(SECOND)
