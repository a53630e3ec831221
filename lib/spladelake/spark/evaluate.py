"""The evaluation job: measures of a run, per query and on average, computed in Spark by the definitions of ring 1."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spladelake.config import EvaluateRun
from spladelake.errors import DataError
from spladelake.measures import CARD_MEASURES, Measure, counts, parse_measure
from spladelake.names import short_name
from spladelake.spark.schemas import JUDGEMENTS, MEASURES, RUNS
from spladelake.spark.tables import (
    Lake,
    Lineage,
    TableRef,
    is_current,
    newest_lineage,
    replace_rows,
    require,
    sql_string,
    table_properties,
)

log = logging.getLogger(__name__)

# The published card's measures, then graded nDCG: the one measure that uses the grades.
DEFAULT_MEASURES = (*CARD_MEASURES, "ndcg_cut_10")

_VALUES = pa.schema([("query_id", pa.string()), ("measure", pa.string()), ("value", pa.float64())])


@dataclass(frozen=True)
class MeasureQueries:
    """The function given to mapInArrow: (query_id, hits, judged) rows to one row a query and measure."""

    names: tuple[str, ...]
    level: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        measures = [parse_measure(name) for name in self.names]
        for batch in batches:
            yield self._measure(batch.to_pylist(), measures)

    def _measure(self, queries: list[dict[str, Any]], measures: list[Measure]) -> pa.RecordBatch:
        ids: list[str] = []
        names: list[str] = []
        values: list[float] = []
        for query in queries:
            judged = np.asarray(query["judged"], dtype=np.int32)
            relevance = dense_relevance(query["hits"] or [])
            for measure in measures:
                if counts(judged, measure.convention, self.level):
                    ids.append(query["query_id"])
                    names.append(measure.name)
                    values.append(measure(relevance, judged, level=self.level))
        return pa.RecordBatch.from_arrays(
            [pa.array(ids, pa.string()), pa.array(names, pa.string()), pa.array(values, pa.float64())], schema=_VALUES
        )


def dense_relevance(hits: list[dict[str, int]]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Relevance by rank, 0 where unjudged, from the judged ranks alone: hits are (rank from 1, relevance)."""
    relevance = np.zeros(max((hit["rank"] for hit in hits), default=0), dtype=np.int32)
    for hit in hits:
        relevance[hit["rank"] - 1] = hit["relevance"]
    return relevance


def judged_hits(run: DataFrame, judgements: DataFrame) -> DataFrame:
    """(query_id, judged, hits) for every judged query, with or without a document in the run.

    judged: array<int>, grades of all its judged documents. hits: array<struct<rank, relevance>>, null if none.
    """
    judged = judgements.groupBy("query_id").agg(F.collect_list("relevance").alias("judged"))
    hits = (
        run.join(judgements, ["query_id", "doc_id"])
        .groupBy("query_id")
        .agg(F.collect_list(F.struct("rank", "relevance")).alias("hits"))
    )
    return judged.join(hits, "query_id", "left").select("query_id", "judged", "hits")


def query_measures(run: DataFrame, judgements: DataFrame, *, names: tuple[str, ...], level: int = 1) -> DataFrame:
    """(query_id, measure, value): every measure of every judged query that counts under the measure's convention."""
    schema = StructType([f for f in MEASURES.struct.fields if f.name != "run_id"])
    ordered = StructType([schema["query_id"], schema["measure"], schema["value"]])
    return judged_hits(run, judgements).mapInArrow(MeasureQueries(names, level), ordered)


def evaluate_run(session: SparkSession, options: EvaluateRun) -> dict[str, Any]:
    """Measure one run of the lake; per-query values and means go to `measures`."""
    names = tuple(parse_measure(name).name for name in options.measures) or DEFAULT_MEASURES
    lake, model = Lake(options.lake), short_name(options.vectors or options.model)
    run_id = options.run_id or model
    runs, judgements, target = lake.table("runs"), lake.table("judgements"), lake.table("measures")
    require(session, runs, RUNS, made_by=f"spladelake retrieve_run --lake {lake.root} …")
    require(session, judgements, JUDGEMENTS, made_by=f"spladelake ingest_texts --lake {lake.root} --judgements …")
    tables = {"runs": runs, "judgements": judgements, **_vectors_of_run(session, runs, run_id)}
    inputs = {name: [str(ref), ref.version(session)] for name, ref in tables.items()}
    lineage = Lineage("evaluate_run", inputs, {"measures": names, "level": options.relevance_level}, scope=run_id)
    started = time.monotonic()
    status = "skipped"
    if options.force or not is_current(session, target, lineage):
        status = "written"
        _write_measures(session, target, tables, lineage, names=names, level=options.relevance_level)
    else:
        log.info("%s: run %s skipped, its measures are current", target, run_id)
    means = {
        row["measure"]: row["value"]
        for row in target.read(session).where((F.col("run_id") == run_id) & F.col("query_id").isNull()).collect()
    }
    return {
        "status": status,
        "run_id": run_id,
        "table": str(target),
        "seconds": round(time.monotonic() - started, 2),
        "queries": int(means.pop("queries", 0)),
        "measures": {name: means[name] for name in _order(names, means)},
    }


def _order(names: tuple[str, ...], means: dict[str, float]) -> list[str]:
    return [*(n for n in names if n in means), *sorted(n for n in means if n not in names)]


def _vectors_of_run(session: SparkSession, runs: TableRef, run_id: str) -> dict[str, TableRef]:
    """The vectors that a run was made from, by side; none where the run did not come from retrieve_run."""
    made_from = (newest_lineage(session, runs, scope=run_id) or {}).get("inputs", {})
    refs = {side: TableRef.parse(made_from[side][0]) for side in ("queries", "documents") if side in made_from}
    return {side: ref for side, ref in refs.items() if ref.exists(session)}


def _write_measures(
    session: SparkSession,
    target: TableRef,
    tables: dict[str, TableRef],
    lineage: Lineage,
    *,
    names: tuple[str, ...],
    level: int,
) -> None:
    at = {name: ref.read(session, version=lineage.inputs[name][1]) for name, ref in tables.items()}
    run = at["runs"].where(F.col("run_id") == lineage.scope)
    check_run(run, at["judgements"], run_id=lineage.scope, runs=tables["runs"])
    values = query_measures(run, at["judgements"], names=names, level=level).persist()
    means = values.groupBy("measure").agg(F.avg("value").alias("value"))
    counted = values.agg(F.count_distinct("query_id").cast("double").alias("value"))
    averages = means.unionByName(counted.select(F.lit("queries").alias("measure"), "value"))
    if values.isEmpty():
        raise DataError(
            str(tables["judgements"]),
            f"no query has a document of relevance {level} or more",
            "wanted at least one",
            "Lower --relevance-level, or check the judgements.",
        )
    for side in ("queries", "documents"):
        if side in tables:
            averages = averages.unionByName(_sparsity(session, side, tables[side], at[side], at["judgements"], level))
    rows = values.unionByName(averages.withColumn("query_id", F.lit(None).cast("string")))
    rows = rows.withColumn("run_id", F.lit(lineage.scope)).coalesce(1)
    session.sparkContext.setJobDescription(f"evaluate {lineage.scope}")
    where = f"run_id = {sql_string(lineage.scope)}"
    replace_rows(session, target, MEASURES, rows, lineage=lineage, where=where)
    session.sparkContext.setJobDescription("")
    values.unpersist()


def check_run(run: DataFrame, judgements: DataFrame, *, run_id: str, runs: TableRef) -> None:
    """Refuse a run whose measures would be silently wrong: absent, with repeated documents, or of other queries."""
    seen = (
        run.groupBy("query_id", "doc_id")
        .count()
        .agg(F.count("*").alias("rows"), F.max("count").alias("most"), F.max_by("query_id", "count").alias("query_id"))
        .first()
    )
    assert seen is not None
    if seen["rows"] == 0:
        raise DataError(
            str(runs),
            f"it has no run {run_id!r}",
            "wanted the run to measure",
            "Check --run-id, or run retrieve_run first.",
        )
    if seen["most"] > 1:
        raise DataError(
            str(runs),
            f"run {run_id!r} lists a document {seen['most']} times for query {seen['query_id']!r}",
            "a ranking has each document once",
            "Write the run again without duplicates.",
        )
    if run.join(judgements, "query_id", "left_semi").isEmpty():
        raise DataError(
            str(runs),
            f"no query of run {run_id!r} is judged",
            "wanted judgements of the run's queries",
            "Check that queries and judgements are of one collection and use the same ids.",
        )


def _sparsity(
    session: SparkSession, side: str, ref: TableRef, vectors: DataFrame, judgements: DataFrame, level: int
) -> DataFrame:
    """Mean active dimensions and sparsity ratio of one side, as sentence-transformers' evaluator counts them.

    Queries count only where a relevant document is judged; every document counts.
    """
    if side == "queries":
        counted = judgements.where(F.col("relevance") >= level).select("query_id").distinct()
        vectors = vectors.join(counted, vectors["id"] == counted["query_id"], "left_semi")
    size = table_properties(session, ref).get("spladelake.vocabulary_size")
    if size is None:
        raise DataError(
            str(ref),
            "its properties do not say how many dimensions it has",
            "wanted spladelake.vocabulary_size",
            "Run encode_texts again: it mends the properties.",
        )
    name = "query" if side == "queries" else "corpus"
    active = vectors.agg(F.avg(F.size("indices")).alias("active")).where("active IS NOT NULL")
    return active.select(
        F.expr(
            f"stack(2, '{name}_active_dims', active, '{name}_sparsity_ratio', 1 - active / {int(size)}) "
            "AS (measure, value)"
        )
    )
