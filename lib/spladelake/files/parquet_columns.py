"""Columns of a Parquet file by its footer, and which of them can be an id or a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spladelake.errors import DataError
from spladelake.files.columns import chosen_columns

# What neither Spark nor the Parquet library in it reads.
_NUMBERS = ("integer", "decimal", "double", "float")
_UNREAD_CODECS = {"BROTLI", "LZO"}


@dataclass(frozen=True)
class ParquetFooter:
    """What a file's footer says.

    - name: the file, for errors. rows: their number.
    - types: Arrow type of every column by name. repeated: names that several columns have.
    - fields: type of every field within a column of objects, by its path, such as `meta.text`.
    - codecs: how each column of plain values is compressed, by name, such as SNAPPY.
    """

    name: str
    rows: int
    types: dict[str, pa.DataType]
    repeated: frozenset[str]
    codecs: dict[str, str]
    fields: dict[str, pa.DataType]

    def type_of(self, name: str) -> pa.DataType | None:
        """Type of a column, or of a field within one; None if there is none."""
        return self.types.get(name, self.fields.get(name))


def parquet_footer(file: Any, *, name: str) -> ParquetFooter:
    """The footer of an open binary file; name: what errors call it. Raises DataError for a damaged file."""
    try:
        opened = pq.ParquetFile(file)
        schema, metadata = opened.schema_arrow, opened.metadata
        group = metadata.row_group(0) if metadata.num_row_groups else None
        chunks = [group.column(i) for i in range(group.num_columns)] if group is not None else []
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(name, error) from error
    times = Counter(schema.names)
    return ParquetFooter(
        name,
        metadata.num_rows,
        {field.name: _plain(field.type) for field in schema},
        frozenset(column for column, count in times.items() if count > 1),
        {chunk.path_in_schema: chunk.compression for chunk in chunks},
        dict(_fields(schema, "")),
    )


def _fields(inside: Iterable[pa.Field], path: str) -> Iterator[tuple[str, pa.DataType]]:
    for field in inside:
        if path:
            yield path + field.name, _plain(field.type)
        if pa.types.is_struct(field.type):
            yield from _fields(field.type, f"{path}{field.name}.")


def unreadable(name: str, error: Exception) -> DataError:
    """The error for a file that is no whole Parquet file."""
    reason = (str(error).splitlines() or [""])[0]
    return DataError(name, f"it cannot be read ({reason})", "wanted a whole Parquet file", "Copy it again.")


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values as the file holds them: dictionaries and extensions are Arrow's own."""
    while True:
        if isinstance(kind, pa.DictionaryType):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def type_name(kind: pa.DataType) -> str:
    """What people call a type: string, integer, or Arrow's own name. `null` is the type of a column without values."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    return "integer" if pa.types.is_integer(kind) else str(kind)


def takes(column: str, type_name: str) -> bool:
    """Whether a column of a table can be made of values of a type. A column without any value fits everywhere."""
    if type_name in ("string", "null"):
        return True
    if column == "relevance":
        return type_name.startswith((*_NUMBERS, "bool"))
    return column.endswith("_id") and type_name.startswith(_NUMBERS)


def meant_columns(
    kind: str, named: Mapping[str, str], footer: ParquetFooter, *, others: Collection[str] = ()
) -> dict[str, str | None]:
    """Name in a file of each column of a table; None for a title that it does not have.

    - kind, named: the table, and the names that the user gave.
    - others: columns that the file's folders give, strings all.

    Raises DataError if a column that is meant is not there, or cannot be read, with its name.
    """
    within = [name for name in named.values() if name in footer.fields]
    present = list(dict.fromkeys([*footer.types, *others, *within]))
    chosen = chosen_columns(kind, named, present, place=footer.name)
    for column, name in chosen.items():
        if name is not None and footer.type_of(name) is not None:
            check_column(footer, column, name)
    return chosen


def check_column(footer: ParquetFooter, column: str, name: str) -> None:
    """Refuse a column of a file for a column of a table. Raises DataError with its name."""
    found = type_name(footer.type_of(name))
    if not takes(column, found):
        raise wrong_type(footer.name, column, name, found)
    if name in footer.repeated:
        fix = "Write the file with another name for one of them."
        raise DataError(footer.name, f"it has several columns {name!r}", f"wanted one for {column}", fix)
    if footer.codecs.get(name) in _UNREAD_CODECS:
        codec = footer.codecs[name].lower()
        fix = "Write the file again with snappy or zstd."
        raise DataError(footer.name, f"column {name!r} is compressed by {codec}", "Spark does not read that", fix)


def wrong_type(place: str, column: str, name: str, found: str) -> DataError:
    """The error for a column whose values can be no id or no text."""
    ids = column.endswith("_id") or column == "relevance"
    return DataError(
        place,
        f"column {name!r} is {found}",
        f"{column} wants {'a string or a whole number' if ids else 'a string'}",
        "Cast it, or name another column.",
    )


def footer_of(path: Path) -> ParquetFooter:
    """The footer of a local file. Raises DataError for a damaged one."""
    with path.open("rb") as file:
        return parquet_footer(file, name=str(path))
