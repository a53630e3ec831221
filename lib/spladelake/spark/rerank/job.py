"""The re-ranking job: a cross-encoder scores the top of a run again, with one model in every Python worker."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.config.rerank import RerankRun
from spladelake.errors import UsageError
from spladelake.reranker import resolve_cross_encoder
from spladelake.results import RerankResult
from spladelake.spark.encode.texts import ROWS_PER_BATCH, task_count
from spladelake.spark.evaluate.run_checks import check_runs
from spladelake.spark.rerank.pairs import check_texts, run_pairs, scored_pairs
from spladelake.spark.rerank.passages import (
    Listed,
    best_scored,
    documents_of_passages,
    listed_in,
    passages_by_document,
    with_ids_of_passages,
)
from spladelake.spark.rerank.worker import RerankerSpec, ScorePairBatches
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.session.progress import progress
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import BEST_PASSAGE, DOCUMENTS, PASSAGE_RUNS, QUERIES, RUNS
from spladelake.spark.tables.skeleton import Inputs, Needed, made_unless_current, newest_inputs
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.suggestions import made_by
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)


def rerank_run(session: SparkSession, options: RerankRun) -> RerankResult:
    """Score the top of a run of the lake with a cross-encoder and write the new order as another run.

    Raises UsageError if the cross-encoder cannot be used or --passages does not fit the run, and DataError if the run
    is missing or a text of one of its pairs is.
    """
    lake = Lake(options.lake)
    tables = {name: lake.table(name) for name in ("documents", "queries", "runs")}
    inputs = newest_inputs(
        session,
        {
            "documents": Needed(tables["documents"], DOCUMENTS, made_by("ingest_texts", lake, documents="FILE")),
            "queries": Needed(tables["queries"], QUERIES, made_by("ingest_texts", lake, queries="FILE")),
            "runs": Needed(tables["runs"], RUNS, made_by("retrieve_run", lake, ranking=options.run)),
        },
    )
    checkpoint = resolve_cross_encoder(options.cross_encoder, max_length=options.max_length)
    run = inputs.rows["runs"].where(F.col("run_id") == options.run)
    made_from = check_runs(run, [options.run], table=tables["runs"])
    listed = listed_in(run)
    _check_listed(listed, options, place=str(tables["runs"]))
    lineage = Lineage(
        "rerank_run",
        {
            "run": made_from,
            **{f"{name}_texts": made for name, made in inputs.lineage(("documents", "queries")).items()},
        },
        {
            "model_id": checkpoint.model_id,
            "depth": options.depth,
            "rest": options.rest,
            **({} if listed == "whole" else {"passages": options.passages}),
        },
        scope=options.target,
    )
    result: RerankResult = {
        "run_id": options.target, "run": options.run, "model": checkpoint.name, "model_id": checkpoint.model_id,
        "table": str(tables["runs"]),
    }  # fmt: skip
    spec = RerankerSpec(checkpoint, options.token_budget)
    return made_unless_current(
        session, {tables["runs"]: lineage}, lambda: _write(session, run, inputs, lineage, options, spec),
        force=options.force, step=f"re-rank {options.run} with {checkpoint.name}", known=result,
    )  # fmt: skip


def _check_listed(listed: Listed, options: RerankRun, *, place: str) -> None:
    """Raise UsageError if a run of documents is to be re-ranked by all passages, or a run of passages is not."""
    if (listed == "all") == (options.passages == "all"):
        return
    if listed == "all":
        raise UsageError(
            place,
            f"the run {options.run!r} lists passages, but --passages {options.passages} needs a run of documents",
            "wanted --passages all, or a run of documents",
            "Set --passages all, or retrieve documents with --aggregate max.",
        )
    found = "documents" if listed == "whole" else "documents, each with only its best passage"
    raise UsageError(
        place, f"the run {options.run!r} lists {found}, but --passages all needs a run of passages",
        "wanted a run that lists every retrieved passage",
        "Make one with retrieve_run --aggregate none from vectors of passages, or leave out --passages.",
    )  # fmt: skip


def _write(
    session: SparkSession,
    run: DataFrame,
    inputs: Inputs,
    lineage: Lineage,
    options: RerankRun,
    spec: RerankerSpec,
) -> dict[str, Any]:
    """Score the pairs, write the run, and return the counts."""
    started = time.monotonic()
    best = [name for name in BEST_PASSAGE if name in run.columns]
    passages = passages_by_document(run) if options.passages == "all" else None
    listed = run if passages is None else documents_of_passages(passages)
    top = listed.where(F.col("rank") <= options.depth)
    if passages is not None:
        top = passages.join(top.select("query_id", "doc_id"), ["query_id", "doc_id"], "left_semi")
    elif options.passages == "whole":
        top = top.drop(*best)
    pairs = run_pairs(top, inputs.rows["queries"], inputs.rows["documents"])
    with ExitStack() as kept:
        pairs = kept_on_disk(pairs, kept)
        count = check_texts(pairs, inputs.refs, what="runs")
        tasks = task_count(count, slots=session.sparkContext.defaultParallelism, rows_per_task=options.rows_per_task)
        totals = session.sparkContext.accumulator({}, Totals())
        session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(ROWS_PER_BATCH))
        # The ranking below reads the scores twice. Persisted scores keep the model from running a second time.
        each = pairs if passages is None else with_ids_of_passages(pairs)
        scored = kept_on_disk(scored_pairs(each, ScorePairBatches(spec, totals), tasks=tasks), kept)
        with progress(f"re-rank {options.run}", total=count, done=lambda: totals.value.get("pairs", 0)):
            scored.count()
        if passages is not None:
            scored = best_scored(scored, pairs)
        ranked = reranked(listed, scored, depth=options.depth, keep=options.rest == "keep")
        rows = ranked.withColumn("run_id", F.lit(options.target)).orderBy("query_id", "rank")
        where = f"run_id = {sql_string(options.target)}"
        replace_rows(session, inputs.refs["runs"], PASSAGE_RUNS if best else RUNS, rows, lineage=lineage, where=where)
    seconds = time.monotonic() - started
    done = dict(totals.value)
    return {
        "rows": inputs.refs["runs"].read(session).where(F.col("run_id") == options.target).count(),
        "pairs": count,
        "distinct_pairs": int(done.get("pairs", 0)),
        "pairs_per_second": round(count / seconds, 1),
        "tokens": int(done.get("tokens", 0)),
        "padding_waste": round(1 - done["tokens"] / done["padded_tokens"], 4) if done.get("padded_tokens") else 0.0,
        "model_loads": int(done.get("model_loads", 0)),
    }


def reranked(run: DataFrame, scored: DataFrame, *, depth: int, keep: bool) -> DataFrame:
    """Return (query_id, doc_id, rank, score, …): the scored documents re-ranked, then the rest of the run if `keep`.

    The scored documents are ordered by score descending, then doc_id ascending. The rest keeps its ranks. Its scores
    are the query's lowest new score minus the distance in ranks from `depth`, so sorting by score gives the same order.

    - run: rows of `runs`. If they name the best passages, so do the returned rows.
    - scored: (query_id, doc_id, score) of the documents up to rank `depth`. If it names passages, they count.
    """
    best = [name for name in BEST_PASSAGE if name in run.columns]
    if best and best[0] not in scored.columns:
        scored = scored.join(run.select("query_id", "doc_id", *best), ["query_id", "doc_id"], "left")
    order = Window.partitionBy("query_id").orderBy(F.desc("score"), F.asc("doc_id"))
    top = scored.select("query_id", "doc_id", F.row_number().over(order).alias("rank"), "score", *best)
    if not keep:
        return top
    lowest = scored.groupBy("query_id").agg(F.min("score").alias("lowest"))
    rest = run.where(F.col("rank") > depth).join(lowest, "query_id")
    score = (F.col("lowest") - (F.col("rank") - depth)).alias("score")
    return top.unionByName(rest.select("query_id", "doc_id", "rank", score, *best))
