"""One input: the table that it fills, its place and its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from spladelake.spark.tables import storage
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, JUDGEMENTS, QUERIES, RUNS, TableSchema

TABLE_PREFIX = "table:"
# One record a line, read by the parsers of ring 1; the others are read by Spark's own sources.
LINE_FORMATS = ("jsonl", "tsv", "qrels", "trec")
SCHEMAS: dict[str, TableSchema] = {
    "documents": DOCUMENTS,
    "queries": QUERIES,
    "judgements": JUDGEMENTS,
    "runs": RUNS,
}


@dataclass(frozen=True)
class Source:
    """One input: which table it fills, where it is, its format and the names of its columns where given.

    label: what to call it where its files are made anew at every run. version: of a Delta table, the one to read.
    """

    kind: str
    location: str
    format: str
    columns: tuple[tuple[str, str], ...] = ()
    label: str | None = None
    version: int | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that identify a record."""
        return {"documents": ("doc_id",), "queries": ("query_id",)}.get(self.kind, ("query_id", "doc_id"))

    @property
    def schema(self) -> TableSchema:
        return SCHEMAS[self.kind]

    def fingerprint(self, session: SparkSession) -> Any:
        """What changes when the input does: the version of a Delta table, else names, sizes and times of its files."""
        if self.format == "delta":
            return [self.location, self.version]
        return [self.location, storage.input_fingerprint(session, self.location)]


def table_ref(location: str) -> TableRef:
    """`table:NAME` is a table of the catalog, anything else a folder."""
    if location.startswith(TABLE_PREFIX):
        return TableRef(name=location.removeprefix(TABLE_PREFIX))
    return TableRef(path=location)
