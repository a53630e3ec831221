"""The ingest job: it reads texts and judgements into Delta tables, and every unusable record into `quarantine`."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.config import IngestTexts
from spladelake.errors import DataError
from spladelake.names import example
from spladelake.results import IngestResult, TableOfTexts
from spladelake.spark.ingest.judgements import read_as
from spladelake.spark.ingest.kept import with_kept_columns
from spladelake.spark.ingest.source import Source
from spladelake.spark.ingest.sources import beir_sources, named_sources, places, reading, records
from spladelake.spark.session.file_uris import plain_path
from spladelake.spark.tables.lineage import Lineage, is_current
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import QUARANTINE
from spladelake.spark.tables.skeleton import made_unless_current
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)

IR_DATASETS_PREFIX = "ir_datasets:"
# Options that name the columns of an input.
_NAMING = {
    "documents": ", name its columns with --document-id and --document-text",
    "queries": ", name its columns with --query-id and --query-text",
}


def ingest_texts(session: SparkSession, options: IngestTexts) -> IngestResult:
    """Fill documents, queries and judgements of the lake from the inputs that the options name."""
    lake = Lake(options.lake)
    if options.source and options.source.startswith(IR_DATASETS_PREFIX):
        parts = _ingest_dataset(session, lake, options, options.source.removeprefix(IR_DATASETS_PREFIX))
    else:
        if options.source:
            sources = beir_sources(session, options.source, options.split, options.keep)
        else:
            sources = named_sources(session, options)
        parts = {s.kind: _ingest(session, lake, s, options, s.fingerprint(session)) for s in sources}
    written = any(part["status"] == "written" for part in parts.values())
    return cast("IngestResult", {"status": "written" if written else "skipped", **parts})


def _ingest_dataset(session: SparkSession, lake: Lake, options: IngestTexts, dataset_id: str) -> dict[str, Any]:
    from spladelake.spark.ingest.ir_datasets import named_dataset, write_beir_folder

    named = named_dataset(dataset_id)
    planned = named.sources("")
    identity = [named.label, named.version]
    lineages = [_lineage(source, options, identity) for source in planned]
    tables = [lake.table(source.kind) for source in planned]
    with ExitStack() as cleanup:
        # Staging may download gigabytes, so it happens only if a table is not current.
        if options.force or not all(is_current(session, t, made) for t, made in zip(tables, lineages, strict=True)):
            planned = named.sources(write_beir_folder(session, named, lake, cleanup))
        return {s.kind: _ingest(session, lake, s, options, identity) for s in planned}


def _lineage(source: Source, options: IngestTexts, fingerprint: Any) -> Lineage:
    return Lineage(
        "ingest_texts",
        {source.kind: fingerprint},
        {
            "format": source.format,
            "columns": source.columns,
            "max_rejected": options.max_rejected,
            **({"keep": list(source.keep)} if source.keep else {}),
        },
    )


def _ingest(session: SparkSession, lake: Lake, source: Source, options: IngestTexts, fingerprint: Any) -> TableOfTexts:
    target, name = lake.table(source.kind), source.label or source.location
    lineage = _lineage(source, options, fingerprint)
    return made_unless_current(
        session, {target: lineage}, lambda: _write(session, lake, source, options, lineage),
        force=options.force, step=f"ingest {source.kind} from {name}", known=TableOfTexts(table=str(target)),
    )  # fmt: skip


def _write(session: SparkSession, lake: Lake, source: Source, options: IngestTexts, lineage: Lineage) -> dict[str, Any]:
    """Write the usable records to the table and the others to the quarantine; return the counts."""
    target, name = lake.table(source.kind), source.label or source.location
    form = read_as(session, source)
    with reading(session, source):
        found = records(session, source).persist(StorageLevel.DISK_ONLY)
    try:
        with reading(session, source):
            total = found.count()
        if total == 0:
            raise DataError(
                name,
                "the input has no records",
                "wanted at least one record",
                "Correct the location of the input, or check the program that wrote it. The table keeps its old rows.",
            )
        repeated = _repeated(found, source)
        rejected = _rejects(found, repeated, source)
        bad = rejected.count()
        retry = {"input": _made_for(source), "options": {**options.settings(), "lake": options.lake, "force": True}}
        examples = _quarantine(session, lake, source, rejected, bad, replace(lineage, retry=retry))
        _check_share(source, bad, total, options.max_rejected, examples, lake)
        usable = found.where(F.col("reason").isNull())
        if repeated is not None:
            # The seq of a record is unique in the input, so the later ones of a repeated id can be taken out by it.
            usable = usable.join(
                F.broadcast(repeated.select("file", "block", "seq")), ["file", "block", "seq"], "left_anti"
            )
        schema, rows = with_kept_columns(session, target, source, usable)
        replace_rows(session, target, schema, rows, lineage=lineage)
    finally:
        found.unpersist()
    if bad:
        log.warning(
            "%s: %s of %s records went to %s %s",
            source.kind,
            f"{bad:,}",
            f"{total:,}",
            lake.table("quarantine"),
            example(bad, examples[0]),
        )
    counts: dict[str, Any] = {"rows": total - bad, "rejected": bad}
    return counts if form is None else {**counts, "read_as": form}


def _repeated(found: DataFrame, source: Source) -> DataFrame | None:
    """Return usable records whose id occurs earlier, with the place of the first; None if there are none."""
    usable = found.where(F.col("reason").isNull())
    keys = list(source.keys)
    place = F.struct("file", "block", "seq")
    several = usable.groupBy(*keys).agg(F.count("*").alias("times"), F.min(place).alias("first")).where("times > 1")
    if several.isEmpty():
        return None
    return usable.join(several, keys).where(place > F.col("first"))


def _rejects(found: DataFrame, repeated: DataFrame | None, source: Source) -> DataFrame:
    """Return (file, block, seq, reason, raw) of every record that does not reach the table."""
    columns = ["file", "block", "seq", "reason", "raw"]
    rejects = found.where(F.col("reason").isNotNull()).select(*columns)
    if repeated is None:
        return rejects
    ids = F.concat_ws(" and ", *(F.concat(F.lit(f'"{key}" '), F.col(key)) for key in source.keys))
    content = F.to_json(F.struct(*source.schema.column_names)).cast("binary")
    reason = F.concat(ids, F.lit(" occurs earlier in the input; the first record is kept"))
    return rejects.unionByName(repeated.select("file", "block", "seq", reason.alias("reason"), content.alias("raw")))


def with_lines(rejects: DataFrame, places: DataFrame, *, header_lines: int) -> DataFrame:
    """Add `line`, the record's number in its file from 1.

    places: (file, block, seq) of every line of the input, also of blank lines. seq ascends by one within a block of a
    file. So the number of a line is the number of lines in earlier blocks plus its distance from its block's start.
    """
    blocks = places.groupBy("file", "block").agg(F.min("seq").alias("start"), F.max("seq").alias("end"))
    before = Window.partitionBy("file").orderBy("block").rowsBetween(Window.unboundedPreceding, -1)
    size = F.col("end") - F.col("start") + 1
    blocks = blocks.withColumn("earlier", F.coalesce(F.sum(size).over(before), F.lit(0)))
    line = F.col("earlier") + F.col("seq") - F.col("start") + 1 + header_lines
    return rejects.join(F.broadcast(blocks), ["file", "block"]).withColumn("line", line)


def _quarantine(
    session: SparkSession, lake: Lake, source: Source, rejected: DataFrame, bad: int, lineage: Lineage
) -> list[str]:
    """Replace the rows of an input in `quarantine`. Return up to three rejections as sentences."""
    target = lake.table("quarantine")
    made_for = _made_for(source)
    mine = F.col("input") == made_for
    if not bad and not (target.exists(session) and not target.read(session).where(mine).isEmpty()):
        return []
    fixed = source.label or (source.location if source.format == "delta" else None)
    name = F.lit(fixed) if fixed else plain_path(F.col("file"))
    where = f"input = {sql_string(made_for)}"
    with reading(session, source):
        numbered = _numbered(session, source, rejected)
        rows = numbered.select(name.alias("source"), "line", "reason", "raw", F.lit(made_for).alias("input"))
        rows = rows.orderBy("source", "line").coalesce(1)
        replace_rows(session, target, QUARANTINE, rows, lineage=lineage, where=where)
    first = target.read(session).where(mine).orderBy("source", "line").limit(3).collect()
    return [f"{Path(row['source']).name}{_at(row['line'])}: {row['reason']}" for row in first]


def _numbered(session: SparkSession, source: Source, rejected: DataFrame) -> DataFrame:
    """Add `line`: the number of a record in its file from 1, for Parquet its row; null for JSON and Delta tables."""
    if source.format == "delta":
        return rejected.withColumn("line", F.lit(None).cast("bigint"))
    if source.format in ("csv", "json"):
        return rejected.withColumn("line", F.col("seq") if source.format == "csv" else F.lit(None).cast("bigint"))
    return with_lines(rejected, places(session, source), header_lines=0)


def _made_for(source: Source) -> str:
    """Return the name of an input in `quarantine`."""
    return f"{source.kind}: {source.label or source.location}"


def _at(line: int | None) -> str:
    return "" if line is None else f" line {line}"


def _check_share(source: Source, bad: int, total: int, allowed: float, examples: list[str], lake: Lake) -> None:
    if bad > allowed * total:
        listed = f"{': ' if bad == len(examples) else ', for example: '}{' | '.join(examples)}"
        raise DataError(
            source.location,
            f"{bad:,} of {total:,} records are malformed",
            f"wanted at most {100 * allowed:g}%",
            f"Correct the input{_NAMING.get(source.kind, '')}, or raise --max-rejected. "
            f"{lake.table('quarantine')} lists the malformed records{listed}.",
        )
