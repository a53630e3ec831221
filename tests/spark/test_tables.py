"""A new table appears in one commit, whole or not at all, and nothing that is not ours is touched for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from spladelake.errors import DataError
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.spark.tables.lineage import Lineage, newest_lineage
from spladelake.spark.tables.properties import LAYOUT_VERSION, table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import DOCUMENTS
from spladelake.spark.tables.write import replace_rows

LINEAGE = Lineage("a_test", {"rows": 1}, {})


@pytest.fixture
def ref(tmp_path: Path) -> TableRef:
    return TableRef(path=str(tmp_path / "a `lake`" / "documents"))


@pytest.fixture
def rows(spark: SparkSession) -> DataFrame:
    return frame_of(spark, [{"doc_id": "a", "text": "apple"}, {"doc_id": "b"}], DOCUMENTS.struct)


def held(spark: SparkSession, ref: TableRef) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in ref.read(spark).collect())


def test_one_commit_makes_a_table_with_comments_constraints_properties_lineage_and_rows(
    spark: SparkSession, ref: TableRef, rows: DataFrame
) -> None:
    assert replace_rows(spark, ref, DOCUMENTS, rows, lineage=LINEAGE, properties={"source": "here"}) == 0
    assert held(spark, ref) == [("a", None, "apple"), ("b", None, None)]
    found = table_properties(spark, ref)
    wanted = {"spladelake.layout": LAYOUT_VERSION, "spladelake.table": "documents", "spladelake.source": "here"}
    assert wanted.items() <= found.items()
    assert found["delta.constraints.doc_id_present"] == DOCUMENTS.constraints["doc_id_present"]
    comments = {field.name: field.metadata["comment"] for field in ref.read(spark).schema.fields}
    assert comments == {column.name: column.comment for column in DOCUMENTS.columns}
    detail = ref.delta(spark).detail().first()
    assert detail is not None
    assert (detail["description"], detail["minReaderVersion"]) == (DOCUMENTS.comment, 1)
    assert (newest_lineage(spark, ref) or {})["fingerprint"] == LINEAGE.fingerprint


def test_what_a_killed_process_left_of_a_new_table_goes_with_the_next_write(
    spark: SparkSession, ref: TableRef, rows: DataFrame
) -> None:
    folder = Path(str(ref))
    (folder / "_delta_log" / "_staged_commits").mkdir(parents=True)
    (folder / "part-00000-of-a-killed-writer.snappy.parquet").write_bytes(b"half a fi")
    (folder.parent / ".documents.unfinished").touch()
    replace_rows(spark, ref, DOCUMENTS, rows, lineage=LINEAGE)
    assert len(held(spark, ref)) == 2
    assert not list(folder.glob("*killed*"))
    assert not (folder.parent / ".documents.unfinished").exists()


def test_a_folder_of_other_files_is_refused_and_left_as_it_is(
    spark: SparkSession, ref: TableRef, rows: DataFrame
) -> None:
    file = Path(str(ref)) / "mine.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"precious")
    with pytest.raises(DataError, match="holds files but no Delta table"):
        replace_rows(spark, ref, DOCUMENTS, rows, lineage=LINEAGE)
    assert file.read_bytes() == b"precious"
    assert [path.name for path in file.parent.iterdir()] == ["mine.parquet"]


def test_rows_that_break_a_constraint_leave_neither_table_nor_files(spark: SparkSession, ref: TableRef) -> None:
    with pytest.raises(Exception, match="doc_id_present"):
        replace_rows(spark, ref, DOCUMENTS, frame_of(spark, [{"doc_id": ""}], DOCUMENTS.struct), lineage=LINEAGE)
    assert not Path(str(ref)).exists()
    assert not (Path(str(ref)).parent / ".documents.unfinished").exists()


def test_a_second_write_is_one_more_commit_and_sets_properties_only_if_they_differ(
    spark: SparkSession, ref: TableRef, rows: DataFrame
) -> None:
    replace_rows(spark, ref, DOCUMENTS, rows, lineage=LINEAGE, properties={"source": "here"})
    assert replace_rows(spark, ref, DOCUMENTS, rows.limit(1), lineage=LINEAGE, properties={"source": "here"}) == 1
    assert held(spark, ref) == [("a", None, "apple")]
    assert replace_rows(spark, ref, DOCUMENTS, rows, lineage=LINEAGE, properties={"source": "there"}) == 3
    assert table_properties(spark, ref)["spladelake.source"] == "there"
