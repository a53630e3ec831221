"""The verification job: do the tables of a lake agree with each other, and each with itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config.upkeep import VerifyTables
from spladelake.errors import DataError
from spladelake.spark.quarantine import quarantined_ids
from spladelake.spark.split_files import COMPACTED_FROM
from spladelake.spark.tables import Lake, TableRef, table_properties
from spladelake.spark.texts import SIDES, texts_of
from spladelake.spark.upkeep import SCHEMAS, constraint_findings, tables_of

# Findings shown in the error's one line; all of them are in its `findings`.
SHOWN = 10


class FindingsError(DataError):
    """Tables that do not agree; findings: all of them, one sentence each."""

    def __init__(self, lake: str, findings: list[str]) -> None:
        shown = "; ".join(findings[:SHOWN])
        more = f"; and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
        super().__init__(
            lake,
            f"{len(findings)} findings: {shown}{more}",
            "tables that agree were wanted",
            "Run the jobs that made them again; what is current is skipped.",
        )
        self.findings = findings


@dataclass(frozen=True)
class Tables:
    """The tables of a lake that are there."""

    session: SparkSession
    lake: Lake
    found: list[tuple[TableRef, str]]

    def rows(self, ref: TableRef) -> DataFrame | None:
        """Rows of a table, None where there is none."""
        return ref.read(self.session) if any(ref == there for there, _ in self.found) else None

    def of(self, schema: str) -> Iterator[TableRef]:
        """Every table of a schema."""
        return (ref for ref, name in self.found if name == schema)


def verify_tables(session: SparkSession, options: VerifyTables) -> dict[str, Any]:
    """Check every table of the lake. Raises FindingsError where something is wrong."""
    lake, started = Lake(options.lake), time.monotonic()
    tables = Tables(session, lake, tables_of(session, lake))
    if not tables.found:
        raise DataError(options.lake, "it holds no table", "the job checks tables", "Correct --lake.")
    findings: list[str] = []
    for ref, name in tables.found:
        findings += constraint_findings(session, ref, SCHEMAS.get(name))
    checks: list[Callable[[Tables], Iterator[str]]] = [_keys, _vectors, _runs, _measures, _leftovers]
    for check in checks:
        findings += check(tables)
    if findings:
        raise FindingsError(options.lake, findings)
    counts = {str(ref): ref.read(session).count() for ref, _ in tables.found}
    return {"status": "done", "findings": [], "tables": counts, "seconds": round(time.monotonic() - started, 2)}


_KEYS = {
    "documents": ("doc_id",),
    "queries": ("query_id",),
    "judgements": ("query_id", "doc_id"),
    "vectors": ("id",),
    "vocabulary": ("term_id",),
    "runs": ("run_id", "query_id", "doc_id"),
    "measures": ("run_id", "measure", "query_id"),
}


def _keys(tables: Tables) -> Iterator[str]:
    """Every key stands once."""
    for ref, name in tables.found:
        if keys := _KEYS.get(name):
            repeated = ref.read(tables.session).groupBy(*keys).count().where("count > 1").count()
            if repeated:
                yield f"{ref}: {repeated:,} values of {' and '.join(keys)} stand more than once"


def _vectors(tables: Tables) -> Iterator[str]:
    """Vectors are those of the texts, of one model, within its vocabulary."""
    for ref in tables.of("vectors"):
        side = SIDES["documents" if str(ref).endswith("documents") else "queries"]
        vectors, properties = ref.read(tables.session), table_properties(tables.session, ref)
        models = sorted(row["model_id"] for row in vectors.select("model_id").distinct().collect())
        if models and models != [properties.get("spladelake.model_id")]:
            yield f"{ref}: the rows are of model_id {', '.join(m[:12] for m in models)}, which its properties deny"
        size = int(properties.get("spladelake.vocabulary_size", 0))
        beyond = vectors.where(F.size("indices") > 0).where(F.array_max("indices") >= size).count()
        if beyond:
            yield f"{ref}: {beyond:,} vectors have terms beyond the vocabulary of {size:,}"
        texts = tables.rows(tables.lake.table(side.name))
        if texts is None:
            if not vectors.where("text_sha256 IS NOT NULL").isEmpty():
                yield f"{ref}: there is no {side.name} table"
            continue
        encoded = properties.get(f"spladelake.{COMPACTED_FROM}", str(ref))
        yield from _against_texts(tables, ref, texts_of(texts, side), vectors, encoded=encoded)


def _against_texts(
    tables: Tables, ref: TableRef, texts: DataFrame, vectors: DataFrame, *, encoded: str
) -> Iterator[str]:
    """encoded: the table that texts went to quarantine for; of compacted vectors that which they were made from."""
    side = "documents" if str(ref).endswith("documents") else "queries"
    # The encoder leaves the hash out of a null text only: other vectors without one came without texts.
    known = F.col("text_sha256").isNotNull() | (F.col("status") == "null")
    have = vectors.select(F.col("id").alias("have_id"), F.col("text_sha256").alias("have_sha256"), known.alias("known"))
    label = f"encode_texts {side}: {encoded}"
    apart = quarantined_ids(tables.session, tables.lake, label).select(F.col("id").alias("q"))
    joined = texts.select("id", "text_sha256").join(have, F.col("id") == F.col("have_id"), "full_outer")
    joined = joined.join(F.broadcast(apart), F.col("id") == F.col("q"), "left")
    row = joined.agg(
        F.count_if(F.col("have_id").isNull() & F.col("q").isNull()).alias("without a vector"),
        F.count_if(F.col("id").isNull()).alias("gone, but their vectors are there"),
        F.count_if(
            F.col("id").isNotNull() & F.col("known") & ~F.col("text_sha256").eqNullSafe(F.col("have_sha256"))
        ).alias("changed since they were encoded"),
    ).first()
    assert row is not None
    for what, count in row.asDict().items():
        if count:
            yield f"{ref}: {count:,} {side} are {what}"


def _runs(tables: Tables) -> Iterator[str]:
    """Runs rank known documents for known queries, without gaps, by descending score."""
    runs = tables.rows(tables.lake.table("runs"))
    if runs is None:
        return
    for kind, column in (("documents", "doc_id"), ("queries", "query_id")):
        known = tables.rows(tables.lake.table(kind))
        if known is not None:
            orphans = runs.select(column).distinct().join(known.select(column), column, "left_anti").count()
            if orphans:
                yield f"{tables.lake.table('runs')}: {orphans:,} {kind} of the runs are not in {kind}"
    grouped = runs.groupBy("run_id", "query_id").agg(
        F.count("*").alias("rows"),
        F.max("rank").alias("last"),
        F.transform(F.sort_array(F.collect_list(F.struct("rank", "score"))), lambda hit: hit["score"]).alias("scores"),
    )
    ordered = F.col("scores") == F.sort_array("scores", asc=False)
    bad = grouped.where((F.col("rows") != F.col("last")) | ~ordered).count()
    if bad:
        yield f"{tables.lake.table('runs')}: {bad:,} rankings have gaps, or scores that ascend"


def _measures(tables: Tables) -> Iterator[str]:
    """Measures are of runs that are there."""
    measures, runs = (tables.rows(tables.lake.table(name)) for name in ("measures", "runs"))
    if measures is not None and runs is not None:
        orphans = measures.select("run_id").distinct().join(runs.select("run_id"), "run_id", "left_anti").collect()
        for row in orphans:
            yield f"{tables.lake.table('measures')}: there is no run {row['run_id']!r}"


def _leftovers(tables: Tables) -> Iterator[str]:
    """No encode stopped half way."""
    for ref in tables.of("staged"):
        rows = ref.read(tables.session).count()
        yield f"{ref}: an encode stopped after {rows:,} texts; run encode_texts again to finish it"
