"""A Delta table in a local folder, read without Spark: which files it has at a version, and their columns.

Spark needs seconds to start, and some tenths of a second for the list of a table's files; deltalake reads a small table
in milliseconds. Only plain tables are read here: protocol version 1 for readers, no partitions, no file of another
folder. For every other table the answer is None, and Spark reads it.
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

    - sizes: bytes of each data file, by its name.
    - properties: of the table.
    """

    folder: Path
    version: int
    sizes: dict[str, int]
    properties: dict[str, str]
    delta: DeltaTable

    @property
    def bytes(self) -> int:
        """Size of the data files together."""
        return sum(self.sizes.values())

    @property
    def rows(self) -> int:
        """Number of rows, from the files' own footers."""
        return int(self.delta.to_pyarrow_dataset().count_rows())

    def columns(self, names: Sequence[str], *, equals: Mapping[str, str] | None = None) -> pa.Table:
        """Columns by name, one chunk each. equals: wanted values by column; rows with others are left out.

        Raises ValueError for a column that the table does not have, and OSError for a file that is not there.
        """
        wanted = [ds.field(column) == value for column, value in (equals or {}).items()]
        keep = reduce(and_, wanted) if wanted else None
        return self.delta.to_pyarrow_dataset().to_table(columns=list(names), filter=keep).combine_chunks()

    def read(self, schema: pa.Schema) -> pa.Table:
        """The columns of a schema. Raises ValueError or TypeError if the table has not all of them in these types."""
        table = self.columns(schema.names)
        for wanted, column in zip(schema, table.columns, strict=True):
            # The name of a list's elements does not matter, their type does.
            if not column.type.equals(wanted.type) and _plain(column.type) != _plain(wanted.type):
                raise TypeError(f"{wanted.name} is {column.type}, wanted {wanted.type}")
        return table.cast(schema)


def _plain(kind: pa.DataType) -> str:
    return f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)


def folder_table(folder: Path, *, version: int | None = None) -> FolderTable | None:
    """The table of a folder, at its newest version if none is given; None if it is not there, or not plain."""
    try:
        found = DeltaTable(str(folder), version=version)
        metadata = found.metadata()
        if found.protocol().min_reader_version != READER_VERSION or metadata.partition_columns:
            return None
        actions = pa.table(found.get_add_actions()).select(["path", "size_bytes"]).to_pylist()
    except Exception:
        # What is wrong with the table, or unknown to deltalake, Spark finds out and says.
        return None
    sizes = {unquote(action["path"]): int(action["size_bytes"]) for action in actions}
    # A file outside the folder, as a shallow clone has them, is named by a whole path or a URI.
    if any(":" in name or name.startswith("/") for name in sizes):
        return None
    return FolderTable(folder, found.version(), sizes, dict(metadata.configuration or {}), found)
