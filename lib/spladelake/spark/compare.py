"""The comparison job: measured runs of one or several collections side by side, with tests of their differences."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spladelake.config import CompareRuns
from spladelake.errors import DataError
from spladelake.spark.delta_log import size_in_bytes
from spladelake.spark.descriptions import describe
from spladelake.spark.pairs import compared_pairs, deltas
from spladelake.spark.schemas import (
    COMPARED_COSTS,
    COMPARED_PAIRS,
    COMPARED_QUERIES,
    COMPARED_SYSTEMS,
    MEASURES,
    TableSchema,
)
from spladelake.spark.tables import (
    Lake,
    Lineage,
    TableRef,
    is_current,
    newest_lineage,
    replace_rows,
    require,
    sql_string,
)

log = logging.getLogger(__name__)

# Settings of evaluate_run that change what a value means: runs that differ in them cannot be compared.
_FOOTING = ("level", "answered_only", "trec_scores")


@dataclass(frozen=True)
class Collection:
    """One collection of a comparison: its lake, the version of its measures, and the runs to compare."""

    name: str
    lake: Lake
    measures: TableRef
    version: int
    run_ids: tuple[str, ...]

    def rows(self, session: SparkSession, options: CompareRuns) -> DataFrame:
        """(collection, run_id, measure, query_id, value) of the runs and measures that are compared."""
        rows = self.measures.read(session, version=self.version)
        chosen = rows.where(F.col("run_id").isin(*self.run_ids) & F.col("measure").isin(*options.measures))
        return chosen.select(F.lit(self.name).alias("collection"), "run_id", "measure", "query_id", "value")


def compare_runs(session: SparkSession, options: CompareRuns) -> dict[str, Any]:
    """Compare runs that evaluate_run has measured; the tables of `comparisons` hold what the result shows, and more."""
    lake, started = Lake(options.lake), time.monotonic()
    lakes = options.collections or {options.lake.rstrip("/").rsplit("/", 1)[-1]: options.lake}
    collections = [_collection(session, name, Lake(root), options) for name, root in lakes.items()]
    inputs = {c.name: [str(c.measures), c.version, list(c.run_ids)] for c in collections}
    settings = options.model_dump(include={"measures", "baseline", "permutations", "seed", "published"})
    lineage = Lineage("compare_runs", inputs, settings, scope=options.name)
    status = "skipped"
    if options.force or not is_current(session, lake.table(COMPARED_SYSTEMS.name), lineage):
        status = "written"
        describe(session, f"compare {options.name}")
        _write(session, lake, collections, options, lineage)
        describe(session)
    return {
        "status": status,
        "comparison": options.name,
        "baseline": options.baseline,
        "significance": options.significance,
        "table": str(lake.table("comparisons")),
        "seconds": round(time.monotonic() - started, 2),
        **{
            schema.name.removeprefix("comparisons/"): _read(session, lake, schema, options.name)
            for schema in (COMPARED_SYSTEMS, COMPARED_COSTS, COMPARED_PAIRS)
        },
    }


def _collection(session: SparkSession, name: str, lake: Lake, options: CompareRuns) -> Collection:
    measures = lake.table("measures")
    rows = require(session, measures, MEASURES, made_by=f"spladelake evaluate_run --lake {lake.root} …")
    found = rows.where(
        F.col("measure").isin(*options.measures) & F.col("query_id").isNull() & F.col("value").isNotNull()
    )
    has: dict[str, set[str]] = {}
    for row in found.select("run_id", "measure").distinct().collect():
        has.setdefault(row["run_id"], set()).add(row["measure"])
    run_ids = options.run_ids or tuple(sorted(has, key=lambda run_id: (run_id != options.baseline, run_id)))
    for run_id in run_ids if not options.baseline else dict.fromkeys((*run_ids, options.baseline)):
        missing = [measure for measure in options.measures if measure not in has.get(run_id, ())]
        if missing:
            raise DataError(
                str(measures),
                f"run {run_id!r} of {name} has no {missing[0]}",
                f"it holds measures of {', '.join(map(repr, sorted(has))) or 'no run'}",
                f"Measure it: spladelake evaluate_run --lake {lake.root} --run-id {run_id} --measures all.",
            )
    if len(run_ids) < 2:
        raise DataError(
            str(measures), f"{name} has {len(run_ids)} measured run", "a comparison needs two", "Measure another one."
        )
    _check_footing(session, measures, run_ids)
    return Collection(name, lake, measures, measures.version(session), run_ids)


def _check_footing(session: SparkSession, measures: TableRef, run_ids: tuple[str, ...]) -> None:
    """Refuse runs that were measured against other judgements or by other settings: their values mean other things."""
    footing = {}
    for run_id in run_ids:
        made = newest_lineage(session, measures, scope=run_id)
        if made is not None:
            settings = {key: made["settings"].get(key) for key in _FOOTING}
            footing[run_id] = {**settings, "judgements": made["inputs"].get("judgements")}
    first = next(iter(footing), None)
    for run_id, found in footing.items():
        assert first is not None
        differing = [key for key, value in found.items() if value != footing[first][key]]
        if differing:
            key = differing[0]
            raise DataError(
                str(measures),
                f"run {run_id!r} was measured with {key} {found[key]}, run {first!r} with {footing[first][key]}",
                "wanted runs on the same footing",
                "Run evaluate_run again for both with the same options.",
            )


def _pairs(collections: list[Collection], baseline: str | None) -> list[tuple[str, str, str]]:
    pairs = []
    for collection in collections:
        if baseline is not None:
            pairs += [(collection.name, baseline, run_id) for run_id in collection.run_ids if run_id != baseline]
        else:
            pairs += [(collection.name, a, b) for a, b in combinations(collection.run_ids, 2)]
    return pairs


def _write(
    session: SparkSession, lake: Lake, collections: list[Collection], options: CompareRuns, lineage: Lineage
) -> None:
    rows = collections[0].rows(session, options)
    for collection in collections[1:]:
        rows = rows.unionByName(collection.rows(session, options))
    rows = rows.persist(StorageLevel.DISK_ONLY)
    try:
        values = rows.where(F.col("query_id").isNotNull())
        queries = _queries(values, collections)
        found = deltas(session, values, _pairs(collections, options.baseline)).persist(StorageLevel.DISK_ONLY)
        results = compared_pairs(found, permutations=options.permutations, seed=options.seed)
        means = {
            (row["collection"], row["run_id"], row["measure"]): row["value"]
            for row in rows.where(F.col("query_id").isNull()).collect()
        }
        _replace(session, lake, COMPARED_QUERIES, found, lineage)
        found.unpersist()
        _replace(session, lake, COMPARED_PAIRS, _frame(session, COMPARED_PAIRS, results), lineage)
        costs = [cost for collection in collections for cost in _costs(session, collection)]
        _replace(session, lake, COMPARED_COSTS, _frame(session, COMPARED_COSTS, costs), lineage)
        systems = _systems(collections, means, queries, options)
        _replace(session, lake, COMPARED_SYSTEMS, _frame(session, COMPARED_SYSTEMS, systems), lineage)
    finally:
        rows.unpersist()


def _queries(values: DataFrame, collections: list[Collection]) -> dict[tuple[str, str], int]:
    """Queries of each collection and measure, which must be the same for all runs."""
    runs = {collection.name: len(collection.run_ids) for collection in collections}
    shared = values.groupBy("collection", "measure", "query_id").agg(F.count("*").alias("runs"))
    found = shared.groupBy("collection", "measure").agg(F.count("*").alias("queries"), F.min("runs").alias("fewest"))
    counts = {}
    for row in found.collect():
        if row["fewest"] < runs[row["collection"]]:
            raise DataError(
                row["collection"],
                f"its runs were measured by {row['measure']} on different queries",
                "a paired comparison needs the same queries for all runs",
                "Run evaluate_run again for all runs with the same options, without --answered-only.",
            )
        counts[row["collection"], row["measure"]] = int(row["queries"])
    return counts


def _systems(
    collections: list[Collection],
    means: dict[tuple[str, str, str], float],
    queries: dict[tuple[str, str], int],
    options: CompareRuns,
) -> list[dict[str, Any]]:
    rows = []
    for collection in collections:
        for run_id in collection.run_ids:
            published = options.published.get(collection.name, {}).get(run_id, {})
            for measure in options.measures:
                rows.append(
                    {
                        "collection": collection.name,
                        "run_id": run_id,
                        "measure": measure,
                        "queries": queries[collection.name, measure],
                        "value": means[collection.name, run_id, measure],
                        "published": published.get(measure),
                    }
                )
    return rows


def _costs(session: SparkSession, collection: Collection) -> list[dict[str, Any]]:
    """Sizes that evaluate_run measured of each run's vectors, and what their table takes."""
    sizes = ("query_active_dims", "corpus_active_dims", "avg_flops")
    rows = collection.measures.read(session, version=collection.version)
    rows = rows.where(F.col("query_id").isNull() & F.col("measure").isin(*sizes))
    found = {(row["run_id"], row["measure"]): row["value"] for row in rows.collect()}
    runs, costs = collection.lake.table("runs"), []
    for run_id in collection.run_ids:
        made_from = (newest_lineage(session, runs, scope=run_id) or {}).get("inputs", {})
        vectors = TableRef.parse(made_from["documents"][0]) if "documents" in made_from else None
        known = vectors is not None and vectors.exists(session)
        costs.append(
            {
                "collection": collection.name,
                "run_id": run_id,
                "query_active_dims": found.get((run_id, "query_active_dims")),
                "corpus_active_dims": found.get((run_id, "corpus_active_dims")),
                "flops": found.get((run_id, "avg_flops")),
                "table_bytes": size_in_bytes(session, vectors) if known and vectors else None,
                "encode_seconds": _encode_seconds(session, collection.lake, vectors) if known and vectors else None,
            }
        )
    return costs


def _encode_seconds(session: SparkSession, lake: Lake, vectors: TableRef) -> float | None:
    """Seconds of the job that encoded most of the texts, as the run log says; None where it does not."""
    log = lake.table("run_log")
    if not log.exists(session):
        return None
    rows = log.read(session).where("job = 'encode_texts' AND status = 'written'").select("outputs", "rows", "seconds")
    wrote = [row for row in rows.toLocalIterator() if str(vectors) in json.loads(row["outputs"] or "{}")]
    most = max(wrote, key=lambda row: int(row["rows"] or 0), default=None)
    return None if most is None else float(most["seconds"])


def _frame(session: SparkSession, schema: TableSchema, rows: list[dict[str, Any]]) -> DataFrame:
    columns = schema.struct.fields[1:]  # the first is the comparison's name
    data = [tuple(row[column.name] for column in columns) for row in rows]
    return session.createDataFrame(data, StructType(columns)).coalesce(1)


def _replace(session: SparkSession, lake: Lake, schema: TableSchema, rows: DataFrame, lineage: Lineage) -> None:
    named = rows.withColumn("comparison", F.lit(lineage.scope))
    where = f"comparison = {sql_string(lineage.scope)}"
    replace_rows(session, lake.table(schema.name), schema, named, lineage=lineage, where=where)


def _read(session: SparkSession, lake: Lake, schema: TableSchema, name: str) -> list[dict[str, Any]]:
    rows = lake.table(schema.name).read(session).where(F.col("comparison") == name).drop("comparison")
    return [row.asDict() for row in rows.collect()]
