"""Read records of Parquet files and Delta tables: only the needed columns, checked by SQL expressions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from spladelake.errors import DataError
from spladelake.files.columns import check_same_grades, chosen_columns, naming_fix
from spladelake.files.folders import path_columns
from spladelake.files.parquet_columns import ParquetFooter, meant_columns, parquet_footer, type_name, wrong_type
from spladelake.spark.ingest.column_values import can_be, column_text, field_at, number_fault, schema_of
from spladelake.spark.ingest.kept import PREFIX, kept_names, without
from spladelake.spark.ingest.source import Source, table_ref
from spladelake.spark.session.file_uris import person_path, shown_path
from spladelake.spark.tables import storage
from spladelake.spark.tables.sql_text import quoted

_CASE_SENSITIVE = "spark.sql.caseSensitive"
# Footers read at once: each waits for its store, not for this machine.
_READERS = 16
# Spark's type for Arrow's; that of a string, and of a column without values, is string.
_TYPES = {
    pa.bool_(): "boolean",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.uint8(): "smallint",
    pa.uint16(): "int",
    pa.uint32(): "bigint",
    pa.uint64(): "decimal(20,0)",
}

# Of each column of a table: its name in the input and its Spark type there; no type if a folder gives it, no name if
# there is none.
Chosen = tuple[tuple[str, str | None, str | None], ...]
# Name and type of each column that is kept; no type if a folder gives its value.
Kept = tuple[tuple[str, str | None], ...]


@contextmanager
def exact_names(session: SparkSession) -> Iterator[None]:
    """Let Spark distinguish column names that differ only in case, as files do."""
    before = session.conf.get(_CASE_SENSITIVE, "false")
    session.conf.set(_CASE_SENSITIVE, "true")
    try:
        yield
    finally:
        session.conf.set(_CASE_SENSITIVE, str(before))


@dataclass(frozen=True)
class Shard:
    """The rows of those Parquet files of an input that have the same needed columns.

    - frame: the rows. place: the column `_metadata`.
    - first: the footer of the first of these files, for messages.
    - names: the files' name of each column of the table, None for a missing optional column.
    - values: each column of the table as text.
    - kept: other columns to keep.
    """

    frame: DataFrame
    place: Column
    first: ParquetFooter
    names: dict[str, str | None]
    values: dict[str, Column]
    kept: dict[str, Column]


def parquet_records(session: SparkSession, source: Source) -> DataFrame:
    """Return the records of Parquet files, each read by its own columns and types. Execute it within `exact_names`.

    Raises the errors of `parquet_shards`, and DataError if only some files of judgements have grades.
    """
    shards = parquet_shards(session, source)
    if source.kind == "judgements":
        check_same_grades(source.location, [shard.names["relevance"] is not None for shard in shards])
    frames = [_checked(source, s.frame, s.place, s.values, s.names, s.kept) for s in shards]
    _check_one_type(frames, source)
    return reduce(partial(DataFrame.unionByName, allowMissingColumns=bool(source.keep)), frames)


def parquet_shards(session: SparkSession, source: Source) -> list[Shard]:
    """Return the rows of Parquet files, each read by its own columns and types. Execute them within `exact_names`.

    Raises DataError if a file lacks a needed column, or if the type of a column cannot be an id or a text.
    """
    shards: dict[tuple[Chosen, frozenset[str], Kept], list[str]] = {}
    firsts: list[ParquetFooter] = []
    below = sorted(storage.roots(session, source.location), key=len, reverse=True)
    for file, footer in zip(source.listed(session), _footers(session, source), strict=True):
        folders = _folders(file.path, below)
        chosen = _chosen(source, footer, folders)
        # A column may have a dot in its own name.
        top = frozenset(name for _, name, _ in chosen if name in footer.types)
        paths = shards.setdefault((chosen, top, _kept(source, footer, chosen, folders)), [])
        firsts += [] if paths else [footer]
        paths.append(file.path)
    found = zip(firsts, shards.items(), strict=True)
    return [_shard(session, first, *shard, paths, below) for first, (shard, paths) in found]


def _kept(source: Source, footer: ParquetFooter, chosen: Chosen, folders: str) -> Kept:
    """Return the columns of a file that are kept, with their types; no type if a folder gives the value."""
    if not source.keep:
        return ()
    used = [name for _, name, _ in chosen]
    present = list(dict.fromkeys([*footer.types, *path_columns(folders)]))
    names = kept_names(source, present, used, place=footer.name)
    return tuple((name, str(footer.types[name]) if name in footer.types else None) for name in names)


def _check_one_type(frames: list[DataFrame], source: Source) -> None:
    """Raise DataError if a kept column has several types."""
    seen: dict[str, str] = {}
    for field in (field for frame in frames for field in frame.schema if field.name.startswith(PREFIX)):
        name, kind = field.name.removeprefix(PREFIX), field.dataType.simpleString()
        if seen.setdefault(name, kind) != kind:
            raise DataError(
                source.location, f"the column {name!r} has the type {seen[name]} in some files, and {kind} in others",
                "wanted one type", f"Write the files with one type, or {without(source, name)}.",
            )  # fmt: skip


def _footers(session: SparkSession, source: Source) -> Iterable[ParquetFooter]:
    def footer(file: storage.InputFile) -> ParquetFooter:
        with storage.open_input(session, file) as opened:
            return parquet_footer(opened, name=shown_path(file.path))

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(footer, source.listed(session)))


def _folders(path: str, below: list[str]) -> str:
    """Return the part of a path below the root of its input."""
    root = next((root for root in below if path.startswith(root)), "")
    return path.removeprefix(root)


def _chosen(source: Source, footer: ParquetFooter, folders: str) -> Chosen:
    names = meant_columns(source.kind, dict(source.columns), footer, others=path_columns(folders))
    return tuple((column, name, _spark_type(footer, name)) for column, name in names.items())


def _spark_type(footer: ParquetFooter, name: str | None) -> str | None:
    kind = None if name is None else footer.type_of(name)
    if kind is None:
        return None
    # Nothing is read of a column without any value: its type in the file says nothing.
    return "void" if type_name(kind) == "null" else type_in_spark(kind)


def type_in_spark(kind: pa.DataType) -> str:
    """Return Spark's type for the values of a Parquet column of strings or numbers."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return _TYPES.get(kind, "string")


def _shard(
    session: SparkSession, first: ParquetFooter, chosen: Chosen, top: frozenset[str], kept: Kept, paths: list[str],
    below: list[str],
) -> Shard:  # fmt: skip
    read = {name: kind for _, name, kind in chosen if name is not None and kind not in (None, "void")}
    schema = schema_of({name: DataType.fromDDL(kind or "string") for name, kind in read.items()}, top)
    reader = session.read.options(**storage.reader_options(paths))
    if in_files := [name for name, kind in kept if kind is not None]:
        # Spark knows best which of its types a file's types are.
        types = reader.parquet(paths[0]).schema
        schema = StructType([f for f in schema if f.name not in in_files] + [types[name] for name in in_files])
    frame = reader.schema(schema).parquet(*paths)
    # By this name even if the file has a column called _metadata.
    place = frame.metadataColumn("_metadata")
    values = {column: _shard_value(frame, column, name, kind, place, below) for column, name, kind in chosen}
    others = {
        name: F.col(quoted(name)) if kind is not None else _folder_value(name, place, below) for name, kind in kept
    }
    return Shard(frame, place, first, {column: name for column, name, _ in chosen}, values, others)


def _shard_value(
    frame: DataFrame, column: str, name: str | None, kind: str | None, place: Column, below: list[str]
) -> Column:
    if name is None or kind == "void":
        # Pairs without grades are relevant.
        return F.lit("1" if name is None and column == "relevance" else None).cast("string")
    if kind is None:
        return _folder_value(name, place, below)
    return column_text(frame.schema, column, name)


def _folder_value(name: str, place: Column, below: list[str]) -> Column:
    """Return the value of a partition folder `name=value`, as `path_columns` reads it."""

    @F.udf("string")
    def value(uri: str) -> str | None:
        return path_columns(_folders(person_path(uri), [shown_path(root) for root in below])).get(name)

    return value(place.getField("file_path"))


def delta_records(session: SparkSession, source: Source) -> DataFrame:
    """Return the records of a Delta table."""
    frame = table_ref(source.location).scan(session, version=source.version)
    within = [name for _, name in source.columns if field_at(frame.schema, name) is not None]
    present = list(dict.fromkeys([*frame.columns, *within]))
    names = chosen_columns(source.kind, dict(source.columns), present, place=source.location)
    values = {column: _value(source, frame, column, name) for column, name in names.items()}
    others = {}
    if source.keep:
        kept = kept_names(source, frame.columns, list(names.values()), place=source.location)
        others = {name: F.col(quoted(name)) for name in kept}
    return _checked(source, frame, frame.metadataColumn("_metadata"), values, names, others)


def _checked(
    source: Source,
    frame: DataFrame,
    place: Column,
    values: dict[str, Column],
    names: dict[str, str | None],
    kept: dict[str, Column],
) -> DataFrame:
    """Return records with their place, and with the reason if a record cannot be used.

    - values, names: each column of the table, and its name in the input.
    - kept: other columns to keep.
    """
    reason = F.coalesce(
        *(id_fault(names[key] or key, values[key]) for key in source.keys),
        *_number_faults(frame.schema, names, values),
        *(_text_fault(names[c] or c, values[c]) for c in values if c not in source.keys and c != "relevance"),
        *([_relevance_fault(names["relevance"] or "", values["relevance"])] if "relevance" in values else []),
    )
    record = F.to_json(F.struct(*(v.alias(n) for n, v in values.items()))).cast("binary")
    typed = [v.try_cast("int").alias(n) if n == "relevance" else v.alias(n) for n, v in values.items()]
    return frame.select(
        place.getField("file_path").alias("file"),
        place.getField("file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("seq"),
        F.when(reason.isNotNull(), record).alias("raw"),
        reason.alias("reason"),
        *typed,
        *(value.alias(PREFIX + name) for name, value in kept.items()),
    )


def _value(source: Source, frame: DataFrame, column: str, name: str | None) -> Column:
    """Return a table column as a string. Raises DataError if the type of the input's column does not fit."""
    if name is None:
        return F.lit("1" if column == "relevance" else None).cast("string")
    field = field_at(frame.schema, name)
    if field is None:
        fix = naming_fix(source.kind, column, named=True)
        raise DataError(source.location, f"no column is called {name!r}", f"wanted a column for {column}", fix)
    if not can_be(column, field.dataType):
        raise wrong_type(source.location, column, name, field.dataType.simpleString())
    return column_text(frame.schema, column, name)


def _number_faults(schema: StructType, names: dict[str, str | None], values: dict[str, Column]) -> Iterator[Column]:
    for column, name in names.items():
        field = field_at(schema, name) if name is not None and column.endswith("_id") else None
        if field is not None and (fault := number_fault(field, values[column])) is not None:
            yield fault


def id_fault(name: str, value: Column) -> Column:
    """Return the reason why a text cannot be an id; null if it can.

    - name: the column in the input, for the reason.
    """
    return (
        F.when(value.isNull(), f'"{name}" is missing; every record needs one')
        .when(F.trim(value) == "", f'"{name}" is empty; ids need at least one character')
        .when(~F.is_valid_utf8(value), f'"{name}" is not valid UTF-8')
        .when(value.contains("\0"), f'"{name}" holds a NUL character; ids must be text')
    )


def _text_fault(name: str, value: Column) -> Column:
    return F.when(~F.is_valid_utf8(value), f'"{name}" is not valid UTF-8; files must be UTF-8')


def _relevance_fault(name: str, value: Column) -> Column:
    whole = value.rlike("^-?[0-9]{1,10}$") & value.try_cast("int").isNotNull()
    found = F.concat(F.lit(f'"{name}" is '), F.coalesce(value, F.lit("missing")), F.lit("; it must be an integer"))
    return F.when(~F.coalesce(whole, F.lit(False)), found)
