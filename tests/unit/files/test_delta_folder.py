"""Delta tables of the plainest kind are read without Spark; every other one is left to Spark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spladelake.files.delta_folder import folder_table

ROWS = pa.schema([("id", pa.string()), ("n", pa.int32())])


def data_file(folder: Path, name: str, ids: list[str]) -> dict[str, Any]:
    """Write a data file and return the action that adds it."""
    pq.write_table(pa.table({"id": ids, "n": pa.array(range(len(ids)), pa.int32())}), folder / name)
    return {"add": {"path": name, "size": (folder / name).stat().st_size, "partitionValues": {}, "dataChange": True}}


def commit(folder: Path, version: int, *actions: dict[str, Any]) -> None:
    text = "\n".join(json.dumps(action) for action in actions)
    (folder / "_delta_log" / f"{version:020}.json").write_text(text + "\n", encoding="utf-8")


def created(*, reader: int = 1, partitions: tuple[str, ...] = (), **configuration: str) -> list[dict[str, Any]]:
    metadata = {"id": "x", "partitionColumns": list(partitions), "configuration": configuration}
    return [{"protocol": {"minReaderVersion": reader, "minWriterVersion": 2}}, {"metaData": metadata}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_delta_log").mkdir()
    return tmp_path


def test_the_rows_are_those_of_the_files_that_the_log_leaves(folder: Path) -> None:
    commit(folder, 0, *created(**{"spladelake.model": "m"}), data_file(folder, "a.parquet", ["old"]))
    commit(folder, 1, {"remove": {"path": "a.parquet"}}, data_file(folder, "b.parquet", ["x", "y"]))
    commit(folder, 2, data_file(folder, "c.parquet", ["z"]))
    table = folder_table(folder)
    assert table is not None
    assert sorted(table.read(ROWS).column("id").to_pylist()) == ["x", "y", "z"]
    assert (table.rows, table.properties) == (3, {"spladelake.model": "m"})
    assert table.bytes == sum((folder / name).stat().st_size for name in ("b.parquet", "c.parquet"))


LEFT_TO_SPARK: dict[str, Callable[[Path], None]] = {
    "no table": lambda folder: None,
    "a later protocol": lambda folder: commit(folder, 0, *created(reader=2)),
    "partitions": lambda folder: commit(folder, 0, *created(partitions=("n",))),
    "deleted rows": lambda folder: commit(
        folder, 0, *created(), {"add": {"path": "a.parquet", "size": 1, "deletionVector": {"storageType": "u"}}}
    ),
    "a file elsewhere": lambda folder: commit(folder, 0, *created(), {"add": {"path": "/x/a.parquet", "size": 1}}),
    "a file by URI": lambda folder: commit(folder, 0, *created(), {"add": {"path": "file%3A/x", "size": 1}}),
    "a missing commit": lambda folder: [commit(folder, v, *created()) for v in (0, 2)] and None,
    "a log that is cut": lambda folder: (folder / "_delta_log" / f"{0:020}.json").write_text('{"protocol"') and None,
    "a checkpoint of parts": lambda folder: (
        (folder / "_delta_log" / "_last_checkpoint").write_text('{"version": 1, "parts": 2}') and None
    ),
}


@pytest.mark.parametrize("kind", LEFT_TO_SPARK)
def test_every_other_table_is_left_to_spark(folder: Path, kind: str) -> None:
    LEFT_TO_SPARK[kind](folder)
    assert folder_table(folder) is None


def test_a_column_of_another_type_is_refused(folder: Path) -> None:
    commit(folder, 0, *created(), data_file(folder, "a.parquet", ["x"]))
    table = folder_table(folder)
    assert table is not None
    with pytest.raises(TypeError, match="n is int32, wanted string"):
        table.read(pa.schema([("n", pa.string())]))
    with pytest.raises(KeyError):
        table.read(pa.schema([("absent", pa.string())]))
