"""One input: the table that it fills, its files and its format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import SparkSession

from spladelake.spark.tables import storage
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import Column, TableSchema
from spladelake.spark.tables.schemas import DOCUMENTS, JUDGEMENTS, QUERIES, RUNS

TABLE_PREFIX = "table:"
# Formats with one record in each line.
LINE_FORMATS = ("jsonl", "tsv", "qrels", "trec")
# The column of records of text files with the values that are kept, by name.
KEPT = Column("kept", "map<string,string>", "Values of other columns of the input.")
SCHEMAS: dict[str, TableSchema] = {
    "documents": DOCUMENTS,
    "queries": QUERIES,
    "judgements": JUDGEMENTS,
    "runs": RUNS,
}


@dataclass(frozen=True)
class Source:
    """One input.

    - kind: the table that the input fills. location: the file, folder, pattern or table that the user named.
    - format: jsonl, tsv, csv, parquet, qrels, trec or delta.
    - columns: (column of the table, name in the input) if the user named them.
    - label: name of the input if every run writes its files again.
    - version: version of a Delta table to read.
    - keep: other columns to keep, or files.kept.ALL.
    - files: the files to read; None if they are not listed yet. all_files: whether these are all files of the location.
    """

    kind: str
    location: str
    format: str
    columns: tuple[tuple[str, str], ...] = ()
    label: str | None = None
    version: int | None = None
    keep: tuple[str, ...] = ()
    files: tuple[storage.InputFile, ...] | None = None
    all_files: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that identify a record."""
        return {"documents": ("doc_id",), "queries": ("query_id",)}.get(self.kind, ("query_id", "doc_id"))

    @property
    def schema(self) -> TableSchema:
        """Schema of the table."""
        return SCHEMAS[self.kind]

    @property
    def parsed_schema(self) -> TableSchema:
        """Columns of the records of text files: those of the table, and KEPT if other columns are kept."""
        return replace(self.schema, columns=(*self.schema.columns, KEPT)) if self.keep else self.schema

    def listed(self, session: SparkSession) -> tuple[storage.InputFile, ...]:
        """Return the files to read."""
        return storage.input_files(session, self.location) if self.files is None else self.files

    def paths(self, session: SparkSession) -> list[str]:
        """Return the paths for a reader: the roots of the input, or its files if some files are left out."""
        if self.all_files:
            return storage.roots(session, self.location)
        return [file.path for file in self.listed(session)]

    def fingerprint(self, session: SparkSession) -> Any:
        """Return the state of the input: the version of a Delta table, else names, sizes and times of its files."""
        if self.format == "delta":
            return [self.location, self.version]
        return [self.location, storage.fingerprint_of(self.listed(session))]


def table_ref(location: str) -> TableRef:
    """Return the table of a location: `table:NAME` is a table of the catalog, others are folders."""
    if location.startswith(TABLE_PREFIX):
        return TableRef.parse(location.removeprefix(TABLE_PREFIX))
    return TableRef(path=location)
