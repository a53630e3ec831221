"""The fusion job: combines several runs of a lake into one, by ranks or by normalised scores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.config.fusion import FuseRuns
from spladelake.results import FuseResult
from spladelake.spark.evaluate.run_checks import check_runs
from spladelake.spark.tables.create import require
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import RUNS
from spladelake.spark.tables.skeleton import made_unless_current
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.suggestions import made_by
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)


def fuse_runs(session: SparkSession, options: FuseRuns) -> FuseResult:
    """Fuse runs of the lake and write the result as a new run in the table `runs`.

    Raises DataError if a run is missing or lists a document or a rank twice.
    """
    target = Lake(options.lake).table("runs")
    require(session, target, RUNS, made_by=made_by("retrieve_run", Lake(options.lake)))
    version = target.version(session)
    weights = options.weights or (1.0,) * len(options.runs)
    how = options.rank_constant if options.method == "rrf" else options.normalisation
    chosen = {"k": options.k, "method": options.method, "how": how, "weights": list(weights)}
    run = target.read(session, version=version).where(F.col("run_id").isin(*options.runs))
    made_from = check_runs(run, options.runs, table=target)
    # A list keeps the order of the runs, which decides the order in which scores are added.
    lineage = Lineage("fuse_runs", {"runs": list(made_from.items())}, chosen, scope=options.target)
    result: FuseResult = {"run_id": options.target, "table": str(target), "runs": list(options.runs)}
    return made_unless_current(
        session, {target: lineage}, lambda: _fuse(session, run, target, lineage, options),
        force=options.force, step=f"fuse {options.target}", known=result,
    )  # fmt: skip


def _fuse(
    session: SparkSession, run: DataFrame, target: TableRef, lineage: Lineage, options: FuseRuns
) -> dict[str, Any]:
    """Write the fused run and return its numbers of rows and queries."""
    weights = options.weights or (1.0,) * len(options.runs)
    if options.method == "rrf":
        values = reciprocal_ranks(run, constant=options.rank_constant)
    else:
        values = normalised(run, how=options.normalisation)
    lowest = options.method == "sum" and options.normalisation == "z-score"
    scores = summed(values, list(zip(options.runs, weights, strict=True)), missing="lowest" if lowest else "zero")
    counts = Observation()
    # Each query has exactly one row of rank 1.
    counted = (F.count("*").alias("rows"), F.count_if(F.col("rank") == 1).alias("queries"))
    ranked = best(scores, k=options.k).withColumn("run_id", F.lit(options.target)).orderBy("query_id", "rank")
    rows = ranked.observe(counts, *counted)
    replace_rows(session, target, RUNS, rows, lineage=lineage, where=f"run_id = {sql_string(options.target)}")
    return counts.get


def reciprocal_ranks(run: DataFrame, *, constant: int) -> DataFrame:
    """Return (run_id, query_id, doc_id, value) with value = 1 / (constant + rank).

    Source: Cormack, Clarke, Büttcher, SIGIR 2009.
    """
    return run.select("run_id", "query_id", "doc_id", (1 / (F.lit(constant) + F.col("rank"))).alias("value"))


def normalised(run: DataFrame, *, how: str) -> DataFrame:
    """Return (run_id, query_id, doc_id, value): scores normalised within each run and query.

    - run: rows of `runs`.
    - how: "min-max" gives (score - lowest) / (highest - lowest), or 1 if all scores are equal. "z-score" gives
      (score - mean) / standard deviation of the listed scores, or 0 if all scores are equal. "none" keeps the score.
    """
    columns = ["run_id", "query_id", "doc_id"]
    if how == "none":
        return run.select(*columns, F.col("score").alias("value"))
    if how == "min-max":
        limits = run.groupBy("run_id", "query_id").agg(F.min("score").alias("low"), F.max("score").alias("high"))
        spread = F.col("high") - F.col("low")
        value = F.when(spread > 0, (F.col("score") - F.col("low")) / spread).otherwise(1.0)
    else:
        # Sums over sorted arrays do not depend on the order of the rows.
        scores = run.groupBy("run_id", "query_id").agg(F.sort_array(F.collect_list("score")).alias("scores"))
        mean = F.expr("aggregate(scores, 0D, (s, x) -> s + x) / size(scores)")
        squares = F.expr("aggregate(scores, 0D, (s, x) -> s + (x - mean) * (x - mean)) / size(scores)")
        limits = scores.withColumn("mean", mean).withColumn("deviation", F.sqrt(squares)).drop("scores")
        value = F.when(F.col("deviation") > 0, (F.col("score") - F.col("mean")) / F.col("deviation")).otherwise(0.0)
    return run.join(limits, ["run_id", "query_id"]).select(*columns, value.alias("value"))


def summed(values: DataFrame, weights: Sequence[tuple[str, float]], *, missing: str) -> DataFrame:
    """Return (query_id, doc_id, score): the weighted values of all runs, added in the order of `weights`.

    - values: (run_id, query_id, doc_id, value).
    - weights: (run_id, weight).
    - missing: the value of a document that a run does not list. "zero", or "lowest" for the run's lowest value for the
      query (0 if the run does not list the query).
    """

    def of_run(place: int) -> Column:
        return F.when(F.col("run_id") == weights[place][0], F.col("value"))

    places = range(len(weights))
    scores = values.groupBy("query_id", "doc_id").agg(*(F.max(of_run(i)).alias(f"value_{i}") for i in places))
    floors: list[Column] = [F.lit(0.0) for _ in places]
    if missing == "lowest":
        lowest = values.groupBy("query_id").agg(*(F.min(of_run(i)).alias(f"floor_{i}") for i in places))
        scores = scores.join(lowest, "query_id")
        floors = [F.coalesce(f"floor_{i}", F.lit(0.0)) for i in places]
    total = F.lit(0.0)
    for i in places:
        total = total + F.lit(float(weights[i][1])) * F.coalesce(F.col(f"value_{i}"), floors[i])
    return scores.select("query_id", "doc_id", total.alias("score"))


def best(scores: DataFrame, *, k: int) -> DataFrame:
    """Return (query_id, doc_id, rank from 1, score): each query's top k by score descending, then doc_id ascending."""
    order = Window.partitionBy("query_id").orderBy(F.desc("score"), F.asc("doc_id"))
    ranked = scores.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= k)
    return ranked.select("query_id", "doc_id", "rank", "score")
