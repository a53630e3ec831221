"""Read a Delta table in a local folder without Spark: its files at a version, and their columns.

Spark needs seconds to start and some tenths of a second to list a table's files. deltalake reads a small table in
milliseconds. This module reads only plain tables: reader protocol version 1, no partitions, no file of another folder.
For every other table it returns None, and Spark reads the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
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

    def rows_with(self, column: str, values: Sequence[str], schema: pa.Schema) -> pa.Table:
        """Read the rows whose column has one of some values, with the columns of a schema.

        Of every row group whose statistics allow a value, first that column alone is read. So the large columns of
        the table are read only of row groups that hold such a row.
        """
        found, wanted = [schema.empty_table()], pa.array(values, pa.string())
        for name in sorted(self.sizes):
            with pq.ParquetFile(self.folder / name) as file:
                for number in _groups_with(file, column, values):
                    same = pc.is_in(file.read_row_group(number, [column])[column], wanted)
                    if pc.any(same).as_py():
                        rows = file.read_row_group(number, schema.names).select(schema.names)
                        found.append(rows.filter(same).cast(schema))
        return pa.concat_tables(found)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read columns by name, some rows at a time."""
        yield from self.delta.to_pyarrow_dataset().to_batches(columns=list(names))

    def commits(self, most: int) -> Iterator[tuple[int, str, str | None]]:
        """Yield version, operation and metadata of the newest commits of the log, the newest first."""
        for entry in self.delta.history(most):
            if entry["version"] <= self.version:
                yield entry["version"], str(entry.get("operation", "")), entry.get("userMetadata")

    def read(self, schema: pa.Schema) -> pa.Table:
        """Read the columns of a schema. Raises ValueError for a missing column, TypeError for another type."""
        table = self.columns(schema.names)
        for wanted, column in zip(schema, table.columns, strict=True):
            # The type of a list's elements matters, their name does not.
            if not column.type.equals(wanted.type) and _plain(column.type) != _plain(wanted.type):
                raise TypeError(f"{wanted.name} is {column.type}, wanted {wanted.type}")
        return table.cast(schema)


def _groups_with(file: pq.ParquetFile, column: str, values: Sequence[str]) -> Iterator[int]:
    """Yield the row groups whose statistics allow one of some values of a column of text."""
    leaf = [file.schema.column(n).path for n in range(len(file.schema))].index(column)
    for number in range(file.num_row_groups):
        known = file.metadata.row_group(number).column(leaf).statistics
        if known is None or not known.has_min_max or any(known.min <= value <= known.max for value in values):
            yield number


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
