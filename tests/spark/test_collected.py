"""A table that comes to the driver has the rows, at the version, that Spark reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.spark.tables.delta import small_tables as module
from spladelake.spark.tables.driver_rows import collected, frame_of, row_count
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import RUNS, VECTORS
from spladelake.spark.tables.write import replace_rows
from support.cases import mostly_slow

LINEAGE = Lineage("a_test", {}, {})
COLUMNS = ["query_id", "doc_id", "rank", "score"]


def ranking(run_id: str, documents: int) -> list[dict[str, Any]]:
    return [
        {"run_id": run_id, "query_id": "q", "doc_id": f"d{n}", "rank": n + 1, "score": 1 / (n + 1)}
        for n in range(documents)
    ]


@pytest.fixture
def refuse_deltalake(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("deltalake was asked")

    monkeypatch.setattr(module, "folder_table", refuse)


@pytest.mark.parametrize("folder", mostly_slow(["plain", "with space", "per%20cent", "`tick`", "é#?&=+", "[a]{b}*"], 4))
def test_rows_are_those_of_the_version_and_of_the_wanted_values_whatever_the_folder_is_called(
    spark: SparkSession, tmp_path: Path, folder: str
) -> None:
    ref = TableRef(path=str(tmp_path / folder / "runs"))
    replace_rows(spark, ref, RUNS, frame_of(spark, ranking("it's", 3), RUNS.struct), lineage=LINEAGE)
    both = frame_of(spark, ranking("it's", 2) + ranking("b", 1), RUNS.struct)
    replace_rows(spark, ref, RUNS, both, lineage=LINEAGE)
    for version, rows in ((0, 3), (1, 2)):
        found = collected(spark, ref, COLUMNS, version=version, most_bytes=10**6, equals={"run_id": "it's"})
        assert found is not None
        wanted = ref.scan(spark, version=version).where('run_id = "it\'s"').select(*COLUMNS).collect()
        assert sorted(tuple(row.values()) for row in found.to_pylist()) == sorted(map(tuple, wanted))
        assert found.num_rows == rows
    assert row_count(spark, ref) == 3
    assert collected(spark, ref, COLUMNS, version=1, most_bytes=10) is None


def test_a_table_with_deleted_rows_in_its_files_is_read_by_spark(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef(path=str(tmp_path / "runs"))
    spark.range(100).selectExpr("CAST(id AS STRING) AS doc_id").coalesce(1).write.format("delta").option(
        "delta.enableDeletionVectors", "true"
    ).save(str(ref))
    ref.delta(spark).delete("doc_id < '5'")
    version = ref.version(spark)
    found = collected(spark, ref, ["doc_id"], version=version, most_bytes=10**6)
    assert found is not None
    assert sorted(found.column("doc_id").to_pylist()) == sorted(str(n) for n in range(100) if str(n) >= "5")
    assert row_count(spark, ref) == found.num_rows


def test_a_table_that_is_no_folder_of_this_machine_is_read_by_spark(
    spark: SparkSession, refuse_deltalake: None
) -> None:
    spark.sql("CREATE SCHEMA IF NOT EXISTS in_a_catalog")
    ref = TableRef(name="in_a_catalog.runs")
    try:
        replace_rows(spark, ref, RUNS, frame_of(spark, ranking("r", 4), RUNS.struct), lineage=LINEAGE)
        version = ref.version(spark)
        found = collected(spark, ref, COLUMNS, version=version, most_bytes=10**6, equals={"run_id": "r"})
        assert found is not None
        assert found.num_rows == 4 == row_count(spark, ref)
        assert collected(spark, ref, COLUMNS, version=version, most_bytes=10) is None
    finally:
        spark.sql("DROP SCHEMA in_a_catalog CASCADE")


def test_lists_and_nulls_come_as_they_are(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef(path=str(tmp_path / "vectors"))
    vectors = [
        {"id": "a", "indices": [1, 7], "values": [0.5, 0.1], "model_id": "m"},
        {"id": "b", "indices": [], "values": [], "model_id": "m"},
    ]
    replace_rows(spark, ref, VECTORS, frame_of(spark, vectors, VECTORS.struct), lineage=LINEAGE)
    found = collected(spark, ref, ["id", "indices", "values", "text_sha256"], version=0, most_bytes=10**6)
    assert found is not None
    rows = {row["id"]: row for row in found.to_pylist()}
    assert rows["a"]["indices"] == [1, 7]
    assert rows["a"]["values"] == pytest.approx([0.5, 0.1], abs=1e-8)
    assert (rows["b"]["values"], rows["b"]["text_sha256"]) == ([], None)
