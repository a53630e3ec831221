"""Read a Delta table in a local folder without Spark: its files at a version, and their columns.

Spark needs seconds to start and some tenths of a second to list a table's files. deltalake reads a small table in
milliseconds. This module reads only plain tables: reader protocol version 1, no partitions, no file of another folder.
For every other table it returns None, and Spark reads the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

READER_VERSION = 1


@dataclass(frozen=True)
class FolderTable:
    """A table at one version.

    - folder: the folder of the table.
    - version: the version.
    - sizes: bytes of each data file, by file name.
    - properties: the table properties.
    - delta: the table as deltalake reads it.
    """

    folder: Path
    version: int
    sizes: dict[str, int]
    properties: dict[str, str]
    delta: DeltaTable

    @property
    def bytes(self) -> int:
        """Total size of the data files."""
        return sum(self.sizes.values())

    @property
    def rows(self) -> int:
        """Number of rows, from the footers of the files."""
        return int(self.delta.to_pyarrow_dataset().count_rows())

    def columns(self, names: Sequence[str], *, equals: Mapping[str, str] | None = None) -> pa.Table:
        """Read columns by name, one chunk each.

        - names: the columns to read.
        - equals: values by column; only rows with these values are read.

        Raises ValueError for an unknown column, and OSError for a missing file.
        """
        wanted = [ds.field(column) == value for column, value in (equals or {}).items()]
        keep = reduce(and_, wanted) if wanted else None
        return self.delta.to_pyarrow_dataset().to_table(columns=list(names), filter=keep).combine_chunks()

    def read(self, schema: pa.Schema) -> pa.Table:
        """Read the columns of a schema. Raises ValueError for a missing column, TypeError for another type."""
        table = self.columns(schema.names)
        for wanted, column in zip(schema, table.columns, strict=True):
            # The type of a list's elements matters, their name does not.
            if not column.type.equals(wanted.type) and _plain(column.type) != _plain(wanted.type):
                raise TypeError(f"{wanted.name} is {column.type}, wanted {wanted.type}")
        return table.cast(schema)


def _plain(kind: pa.DataType) -> str:
    return f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)


def folder_table(folder: Path, *, version: int | None = None) -> FolderTable | None:
    """Open the table in a folder. Return None if there is no table or it is not plain.

    - folder: the folder of the table.
    - version: the version, None for the newest.
    """
    try:
        found = DeltaTable(str(folder), version=version)
        metadata = found.metadata()
        if found.protocol().min_reader_version != READER_VERSION or metadata.partition_columns:
            return None
        actions = pa.table(found.get_add_actions()).select(["path", "size_bytes"]).to_pylist()
    except Exception:
        # Spark then reads the table, or reports its fault.
        return None
    sizes = {unquote(action["path"]): int(action["size_bytes"]) for action in actions}
    # A shallow clone names files outside its folder by an absolute path or a URI.
    if any(":" in name or name.startswith("/") for name in sizes):
        return None
    return FolderTable(folder, found.version(), sizes, dict(metadata.configuration or {}), found)
