"""Plain Delta tables are read without Spark, at any version; every other one is left to Spark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from spladelake.files.delta_folder import folder_table

ROWS = pa.schema([("id", pa.string()), ("n", pa.int32())])


def write(folder: Path, *ids: str, mode: Any = "overwrite", **options: Any) -> None:
    rows = pa.table({"id": ids, "n": pa.array(range(len(ids)), pa.int32())}, schema=ROWS)
    write_deltalake(str(folder), rows, mode=mode, **options)


def test_the_rows_are_those_of_the_files_that_the_log_leaves_at_the_version(tmp_path: Path) -> None:
    write(tmp_path, "old", configuration={"delta.appendOnly": "false"})
    write(tmp_path, "x", "y")
    write(tmp_path, "z", mode="append")
    table = folder_table(tmp_path)
    assert table is not None
    assert sorted(table.read(ROWS).column("id").to_pylist()) == ["x", "y", "z"]
    assert table.columns(["n"], equals={"id": "y"}).to_pylist() == [{"n": 1}]
    assert (table.rows, table.version, table.properties) == (3, 2, {"delta.appendOnly": "false"})
    assert table.bytes == sum((tmp_path / name).stat().st_size for name in table.sizes)
    before = folder_table(tmp_path, version=0)
    assert before is not None
    assert before.read(ROWS).column("id").to_pylist() == ["old"]


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write a table and change the actions of its only commit."""
    write(folder, "x")
    commit = folder / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in commit.read_text(encoding="utf-8").splitlines()]
    for action in actions:
        change(action)
    commit.write_text("".join(json.dumps(action) + "\n" for action in actions), encoding="utf-8")


def later_protocol(action: dict[str, Any]) -> None:
    action.get("protocol", {}).update(minReaderVersion=2, minWriterVersion=5)


def elsewhere(action: dict[str, Any]) -> None:
    if "add" in action:
        action["add"]["path"] = "file:///x/a.parquet"


def missing_commit(folder: Path) -> None:
    for word in ("a", "b", "c"):
        write(folder, word, mode="append")
    (folder / "_delta_log" / f"{1:020}.json").unlink()


def cut_log(folder: Path) -> None:
    write(folder, "x")
    (folder / "_delta_log" / f"{0:020}.json").write_text('{"protocol"', encoding="utf-8")


LEFT_TO_SPARK: dict[str, Callable[[Path], None]] = {
    "no table": lambda folder: None,
    "a later protocol": lambda folder: changed(folder, later_protocol),
    "partitions": lambda folder: write(folder, "x", partition_by=["id"]),
    "a file elsewhere": lambda folder: changed(folder, elsewhere),
    "a missing commit": missing_commit,
    "a log that is cut": cut_log,
}


@pytest.mark.parametrize("kind", LEFT_TO_SPARK)
def test_every_other_table_is_left_to_spark(tmp_path: Path, kind: str) -> None:
    LEFT_TO_SPARK[kind](tmp_path)
    assert folder_table(tmp_path) is None


def test_a_column_of_another_type_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "x")
    table = folder_table(tmp_path)
    assert table is not None
    with pytest.raises(TypeError, match="n is int32, wanted string"):
        table.read(pa.schema([("n", pa.string())]))
    with pytest.raises(ValueError, match="absent"):
        table.read(pa.schema([("absent", pa.string())]))
