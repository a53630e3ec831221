"""The maintenance job: small files compacted, old ones deleted, constraints in place."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from spladelake.config.upkeep import MaintainTables
from spladelake.errors import DataError
from spladelake.spark import storage
from spladelake.spark.concurrency import exclusive, retrying
from spladelake.spark.schemas import (
    CHANGED,
    COMPACTIONS,
    DOCUMENTS,
    JUDGEMENTS,
    MEASURES,
    PAIRS,
    PARTS,
    QUARANTINE,
    QUERIES,
    RUN_LOG,
    RUNS,
    SCORED_PAIRS,
    STAGED,
    TEACHER_SCORES,
    VECTORS,
    VOCABULARY,
    TableSchema,
)
from spladelake.spark.split_files import files_of
from spladelake.spark.tables import SCHEMA_PREFIX, Lake, TableRef, quoted, table_properties, written_as

log = logging.getLogger(__name__)

SCHEMAS: dict[str, TableSchema] = {
    schema.name: schema
    for schema in (
        DOCUMENTS, QUERIES, JUDGEMENTS, VECTORS, VOCABULARY, RUNS, MEASURES, QUARANTINE, RUN_LOG, STAGED, CHANGED,
        COMPACTIONS, PARTS, PAIRS, TEACHER_SCORES, SCORED_PAIRS,
    )
}  # fmt: skip
# Columns by which look-ups and updates find rows, and by which --cluster puts rows side by side. By ZORDER: the
# clustering that Delta keeps in a table's properties shuts out readers of protocol version 1.
CLUSTERED = {
    DOCUMENTS.name: ("doc_id",), QUERIES.name: ("query_id",), JUDGEMENTS.name: ("query_id",), VECTORS.name: ("id",),
    RUNS.name: ("run_id", "query_id"), MEASURES.name: ("run_id", "query_id"),
}  # fmt: skip
_VACUUM_LOGGING = "spark.databricks.delta.vacuum.logging.enabled"
# Tasks over which VACUUM spreads the names of a table's files. Spark's 10,000 keep two cores of a cluster busy for
# minutes a table.
_LISTING_TASKS = "spark.sql.sources.parallelPartitionDiscovery.parallelism"


def tables_of(session: SparkSession, lake: Lake) -> list[tuple[TableRef, str]]:
    """Every table of a lake that this package made, with the name of its schema; sorted."""
    if lake.root.startswith(SCHEMA_PREFIX):
        schema = lake.root.removeprefix(SCHEMA_PREFIX)
        rows = session.sql(f"SHOW TABLES IN {quoted(schema)}").collect()
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
    made = [(ref, schema_name(ref, table_properties(session, ref))) for ref in refs]
    return sorted(((ref, name) for ref, name in made if name), key=lambda pair: str(pair[0]))


def schema_name(ref: TableRef, properties: dict[str, str]) -> str:
    """Name of a table's schema, "" where this package did not make it.

    A run that was killed just before its staging table became that of the vectors has it say so already.
    """
    if "spladelake.staged_for" in properties and str(ref).endswith("_staged"):
        return STAGED.name
    return properties.get("spladelake.table", "")


def maintain_tables(session: SparkSession, options: MaintainTables) -> dict[str, Any]:
    """Compact, check and clean every table of the lake. Raises DataError where rows break a table's constraints."""
    lake, started = Lake(options.lake), time.monotonic()
    tables = tables_of(session, lake)
    if not tables:
        raise DataError(options.lake, "it holds no table", "the job looks after tables", "Correct --lake.")
    findings: list[str] = []
    reports = {}
    for ref, name in tables:
        findings += constraint_findings(session, ref, SCHEMAS.get(name))
        reports[str(ref)] = _maintain(session, ref, SCHEMAS.get(name), options)
        log.info("%s: %s", ref, ", ".join(f"{key} {value}" for key, value in reports[str(ref)].items()))
    if findings:
        raise DataError(
            options.lake,
            "; ".join(findings),
            "every row keeps its table's constraints",
            "Run the job that made the table again with --force.",
        )
    return {"status": "dry run" if options.dry_run else "done", "tables": reports, "seconds": _since(started)}


def _maintain(
    session: SparkSession, ref: TableRef, schema: TableSchema | None, options: MaintainTables
) -> dict[str, Any]:
    """Compact one table and delete its old files; returns what was done."""
    if options.dry_run:
        return {"files_to_delete": _vacuum(session, ref, options).count()}
    # What a VACUUM writes into the table's history is two commits that say nothing of the rows.
    session.conf.set(_VACUUM_LOGGING, "false")
    properties = table_properties(session, ref)
    files = {} if schema is None else files_of(properties, schema.files)
    statement = f"OPTIMIZE {ref.identifier}{_order(schema, properties) if options.cluster else ''}"
    with exclusive(str(ref)), written_as(session, files):
        row = retrying(lambda: session.sql(statement).first(), place=str(ref))
        metrics = row["metrics"] if row is not None else {}
        before = ref.delta(session).detail().first()
        _vacuum(session, ref, options).collect()
    return {
        "files_compacted": int(metrics["numFilesRemoved"]) if metrics else 0,
        "files": int(before["numFiles"]) if before is not None else 0,
    }


def _vacuum(session: SparkSession, ref: TableRef, options: MaintainTables) -> DataFrame:
    """What VACUUM answers, which has done its work by then; a dry run names the files that it would delete."""
    tasks = min(int(session.conf.get(_LISTING_TASKS) or 0), 4 * session.sparkContext.defaultParallelism)
    statement = f"VACUUM {ref.identifier} RETAIN {options.retention_hours} HOURS{' DRY RUN' if options.dry_run else ''}"
    with written_as(session, {_LISTING_TASKS: str(tasks)}), _println_on_stderr(session):
        return session.sql(statement)


@contextmanager
def _println_on_stderr(session: SparkSession) -> Iterator[None]:
    """Turn Scala's println of this thread to stderr: VACUUM says how much it deleted, and stdout is the result's."""
    jvm = session.sparkContext._jvm
    assert jvm is not None
    console = getattr(getattr(jvm.scala, "Console$"), "MODULE$")
    stdout = console.out()
    console.setOutDirect(jvm.java.lang.System.err)
    try:
        yield
    finally:
        console.setOutDirect(stdout)


def _order(schema: TableSchema | None, properties: dict[str, str]) -> str:
    """The clause that clusters a table; none where compact_vectors has put like documents side by side."""
    columns = () if schema is None or "spladelake.compaction" in properties else CLUSTERED.get(schema.name, ())
    return f" ZORDER BY ({', '.join(columns)})" if columns else ""


def constraint_findings(session: SparkSession, ref: TableRef, schema: TableSchema | None) -> list[str]:
    """Constraints that the table lacks, and constraints that rows of it break."""
    if schema is None or not schema.constraints:
        return []
    present = table_properties(session, ref)
    missing = [name for name in schema.constraints if f"delta.constraints.{name}" not in present]
    counts = [
        f"count_if(NOT coalesce({condition}, false)) AS {quoted(name)}"
        for name, condition in schema.constraints.items()
    ]
    row = ref.read(session).selectExpr(*counts).first()
    assert row is not None
    broken = [
        f"{ref}: {row[name]:,} rows break {name} ({schema.constraints[name]})" for name in row.asDict() if row[name]
    ]
    return [*(f"{ref}: the constraint {name} is missing" for name in missing), *broken]


def _since(started: float) -> float:
    return round(time.monotonic() - started, 2)
