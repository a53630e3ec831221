"""The page `tables`: every table of a lake with its columns and constraints, from their schemas."""

from __future__ import annotations

from collections.abc import Iterator

from spladelake.config import JOBS
from spladelake.spark.tables.every_schema import SCHEMAS
from spladelake.spark.tables.schema import TableSchema

HEAD = """# The tables of a lake

Every table of a lake, with its columns and constraints.

A lake is a folder (`--lake my-lake`) or a schema of the catalog (`--lake schema:retrieval`) with Delta tables. In a
schema, a table's name is its path with underscores: `vectors_splade_mini_documents`.

Readers of Delta's protocol version 1 can open every table, so DuckDB, Polars and pandas read them too: see
[exchange](exchange.md). Every column has a comment. CHECK constraints keep the conditions that are listed below.

NAME stands for a name of vectors, by default the short name of their model; SET for a training set.

Each commit's `userMetadata` records the lineage of the rows: input tables with their versions, model, settings. The
table properties of the vectors record the lineage of the newest commit.
"""
# Where a schema's table lies in the lake, if that is not its name.
PLACES = {
    "vectors": "vectors/NAME/documents, vectors/NAME/queries",
    "vocabulary": "vectors/NAME/vocabulary",
    "index": "vectors/NAME/index",
    "staged": "vectors/NAME/documents_staged, vectors/NAME/queries_staged",
    "changed": "vectors/NAME/documents_changed, vectors/NAME/queries_changed",
}
UNFINISHED = "Exists only while an encode is unfinished."


def page() -> str:
    """The whole page in Markdown."""
    return HEAD + "\n" + "\n".join(line for schema in SCHEMAS.values() for line in table_lines(schema))


def table_lines(schema: TableSchema) -> Iterator[str]:
    """One table: its place, comment, columns, constraints and writers."""
    place = place_of(schema)
    yield f"## {place}"
    yield ""
    yield schema.comment + (f" {UNFINISHED}" if schema.name in ("staged", "changed") else "")
    yield ""
    yield from ["| column | type | meaning |", "|---|---|---|"]
    yield from (f"| `{column.name}` | {column.type} | {cell(column.comment)} |" for column in schema.columns)
    yield ""
    writers = [f"`{job.name}`" for job in JOBS.values() if set(place.split(", ")) & set(job.writes)]
    if schema.name == "run_log":
        writers = ["every job"]
    if writers:
        yield f"- Written by {', '.join(writers)}."
    if schema.change_feed:
        yield "- Delta keeps its change feed."
    yield from (f"- Constraint `{name}`: `{' '.join(text.split())}`." for name, text in schema.constraints.items())
    yield ""


def place_of(schema: TableSchema) -> str:
    """The path of a schema's table below the lake."""
    return PLACES.get(schema.name, schema.name.replace("training/", "training/SET/"))


def cell(text: str) -> str:
    """A text for a cell of a table."""
    return text.replace("|", "\\|")
