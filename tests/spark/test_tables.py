"""A new table appears in one commit, whole or not at all, and nothing that is not ours is touched for it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession

from spladelake.errors import DataError
from spladelake.spark.tables.delta import small_tables
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.spark.tables.every_schema import SCHEMAS
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


VALUES: dict[str, list[Any]] = {
    "string": ["", "é\U0001f34e\n", None],
    "boolean": [True, False, None],
    "int": [-(2**31), 2**31 - 1, None],
    "bigint": [-(2**63), 2**63 - 1, None],
    "float": [-0.0, float("nan"), None],
    "double": [float("-inf"), 5e-324, None],
    "binary": [b"", b"\x00\xff", None],
    "date": [date(1, 1, 1), date(9999, 12, 31), None],
    "timestamp": [datetime(1900, 1, 1, tzinfo=UTC), datetime(2026, 11, 28, 12, 30, 15, 123456, UTC), None],
    "array<int>": [[], [1, None, -1], None],
    "array<float>": [[0.1, float("nan")], [None], None],
    "array<double>": [[0.1], [None], None],
    "array<string>": [["a", None], [], None],
}


@pytest.fixture(scope="module")
def every_type(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> TableRef:
    """A table with one column for each type of the tables of a lake: nulls, extremes, then an appended row."""
    types = sorted({column.type for schema in SCHEMAS.values() for column in schema.columns})
    ref = TableRef(path=str(tmp_path_factory.mktemp("types") / "table"))
    schema = ", ".join(f"c{n} {kind} COMMENT 'a {kind}'" for n, kind in enumerate(types))
    rows = [{f"c{n}": VALUES[kind][row] for n, kind in enumerate(types)} for row in range(3)]
    writer = frame_of(spark, rows, schema).writeTo(ref.identifier).using("delta")
    writer.tableProperty("spladelake.table", "every type").create()
    frame_of(spark, rows[:1], schema).write.format("delta").mode("append").save(str(ref))
    return ref


def shown(frame: DataFrame) -> list[str]:
    return sorted(map(repr, frame.collect()))  # NaN is equal to nothing, also not to itself


@pytest.mark.parametrize("version", [None, 0])
@pytest.mark.parametrize("named", [False, True])
def test_a_small_table_has_the_schema_and_the_rows_that_a_scan_gives(
    spark: SparkSession, every_type: TableRef, monkeypatch: pytest.MonkeyPatch, version: int | None, named: bool
) -> None:
    if named:  # Spark reads the files by their names
        monkeypatch.setattr(small_tables, "MOST_ROWS", 0)
        monkeypatch.setattr(TableRef, "scan", None)
    here = every_type.read(spark, version=version)
    monkeypatch.undo()
    scanned = every_type.scan(spark, version=version)
    assert here.schema == scanned.schema
    assert here.schema.jsonValue() == scanned.schema.jsonValue()  # comments too
    assert shown(here) == shown(scanned)
    assert len(shown(here)) == (3 if version == 0 else 4)
    files = 1 if version == 0 else 2
    assert (len(here.inputFiles()), len(scanned.inputFiles())) == (files if named else 0, files)


def test_spark_reads_what_is_large_or_foreign_or_has_deletion_vectors(
    spark: SparkSession, every_type: TableRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_scan(ref: TableRef) -> bool:
        return bool(ref.read(spark).inputFiles())  # a local relation has none

    for name in ("MOST_ROWS", "MOST_BYTES", "MOST_NAMED_BYTES"):
        monkeypatch.setattr(small_tables, name, 1)
        assert is_scan(every_type), name
        monkeypatch.undo()
    rows = frame_of(spark, [{"n": n} for n in range(4)], "n int")
    foreign, own = (TableRef(path=str(tmp_path / name)) for name in ("foreign", "own"))
    rows.write.format("delta").save(str(foreign))
    assert is_scan(foreign)
    writer = rows.writeTo(own.identifier).using("delta").tableProperty("spladelake.table", "numbers")
    writer.tableProperty("delta.enableDeletionVectors", "true").create()
    own.delta(spark).delete("n = 2")
    assert is_scan(own)
    assert shown(own.read(spark)) == ["Row(n=0)", "Row(n=1)", "Row(n=3)"]


def test_a_small_table_that_lost_a_data_file_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    ref = TableRef(path=str(tmp_path / "table"))
    writer = frame_of(spark, [{"n": 1}], "n int").writeTo(ref.identifier).using("delta")
    writer.tableProperty("spladelake.table", "numbers").create()
    for file in Path(str(ref)).glob("*.parquet"):
        file.unlink()
    with pytest.raises(Py4JJavaError, match=r"does not exist"):
        ref.read(spark).collect()
