"""The evaluation job: measures of a run, per query and on average, computed in Spark by the definitions of ring 1."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import EvaluateRun
from spladelake.errors import DataError
from spladelake.measures import CARD_MEASURES
from spladelake.measures.notes import COUNTS
from spladelake.names import short_name
from spladelake.spark.query_measures import query_measures
from spladelake.spark.ranks import check_rows, first_repeated, judged_hits, judged_ranks
from spladelake.spark.schemas import JUDGEMENTS, MEASURES, PARTS, RUNS
from spladelake.spark.sparsity import NAMES, sparsity, vocabulary_size
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

# The published card's measures, then graded nDCG: the one measure that uses the grades.
DEFAULT_MEASURES = (*CARD_MEASURES, "ndcg_cut_10")


@dataclass(frozen=True)
class Plan:
    """One evaluation: which run, from which tables at which versions, by which options."""

    run_id: str
    tables: dict[str, TableRef]
    versions: dict[str, int]
    lineage: Lineage
    names: tuple[str, ...]
    options: EvaluateRun

    def read(self, session: SparkSession, name: str) -> DataFrame:
        return self.tables[name].read(session, version=self.versions[name])


def evaluate_run(session: SparkSession, options: EvaluateRun) -> dict[str, Any]:
    """Measure one run of the lake; per-query values and means go to `measures`."""
    lake, target = Lake(options.lake), Lake(options.lake).table("measures")
    plan = _plan(session, lake, options)
    started = time.monotonic()
    status = "skipped"
    if options.force or not is_current(session, target, plan.lineage):
        status = "written"
        session.sparkContext.setJobDescription(f"evaluate {plan.run_id}")
        _write_measures(session, target, plan)
        session.sparkContext.setJobDescription("")
    else:
        log.info("%s: run %s skipped, its measures are current", target, plan.run_id)
    means = {
        row["measure"]: row["value"]
        for row in target.read(session).where((F.col("run_id") == plan.run_id) & F.col("query_id").isNull()).collect()
    }
    counts = {name: int(means.pop(name)) for name in COUNTS if name in means}
    if counts.get("ranks_against_scores"):
        log.warning("run %s: %d %s", plan.run_id, counts["ranks_against_scores"], COUNTS["ranks_against_scores"])
    return {
        "status": status,
        "run_id": plan.run_id,
        "table": str(target),
        "seconds": round(time.monotonic() - started, 2),
        **counts,
        "measures": {name: means[name] for name in _order(plan.names, means)},
    }


def _plan(session: SparkSession, lake: Lake, options: EvaluateRun) -> Plan:
    run_id = options.run_id or short_name(options.vectors or options.model)
    names = options.measures or DEFAULT_MEASURES
    runs, judgements = lake.table("runs"), lake.table("judgements")
    require(session, runs, RUNS, made_by=f"spladelake retrieve_run --lake {lake.root} …")
    require(session, judgements, JUDGEMENTS, made_by=f"spladelake ingest_texts --lake {lake.root} --judgements …")
    made = newest_lineage(session, runs, scope=run_id) or {}
    tables = {"runs": runs, "judgements": judgements, **_vectors_of_run(session, made)}
    if options.part is not None:
        tables["parts"] = lake.training(options.part.split("/")[0], "parts")
        require(session, tables["parts"], PARTS, made_by=f"spladelake mine_pairs --lake {lake.root} …")
    if lake.table("documents").exists(session):
        tables["collection"] = lake.table("documents")
    versions = {name: ref.version(session) for name, ref in tables.items()}
    # Another run in the table makes a new version of it, but nothing new to measure here.
    inputs = {**versions, "runs": made.get("fingerprint", versions["runs"])}
    inputs = {name: [str(ref), inputs[name]] for name, ref in tables.items()}
    settings = {
        "measures": names,
        "level": options.relevance_level,
        "answered_only": options.answered_only,
        "trec_scores": options.trec_scores,
        **({} if options.part is None else {"part": options.part}),
    }
    return Plan(run_id, tables, versions, Lineage("evaluate_run", inputs, settings, scope=run_id), names, options)


def _order(names: tuple[str, ...], means: dict[str, float]) -> list[str]:
    return [*(n for n in names if n in means), *sorted(n for n in means if n not in names)]


def _vectors_of_run(session: SparkSession, made: dict[str, Any]) -> dict[str, TableRef]:
    """The vectors that a run was made from, by side; none where the run did not come from retrieve_run."""
    made_from = made.get("inputs", {})
    refs = {side: TableRef.parse(made_from[side][0]) for side in NAMES if side in made_from}
    return {side: ref for side, ref in refs.items() if ref.exists(session)}


def _write_measures(session: SparkSession, target: TableRef, plan: Plan) -> None:
    run = plan.read(session, "runs").where(F.col("run_id") == plan.run_id)
    judgements = plan.read(session, "judgements").select("query_id", "doc_id", "relevance")
    if plan.options.part is not None:
        chosen = plan.read(session, "parts").where(F.col("part") == plan.options.part.split("/")[1])
        run, judgements = (rows.join(chosen, "query_id", "left_semi") for rows in (run, judgements))
    _check_judgements(judgements, plan)
    answers = run.groupBy("query_id").agg(F.count("*").alias("results")).persist(StorageLevel.DISK_ONLY)
    _check_run(run, answers, plan)
    if plan.options.answered_only:
        judgements = judgements.join(answers, "query_id", "left_semi")
    hits = judged_hits(run, judgements).persist(StorageLevel.DISK_ONLY)
    try:
        hit_count = hits.count()
        ranks = judged_ranks(
            session, run, hits, hit_count=hit_count, trec_scores=plan.options.trec_scores
        ).persist(StorageLevel.DISK_ONLY)  # fmt: skip
        values = query_measures(ranks, judgements, names=plan.names, level=plan.options.relevance_level)
        values = values.persist(StorageLevel.DISK_ONLY)
        averages = values.groupBy("measure").agg(F.avg("value").alias("value"))
        counted = _counts(session, plan, answers, ranks, values, judgements)
        if counted["queries_judged_of_run"] == 0:
            raise DataError(
                str(plan.tables["runs"]),
                f"no query of run {plan.run_id!r} is judged",
                "wanted judgements of the run's queries",
                "Check that queries and judgements are of one collection and use the same ids.",
            )
        notes = [(name, float(counted[name])) for name in COUNTS if name in counted]
        averages = averages.unionByName(session.createDataFrame(notes, "measure string, value double"))
        averages = _with_sparsity(session, plan, averages, judgements)
        rows = values.unionByName(averages.withColumn("query_id", F.lit(None).cast("string")))
        rows = rows.withColumn("run_id", F.lit(plan.run_id)).coalesce(1)
        where = f"run_id = {sql_string(plan.run_id)}"
        replace_rows(session, target, MEASURES, rows, lineage=plan.lineage, where=where)
        ranks.unpersist()
        values.unpersist()
    finally:
        hits.unpersist()
        answers.unpersist()


def _counts(
    session: SparkSession, plan: Plan, answers: DataFrame, ranks: DataFrame, values: DataFrame, judgements: DataFrame
) -> dict[str, int]:
    """The numbers of COUNTS, and `queries_judged_of_run`."""
    judged = judgements.select("query_id").distinct().withColumn("judged", F.lit(True))
    both = answers.join(judged, "query_id", "full_outer")
    found = both.agg(
        F.count_if(F.col("results").isNull()).alias("queries_without_results"),
        F.count_if(F.col("judged").isNull()).alias("queries_not_judged"),
        F.count_if(F.col("judged") & F.col("results").isNotNull()).alias("queries_judged_of_run"),
    ).first()
    above = (F.col("stated_rank") <= F.col("above")) | (F.col("stated_rank") > F.col("above") + F.col("level"))
    ranked = ranks.agg(
        F.count_if(F.col("level") > 1).alias("decided_by_tie_rule"), F.count_if(above).alias("ranks_against_scores")
    ).first()
    queries = values.agg(F.count_distinct("query_id").alias("queries")).first()
    assert found is not None
    assert ranked is not None
    assert queries is not None
    counts = {**found.asDict(), **ranked.asDict(), **queries.asDict()}
    if "collection" in plan.tables:
        known = plan.read(session, "collection").select("doc_id")
        unknown = judgements.select("doc_id").distinct().join(known, "doc_id", "left_anti")
        counts["judged_documents_unknown"] = unknown.count()
    return counts


def _with_sparsity(session: SparkSession, plan: Plan, averages: DataFrame, judgements: DataFrame) -> DataFrame:
    sides = [side for side in NAMES if side in plan.tables]
    if not sides:
        return averages
    # sentence-transformers leaves out the queries without a relevant document here too.
    relevant = judgements.where(F.col("relevance") >= plan.options.relevance_level).select("query_id").distinct()
    vectors = {side: plan.read(session, side) for side in sides}
    sizes = {side: vocabulary_size(session, plan.tables[side]) for side in sides}
    return averages.unionByName(sparsity(vectors, sizes, relevant))


def _check_judgements(judgements: DataFrame, plan: Plan) -> None:
    """Refuse judgements that say two things of one document, or of which none is relevant."""
    level, place = plan.options.relevance_level, str(plan.tables["judgements"])
    relevant = judgements.where(F.col("relevance") >= level)
    if relevant.isEmpty():
        raise DataError(
            place,
            f"no query has a document of relevance {level} or more",
            "wanted at least one",
            "Lower --relevance-level, or check the judgements.",
        )
    if twice := first_repeated(judgements):
        raise DataError(
            place,
            f"document {twice[1]!r} is judged {twice[2]} times for query {twice[0]!r}",
            "a document has one grade",
            "Remove the repeated judgements, or ingest them with ingest_texts, which keeps the first.",
        )


def _check_run(run: DataFrame, answers: DataFrame, plan: Plan) -> None:
    """Refuse a run whose measures would be silently wrong: absent, not ordered, or with repeated documents."""
    counted, place = answers.agg(F.coalesce(F.sum("results"), F.lit(0)).alias("rows")).first(), str(plan.tables["runs"])
    assert counted is not None
    if counted["rows"] == 0:
        raise DataError(
            place,
            f"it has no run {plan.run_id!r}",
            "wanted the run to measure",
            "Check --run-id, or run retrieve_run first.",
        )
    found = check_rows(run, rows=counted["rows"])
    if found.unusable:
        bad = run.where("query_id IS NULL OR doc_id IS NULL OR score IS NULL OR isnan(score)")
        row = bad.orderBy("query_id", "doc_id").first()
        assert row is not None
        raise DataError(
            place,
            f"{found.unusable:,} rows of run {plan.run_id!r} lack an id or a score, such as document {row['doc_id']!r} "
            f"of query {row['query_id']!r} with score {row['score']}",
            "a ranking needs ids and numbers",
            "Find what wrote the rows, and write the run again.",
        )
    if found.repeated and (twice := first_repeated(run)):
        raise DataError(
            place,
            f"run {plan.run_id!r} lists document {twice[1]!r} {twice[2]} times for query {twice[0]!r} "
            f"({found.repeated:,} repeated rows in all)",
            "a ranking has each document once",
            "Write the run again without duplicates.",
        )
