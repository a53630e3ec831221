"""Tables are their own documentation, and those of an earlier release become what this one writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spladelake.errors import DataError
from spladelake.spark.tables.create import ensure_table
from spladelake.spark.tables.every_schema import SCHEMAS
from spladelake.spark.tables.properties import LAYOUT_VERSION, table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import QUARANTINE, RUNS, VECTORS
from spladelake.spark.tables.sql_text import sql_string

ALL = list(SCHEMAS.values())


def described(spark: SparkSession, ref: TableRef) -> dict[str, tuple[str, str | None]]:
    rows = spark.sql(f"DESCRIBE {ref.identifier}").collect()
    return {row["col_name"]: (row["data_type"], row["comment"]) for row in rows if not row["col_name"].startswith("#")}


@pytest.mark.parametrize("schema", ALL, ids=lambda schema: schema.name.replace("/", "-"))
def test_every_table_and_column_says_what_it_is(schema: TableSchema) -> None:
    assert schema.comment.endswith(".")
    for column in schema.columns:
        assert column.comment.endswith("."), column.name
        assert column.comment != column.name


def test_describe_reads_as_the_documentation(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef(path=str(tmp_path / "vectors"))
    ensure_table(spark, ref, VECTORS)
    assert described(spark, ref) == {c.name: (c.type, c.comment) for c in VECTORS.columns}
    detail = ref.delta(spark).detail().first()
    assert detail is not None
    assert detail["description"] == VECTORS.comment
    assert detail["minReaderVersion"] == 1
    assert table_properties(spark, ref)["spladelake.layout"] == LAYOUT_VERSION


def test_a_table_of_the_first_layout_gets_columns_comments_and_constraints_and_keeps_its_rows(
    spark: SparkSession, tmp_path: Path
) -> None:
    old = TableRef(path=str(tmp_path / "quarantine"))
    spark.sql(
        f"CREATE TABLE {old.identifier} (source STRING, line BIGINT, reason STRING COMMENT 'Why.', raw BINARY) "
        "USING delta TBLPROPERTIES ('spladelake.layout' = '1', 'spladelake.table' = 'quarantine')"
    )
    spark.sql(f"INSERT INTO {old.identifier} VALUES ('f', 1, 'because', X'00')")
    ensure_table(spark, old, QUARANTINE)
    assert described(spark, old) == {c.name: (c.type, c.comment) for c in QUARANTINE.columns}
    assert [tuple(row) for row in old.read(spark).collect()] == [("f", 1, "because", bytearray(b"\0"), None)]
    runs = TableRef(path=str(tmp_path / "runs"))
    columns = ", ".join(f"`{c.name}` {c.type}" for c in RUNS.columns)
    spark.sql(f"CREATE TABLE {runs.identifier} ({columns}) USING delta TBLPROPERTIES ('spladelake.layout' = '1')")
    ensure_table(spark, runs, RUNS)
    properties = table_properties(spark, runs)
    assert properties["spladelake.layout"] == LAYOUT_VERSION
    assert properties["delta.constraints.rank_from_one"] == "rank >= 1"
    detail = runs.delta(spark).detail().first()
    assert detail is not None
    assert detail["description"] == RUNS.comment
    version = runs.version(spark)
    ensure_table(spark, runs, RUNS)
    assert runs.version(spark) == version


# As the first release wrote them: the same said in another way.
FIRST_CONSTRAINTS = {
    "id_present": "id IS NOT NULL",
    "same_length": "size(indices) = size(`values`)",
    "weights_positive": "forall(`values`, v -> v IS NOT NULL AND v > 0 AND NOT isnan(v) AND v < float('Infinity'))",
    "terms_valid": "forall(indices, i -> i IS NOT NULL AND i >= 0)",
    "terms_ascend": "indices = array_distinct(array_sort(indices))",
    "model_present": "model_id IS NOT NULL",
}


def test_vectors_of_the_first_layout_get_the_constraints_that_checks_of_vectors_trust(
    spark: SparkSession, tmp_path: Path
) -> None:
    ref = TableRef(path=str(tmp_path / "vectors"))
    columns = ", ".join(f"`{c.name}` {c.type}" for c in VECTORS.columns)
    held = {f"delta.constraints.{name}": condition for name, condition in FIRST_CONSTRAINTS.items()}
    literal = ", ".join(f"'{key}' = {sql_string(value)}" for key, value in [*held.items(), ("spladelake.layout", "1")])
    spark.sql(f"CREATE TABLE {ref.identifier} ({columns}) USING delta TBLPROPERTIES ({literal})")
    spark.sql(f"INSERT INTO {ref.identifier} VALUES ('a', array(1), array(1F), 1, false, null, 'ok', 'm')")
    ensure_table(spark, ref, VECTORS)
    found = table_properties(spark, ref)
    held = {name: found[f"delta.constraints.{name}"].replace(" ", "") for name in VECTORS.constraints}
    assert held == {name: condition.replace(" ", "") for name, condition in VECTORS.constraints.items()}
    assert found["delta.enableChangeDataFeed"] == "true"
    assert [row["id"] for row in ref.read(spark).collect()] == ["a"]
    with pytest.raises(Exception, match="weights_positive"):
        spark.sql(f"INSERT INTO {ref.identifier} VALUES ('b', array(1), array(0F), 1, false, null, 'ok', 'm')")


def test_a_table_of_a_later_release_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef(path=str(tmp_path / "runs"))
    columns = ", ".join(f"`{c.name}` {c.type}" for c in RUNS.columns)
    spark.sql(f"CREATE TABLE {ref.identifier} ({columns}) USING delta TBLPROPERTIES ('spladelake.layout' = '99')")
    with pytest.raises(DataError, match="the table has layout version 99"):
        ensure_table(spark, ref, RUNS)
