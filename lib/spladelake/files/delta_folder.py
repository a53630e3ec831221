"""A Delta table in a local folder, read without Spark: which files it has now, and their columns.

Spark needs seconds to start, and a question asked of a small collection needs none of what it does. Only the plainest
of tables is read here: protocol version 1 for readers, no partitions, a log of commits and at most one checkpoint of
one file. Of every other the answer is None, and Spark reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

READER_VERSION = 1
# What a reader of this version need not know to read the rows.
_ACTIONS = ("protocol", "metaData", "add", "remove")


@dataclass(frozen=True)
class FolderTable:
    """A table at its newest version. sizes: bytes of each data file. properties: those of the table."""

    folder: Path
    sizes: dict[str, int]
    properties: dict[str, str]

    @property
    def bytes(self) -> int:
        """Size of the data files together."""
        return sum(self.sizes.values())

    @property
    def rows(self) -> int:
        """Number of rows, from the files' own footers."""
        return sum(pq.read_metadata(self.folder / name).num_rows for name in self.sizes)

    def read(self, schema: pa.Schema) -> pa.Table:
        """The columns of a schema. Raises KeyError or TypeError where a file has not all of them in these types."""
        files = (pq.ParquetFile(self.folder / name) for name in self.sizes)
        parts = [_typed(file.read(columns=schema.names), schema) for file in files]
        return pa.concat_tables(parts) if parts else schema.empty_table()


def _typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [table.column(name) for name in schema.names]
    for wanted, column in zip(schema, columns, strict=True):
        # The name of a list's elements does not matter, their type does.
        if not column.type.equals(wanted.type) and _plain(column.type) != _plain(wanted.type):
            raise TypeError(f"{wanted.name} is {column.type}, wanted {wanted.type}")
    return pa.table([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _plain(kind: pa.DataType) -> str:
    return f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)


@dataclass
class _State:
    """What the actions of the log add up to."""

    protocol: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    added: dict[str, dict[str, Any]] = field(default_factory=dict)

    def apply(self, action: dict[str, Any]) -> None:
        if found := action.get("protocol"):
            self.protocol = found
        if found := action.get("metaData"):
            self.metadata = found
        if found := action.get("remove"):
            self.added.pop(found["path"], None)
        if found := action.get("add"):
            self.added[found["path"]] = found


def folder_table(folder: Path) -> FolderTable | None:
    """The table of a folder; None where there is none, or it is none of those that are read here."""
    try:
        state = _State()
        for action in _actions(folder / "_delta_log"):
            state.apply(action)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None
    plain = state.protocol.get("minReaderVersion") == READER_VERSION and not state.metadata.get("partitionColumns")
    names = {unquote(path): add for path, add in state.added.items()}
    # A file outside the folder, as a shallow clone has them, is named by a whole path or a URI.
    if not plain or any(add.get("deletionVector") or ":" in name or name[:1] == "/" for name, add in names.items()):
        return None
    properties = dict(state.metadata.get("configuration") or {})
    return FolderTable(folder, {name: int(add["size"]) for name, add in names.items()}, properties)


def _actions(log: Path) -> Iterator[dict[str, Any]]:
    """Actions of the newest checkpoint, if there is one, and of the commits after it, in their order.

    Raises ValueError where a commit is missing or the checkpoint is of another form.
    """
    first = 0
    pointer = log / "_last_checkpoint"
    if pointer.exists():
        said = json.loads(pointer.read_text(encoding="utf-8"))
        if said.get("parts") or said.get("v2Checkpoint"):
            raise ValueError("a checkpoint of several files")
        first = int(said["version"]) + 1
        yield from _checkpoint(log / f"{first - 1:020}.checkpoint.parquet")
    commits = sorted(file for file in log.glob("*.json") if file.stem.isdigit() and int(file.stem) >= first)
    if [int(file.stem) for file in commits] != list(range(first, first + len(commits))):
        raise ValueError("a commit is missing")
    for file in commits:
        for line in file.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _checkpoint(file: Path) -> Iterator[dict[str, Any]]:
    table = pq.ParquetFile(file).read()
    for name in _ACTIONS:
        for action in table.column(name).drop_null().to_pylist():
            if name == "metaData":
                action["configuration"] = dict(action["configuration"] or [])
            if name != "remove":
                yield {name: action}
