"""The maintenance job: it compacts small files, deletes old ones and checks the constraints."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from spladelake.config.upkeep import MaintainTables
from spladelake.errors import DataError
from spladelake.files.delta_folder import folder_table
from spladelake.names import amount
from spladelake.results import MaintainResult
from spladelake.spark.session.settings import session_settings
from spladelake.spark.tables import delta_log, storage
from spladelake.spark.tables.every_schema import SCHEMAS
from spladelake.spark.tables.locks import exclusive, retrying
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import SCHEMA_PREFIX, Lake, TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import (
    DOCUMENTS,
    JUDGEMENTS,
    MEASURES,
    QUERIES,
    RUNS,
    STAGED,
    VECTORS,
)
from spladelake.spark.tables.split_files import files_of
from spladelake.spark.tables.sql_text import quoted_parts
from spladelake.spark.upkeep.counts import constraint_sentences, counts_of, table_counts

log = logging.getLogger(__name__)

# Look-ups and updates find rows by these columns, so --cluster sorts by them. It uses ZORDER, because readers of
# protocol version 1 cannot read tables with Delta's own clustering (CLUSTER BY).
CLUSTERED = {
    DOCUMENTS.name: ("doc_id",), QUERIES.name: ("query_id",), JUDGEMENTS.name: ("query_id",), VECTORS.name: ("id",),
    RUNS.name: ("run_id", "query_id"), MEASURES.name: ("run_id", "query_id"),
}  # fmt: skip
_VACUUM_LOGGING = "spark.databricks.delta.vacuum.logging.enabled"
# Tasks over which VACUUM spreads the names of a table's files. Spark's default of 10,000 keeps two cores of a cluster
# busy for minutes per table.
_LISTING_TASKS = "spark.sql.sources.parallelPartitionDiscovery.parallelism"


@dataclass(frozen=True)
class LakeTable:
    """A table of a lake: its place, the name of its schema, and its properties."""

    ref: TableRef
    schema_name: str
    properties: Mapping[str, str] = field(hash=False)


def tables_of(session: SparkSession, lake: Lake) -> list[LakeTable]:
    """Return every table of a lake that this package made, sorted by name."""
    if lake.root.startswith(SCHEMA_PREFIX):
        schema = lake.root.removeprefix(SCHEMA_PREFIX)
        named = quoted_parts(schema)
        if not session.catalog.databaseExists(named):
            fix = "Correct --lake, or create the schema with CREATE SCHEMA."
            raise DataError(lake.root, "the catalog has no such schema", "wanted an existing schema", fix)
        rows = session.sql(f"SHOW TABLES IN {named}").collect()
        refs = [TableRef(name=f"{schema}.{row['tableName']}") for row in rows if not row["isTemporary"]]
    else:
        root = lake.table("x").path or ""
        pattern = root.removesuffix("/x")
        found = [
            folder
            for depth in ("", "/*", "/*/*")
            for folder in storage.folders(session, f"{pattern}{depth}/*/_delta_log")
        ]
        refs = [TableRef(path=storage.absolute(folder.rsplit("/", 1)[0])) for folder in found]
    described = ((ref, table_properties(session, ref)) for ref in refs)
    made = (LakeTable(ref, schema_name(ref, properties), properties) for ref, properties in described)
    return sorted((table for table in made if table.schema_name), key=lambda table: str(table.ref))


def schema_name(ref: TableRef, properties: dict[str, str]) -> str:
    """Return the name of a table's schema; "" if this package did not make the table.

    The properties of a staging table can already name `vectors`, if the run was killed just before the table became the
    vectors.
    """
    if "spladelake.staged_for" in properties and str(ref).endswith("_staged"):
        return STAGED.name
    return properties.get("spladelake.table", "")


def maintain_tables(session: SparkSession, options: MaintainTables) -> MaintainResult:
    """Compact, check and clean every table of the lake. Raises DataError if rows break a table's constraints."""
    lake, started = Lake(options.lake), time.monotonic()
    tables = tables_of(session, lake)
    if not tables:
        raise DataError(options.lake, "the lake holds no table", "wanted a lake with tables", "Correct --lake.")
    schemas = [SCHEMAS.get(table.schema_name) for table in tables]
    checked = [table_counts(t.ref.read(session), schema) for t, schema in zip(tables, schemas, strict=True)]
    findings, reports = [], {}
    for table, schema, found in zip(tables, schemas, counts_of(session, checked), strict=True):
        findings += constraint_sentences(table.ref, schema, found, table.properties)
        report = reports[str(table.ref)] = _maintain(session, table, schema, options)
        log.info("%s: %s", table.ref, _said(report))
    if findings:
        raise DataError(
            options.lake,
            " | ".join(findings),
            "wanted every constraint in force, and only rows that meet it",
            "Rerun, with --force, the job that made the table."
            if len(findings) == 1
            else "Rerun, with --force, the jobs that made these tables.",
        )
    return {
        "status": "dry run" if options.dry_run else "done",
        "tables": reports,
        "seconds": round(time.monotonic() - started, 2),
    }


def _said(report: Mapping[str, int]) -> str:
    """Return the counts of `_maintain` as a clause."""
    if "files_to_delete" in report:
        return f"{amount(report['files_to_delete'], 'file')} to delete"
    return f"{amount(report['files_compacted'], 'file')} compacted, {amount(report['files'], 'file')} in the table now"


def _maintain(
    session: SparkSession, table: LakeTable, schema: TableSchema | None, options: MaintainTables
) -> dict[str, Any]:
    """Compact one table and delete its old files; return the counts of files."""
    ref = table.ref
    if options.dry_run:
        return {"files_to_delete": _vacuum(session, ref, options).count() if _has_old_files(ref, options) else 0}
    # Otherwise every VACUUM adds two commits to the table's history that say nothing about its rows.
    session.conf.set(_VACUUM_LOGGING, "false")
    files = {} if schema is None else files_of(table.properties, schema.files)
    removed, count = 0, _file_count(session, ref)
    with exclusive(str(ref)), session_settings(session, files):
        # A single file can only be clustered, not compacted.
        if options.cluster or count > 1:
            statement = f"OPTIMIZE {ref.identifier}{_order(schema, table.properties) if options.cluster else ''}"
            row = retrying(lambda: session.sql(statement).first(), place=str(ref))
            removed = int(row["metrics"]["numFilesRemoved"]) if row is not None else 0
            count = _file_count(session, ref)
        if _has_old_files(ref, options):
            _vacuum(session, ref, options).collect()
    return {"files_compacted": removed, "files": count}


def _file_count(session: SparkSession, ref: TableRef) -> int:
    """Return the number of data files in the newest version. A local folder's log is read without Spark."""
    found = folder_table(Path(ref.path)) if ref.path is not None and "://" not in ref.path else None
    return delta_log.file_sizes(session, ref)[0] if found is None else len(found.sizes)


def _has_old_files(ref: TableRef, options: MaintainTables) -> bool:
    """Return whether VACUUM may find something to delete. VACUUM itself takes seconds to find nothing.

    VACUUM deletes only files older than the retention. The ages are known for a local folder. For other places the
    answer is True.
    """
    if ref.path is None or "://" in ref.path:
        return True
    oldest = time.time() - options.retention_hours * 3600
    current = folder_table(Path(ref.path))
    kept = frozenset() if current is None else {str(current.folder / name) for name in current.sizes}
    try:
        return any(age <= oldest and path not in kept for path, age in _ages(ref.path))
    except OSError:
        return True


def _ages(folder: str) -> Iterator[tuple[str, float]]:
    """Yield path and modification time of every entry of a table's folder that VACUUM looks at, the log excluded."""
    for entry in os.scandir(folder):
        if entry.name == "_delta_log":
            continue
        yield entry.path, entry.stat(follow_symlinks=False).st_mtime
        if entry.is_dir(follow_symlinks=False):
            yield from _ages(entry.path)


def _vacuum(session: SparkSession, ref: TableRef, options: MaintainTables) -> DataFrame:
    """Run VACUUM and return its answer. A dry run lists the files that VACUUM would delete."""
    tasks = min(int(session.conf.get(_LISTING_TASKS) or 0), 4 * session.sparkContext.defaultParallelism)
    statement = f"VACUUM {ref.identifier} RETAIN {options.retention_hours} HOURS{' DRY RUN' if options.dry_run else ''}"
    with session_settings(session, {_LISTING_TASKS: str(tasks)}), _println_on_stderr(session):
        return session.sql(statement)


@contextmanager
def _println_on_stderr(session: SparkSession) -> Iterator[None]:
    """Send Scala's println of this thread to stderr: VACUUM prints a count, but stdout is for the result."""
    jvm = session.sparkContext._jvm
    assert jvm is not None
    console = getattr(getattr(jvm.scala, "Console$"), "MODULE$")
    stdout = console.out()
    console.setOutDirect(jvm.java.lang.System.err)
    try:
        yield
    finally:
        console.setOutDirect(stdout)


def _order(schema: TableSchema | None, properties: Mapping[str, str]) -> str:
    """Return the clause that clusters a table; empty for vectors that compact_vectors has already sorted."""
    columns = () if schema is None or "spladelake.compaction" in properties else CLUSTERED.get(schema.name, ())
    return f" ZORDER BY ({', '.join(columns)})" if columns else ""
