"""The columns in the footer of a Parquet file, and the choice of those that can be an id or a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spladelake.errors import DataError
from spladelake.files.columns import chosen_columns

# What each column can be, in a message: one value, and several.
_WANTED = {"text": ("a string", "strings"), "title": ("a string", "strings"), "score": ("a number", "numbers")}
_WITHOUT_OPTION = {"relevance": "grades", "score": "scores", "rank": "ranks", "run_id": "names of runs", "id": "ids"}
# Spark has no decimals of more than 38 digits, which are decimal256 in Arrow.
_NUMBERS = ("integer", "decimal32", "decimal64", "decimal128", "double", "float")
# Compressions that Spark does not read.
_UNREAD_CODECS = {"BROTLI", "LZO"}


@dataclass(frozen=True)
class ParquetFooter:
    """The content of a file's footer.

    - name: the file, for messages.
    - rows: number of rows.
    - types: Arrow type of every column, by name.
    - repeated: names that several columns have.
    - codecs: compression of each column of plain values, by name, such as SNAPPY.
    - fields: Arrow type of every field of a struct column, by path, such as `meta.text`.
    """

    name: str
    rows: int
    types: dict[str, pa.DataType]
    repeated: frozenset[str]
    codecs: dict[str, str]
    fields: dict[str, pa.DataType]

    def type_of(self, name: str) -> pa.DataType | None:
        """Return the type of a column or of a field of a struct column, None if there is none."""
        return self.types.get(name, self.fields.get(name))


def parquet_footer(file: Any, *, name: str) -> ParquetFooter:
    """Read the footer of an open binary file. Raises DataError for a damaged file.

    - file: the open file.
    - name: its name, for messages.
    """
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
        if path and "." not in field.name:
            yield path + field.name, _plain(field.type)
        # A path could not tell a dot in a name from one between names.
        if pa.types.is_struct(field.type) and "." not in field.name:
            yield from _fields(field.type, f"{path}{field.name}.")


def unreadable(name: str, error: Exception) -> DataError:
    """Return the error for a file that is not a complete Parquet file."""
    reason = (str(error).splitlines() or [""])[0]
    fix = "Copy the file again from its source."
    return DataError(name, f"the file cannot be read ({reason})", "wanted a complete Parquet file", fix)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values in the file, without Arrow's dictionary and extension types."""
    while True:
        if isinstance(kind, pa.DictionaryType):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def type_name(kind: pa.DataType) -> str:
    """Return the plain name of a type: string, integer, or Arrow's name. `null` is the type of a column of nulls."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    return "integer" if pa.types.is_integer(kind) else str(kind)


def takes(column: str, type_name: str) -> bool:
    """Whether values of a type can fill a column of a table. A column of nulls fits everywhere."""
    if type_name in ("string", "null"):
        return True
    if column == "relevance":
        return type_name.startswith((*_NUMBERS, "bool"))
    return column != "text" and column != "title" and type_name.startswith(_NUMBERS)


def meant_columns(
    kind: str, named: Mapping[str, str], footer: ParquetFooter, *, others: Collection[str] = ()
) -> dict[str, str | None]:
    """Return a file's name of each column of a table, None for an optional column that it does not have.

    - kind: the table.
    - named: names that the user gave, by column of the table.
    - footer: the footer of the file.
    - others: string columns from the file's partition folders.

    Raises DataError, which names the column, if a column is missing or cannot be read.
    """
    within = [name for name in named.values() if name in footer.fields]
    present = list(dict.fromkeys([*footer.types, *others, *within]))
    chosen = chosen_columns(kind, named, present, place=footer.name)
    for column, name in chosen.items():
        if name is not None and footer.type_of(name) is not None:
            check_column(footer, column, name)
    return chosen


def check_column(footer: ParquetFooter, column: str, name: str) -> None:
    """Raise DataError if the column `name` of a file cannot fill the column `column` of a table."""
    found = type_name(footer.type_of(name))
    if not takes(column, found):
        raise wrong_type(footer.name, column, name, found)
    if name in footer.repeated:
        fix = "Rename one of the columns in the file."
        raise DataError(footer.name, f"the file has several columns {name!r}", f"wanted one column for {column}", fix)
    if footer.codecs.get(name) in _UNREAD_CODECS:
        codec = footer.codecs[name].lower()
        fix = "Write the file again with snappy or zstd."
        raise DataError(
            footer.name,
            f"column {name!r} is compressed by {codec}",
            f"wanted snappy or zstd, because Spark does not read {codec}",
            fix,
        )


def wrong_type(place: str, column: str, name: str, found: str) -> DataError:
    """Return the error for a column whose type cannot be an id, a number or a text."""
    one, several = _WANTED.get(column, ("a string or a whole number", "strings or whole numbers"))
    # Columns of judgements and runs have no options.
    other = "name another column"
    if column in _WITHOUT_OPTION:
        rename = "drop it and rename" if name == column else "rename"
        other = f"{rename} the column of the {_WITHOUT_OPTION[column]} to {column}"
    return DataError(
        place,
        f"column {name!r} has the type {found}",
        f"wanted {one} for {column}",
        f"Convert the column to {several}, or {other}.",
    )
