"""The scoring job: teachers, which are cross-encoders or runs, score mined pairs in chunks, equal texts once."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pyspark import StorageLevel
from pyspark.accumulators import Accumulator
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config.training import RUN_TEACHER, ScorePairs
from spladelake.errors import DataError
from spladelake.names import listed
from spladelake.reranker import CrossCheckpoint, resolve_cross_encoder
from spladelake.results import ScoreResult
from spladelake.spark.encode.chunks import Remaining
from spladelake.spark.encode.texts import BUCKETS, ROWS_PER_BATCH, ChunkSize, first_rate, task_count
from spladelake.spark.evaluate.run_checks import check_runs
from spladelake.spark.rerank import worker as rerank_worker
from spladelake.spark.rerank.pairs import check_texts, run_pairs, scored_pairs
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.session.progress import progress
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.create import ensure_table, require
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.locks import exclusive, retrying
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, QUERIES, RUNS
from spladelake.spark.tables.skeleton import Inputs, Needed, made_unless_current, newest_inputs
from spladelake.spark.tables.suggestions import made_by, mined_by
from spladelake.spark.tables.training_schemas import PAIRS, SCORED_PAIRS, TEACHER_SCORES
from spladelake.spark.tables.write import save
from spladelake.spark.train.margins import KEYS, averaged, with_margins
from spladelake.spark.train.pair_texts import negatives, positive, replace_pairs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Teacher:
    """A teacher.

    - name: the teacher's name as the user gave it.
    - model_id: key of its scores in `teacher_scores`.
    - checkpoint: the cross-encoder, None for a run of the lake.
    """

    name: str
    model_id: str
    checkpoint: CrossCheckpoint | None


@dataclass(frozen=True)
class Scoring:
    """One run of the job.

    - scores: the table `teacher_scores` of the training set.
    - pairs: rows of `run_pairs` with the bucket of each pair of texts.
    - totals: counts from the workers.
    """

    session: SparkSession
    options: ScorePairs
    scores: TableRef
    pairs: DataFrame
    totals: Accumulator[dict[str, float]]


def score_pairs(session: SparkSession, options: ScorePairs) -> ScoreResult:
    """Score the pairs of a training set and write them with scores and margins.

    Raises DataError if a table, run or text is missing, or if no pair has the scores of all teachers. Raises UsageError
    if a cross-encoder cannot be used.
    """
    lake = Lake(options.lake)
    mined, target = (lake.training(options.training_set, name) for name in ("pairs", "scored_pairs"))
    inputs = newest_inputs(
        session,
        {
            "pairs": Needed(mined, PAIRS, mined_by(lake, options.training_set)),
            "documents": Needed(lake.table("documents"), DOCUMENTS, made_by("ingest_texts", lake, documents="FILE")),
            "queries": Needed(lake.table("queries"), QUERIES, made_by("ingest_texts", lake, queries="FILE")),
        },
    )
    teachers = [_teacher(session, lake, name, options) for name in options.teachers]
    lineage = Lineage(
        "score_pairs",
        inputs.lineage(),
        {"teachers": [teacher.model_id for teacher in teachers], "average": options.average},
    )
    result: ScoreResult = {
        "training_set": options.training_set, "teachers": list(options.teachers), "table": str(target),
        "model_id": teachers[0].model_id if len(teachers) == 1 else None,
    }  # fmt: skip
    return made_unless_current(
        session, {target: lineage}, lambda: _score(session, options, inputs, teachers, target, lineage),
        force=options.force, step="score pairs", known=result,
    )  # fmt: skip


def _score(
    session: SparkSession, options: ScorePairs, inputs: Inputs, teachers: list[Teacher], target: TableRef,
    lineage: Lineage,
) -> dict[str, Any]:  # fmt: skip
    """Score the pairs that have no score yet, write the scored pairs, and return the counts."""
    lake, at, started = Lake(options.lake), inputs.rows, time.monotonic()
    pairs = run_pairs(_distinct(at["pairs"]), at["queries"], at["documents"])
    pairs = pairs.withColumn("bucket", _bucket()).persist(StorageLevel.DISK_ONLY)
    scoring = Scoring(
        session, options, lake.training(options.training_set, "teacher_scores"), pairs,
        session.sparkContext.accumulator({}, Totals()),
    )  # fmt: skip
    try:
        count = check_texts(pairs, inputs.refs, what="pairs")
        ensure_table(session, scoring.scores, TEACHER_SCORES)
        # One lock for all teachers: a second run would find the same pairs missing and score them too.
        with exclusive(str(scoring.scores), "scoring"):
            for teacher in teachers:
                _fill(scoring, teacher, lake)
        with ExitStack() as kept:
            written = _publish(scoring, at["pairs"], teachers, target, lineage, kept)
    finally:
        pairs.unpersist()
    done = dict(scoring.totals.value)
    seconds = time.monotonic() - started
    return {
        **written, "pairs": count,
        "scored_now": int(done.get("pairs", 0)), "model_loads": int(done.get("model_loads", 0)),
        "pairs_per_second": round(done.get("pairs", 0) / seconds, 1),
    }  # fmt: skip


def _teacher(session: SparkSession, lake: Lake, name: str, options: ScorePairs) -> Teacher:
    if not name.startswith(RUN_TEACHER):
        checkpoint = resolve_cross_encoder(name, max_length=options.max_length)
        return Teacher(name, checkpoint.model_id, checkpoint)
    run_id, runs = name.removeprefix(RUN_TEACHER), lake.table("runs")
    require(session, runs, RUNS, made_by=made_by("retrieve_run", lake, ranking=run_id))
    state = check_runs(runs.read(session).where(F.col("run_id") == run_id), [run_id], table=runs)[run_id]
    return Teacher(name, f"{name} {state}", None)


def _distinct(pairs: DataFrame) -> DataFrame:
    """Return (query_id, doc_id, …): the distinct texts of each query's pairs, with the places that the pairs name."""
    listed = F.concat(F.array(positive(pairs)), negatives(pairs))
    return pairs.select("query_id", F.inline(listed)).distinct()


def _bucket() -> Column:
    """Return the bucket of a pair of texts, 0 to BUCKETS - 1. Equal pairs share a bucket, and so a chunk."""
    return F.conv(F.substring(F.sha2("pair", 256), 1, 4), 16, 10).cast("int")


def _fill(scoring: Scoring, teacher: Teacher, lake: Lake) -> None:
    """Add the teacher's missing scores of the pairs to the table of scores."""
    known = scoring.scores.read(scoring.session).where(F.col("model_id") == teacher.model_id)
    missing = scoring.pairs.join(known.select(*KEYS, "pair"), [*KEYS, "pair"], "left_anti")
    if teacher.checkpoint is None:
        run_id = teacher.name.removeprefix(RUN_TEACHER)
        run = lake.table("runs").read(scoring.session).where(F.col("run_id") == run_id)
        _append(scoring, teacher, missing.select(*KEYS, "pair").join(run.select(*KEYS, "score"), KEYS))
        return
    same_texts = known.groupBy("pair").agg(F.min("score").alias("score"))
    _append(scoring, teacher, missing.select(*KEYS, "pair").join(same_texts, "pair"))
    known = scoring.scores.read(scoring.session).where(F.col("model_id") == teacher.model_id)
    missing = scoring.pairs.join(known.select("pair").distinct(), "pair", "left_anti").persist(StorageLevel.DISK_ONLY)
    try:
        _score_chunks(scoring, teacher, missing)
    finally:
        missing.unpersist()


def _score_chunks(scoring: Scoring, teacher: Teacher, missing: DataFrame) -> None:
    """Score and commit the pairs without a known score, chunk by chunk."""
    assert teacher.checkpoint is not None
    session, options = scoring.session, scoring.options
    left = Remaining(missing.count())
    if not left.rows:
        return
    log.info("%s: scoring %s pairs with %s", scoring.scores, f"{left.rows:,}", teacher.name)
    rate = first_rate(teacher.checkpoint, tokens=teacher.checkpoint.max_length)
    chunk, total = ChunkSize(options.chunk_minutes, rate, options.chunk_rows), left.rows
    before, began = int(scoring.totals.value.get("pairs", 0)), time.monotonic()
    function = rerank_worker.ScorePairBatches(
        rerank_worker.RerankerSpec(teacher.checkpoint, options.token_budget), scoring.totals
    )
    slots = session.sparkContext.defaultParallelism
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(ROWS_PER_BATCH))
    describe(session, f"score pairs with {teacher.name}")

    def scored_so_far() -> int:
        return int(scoring.totals.value.get("pairs", 0)) - before

    with progress(f"score with {teacher.name}", total=total, done=scored_so_far, unit="pairs"):
        while left.start < BUCKETS:
            rows = chunk.next(done=scored_so_far(), seconds=time.monotonic() - began, slots=slots)
            start, end = left.cut(rows)
            chosen = missing.where((F.col("bucket") >= start) & (F.col("bucket") < end))
            tasks = task_count(min(rows, left.rows), slots=slots, rows_per_task=options.rows_per_task)
            _score_chunk(scoring, teacher, chosen, function, tasks=tasks)
            left = Remaining(max(1, left.rows - chosen.count()), end)


def _score_chunk(
    scoring: Scoring, teacher: Teacher, pairs: DataFrame, function: rerank_worker.ScorePairBatches, *, tasks: int
) -> None:
    """Score the pairs in `tasks` tasks and commit their scores."""
    scored = scored_pairs(pairs.drop("bucket"), function, tasks=tasks)
    _append(scoring, teacher, scored.join(pairs.select(*KEYS, "pair"), KEYS))


def _append(scoring: Scoring, teacher: Teacher, scored: DataFrame) -> None:
    """Append (query_id, doc_id, pair, score) rows to the table of scores in one commit."""
    rows = scored.withColumn("teacher", F.lit(teacher.name)).withColumn("model_id", F.lit(teacher.model_id))
    writer = rows.select(*TEACHER_SCORES.column_names).write.format("delta").mode("append")
    retrying(lambda: save(writer, scoring.scores), place=str(scoring.scores))


def _no_score(scoring: Scoring, teachers: list[Teacher], pairs: int) -> DataError:
    """Return the error for pairs of which none has the scores of all teachers. pairs: their number."""
    if not pairs:
        found, fix = "the training set has no pairs", "Run mine_pairs again with --force."
        return DataError(str(scoring.scores), found, "wanted at least one pair", fix)
    fix = "Run score_pairs again with --force."
    if runs := [repr(teacher.name.removeprefix(RUN_TEACHER)) for teacher in teachers if teacher.checkpoint is None]:
        named = listed(runs, "and")
        fix = f"Make run {named} again with a larger --k, or run mine_pairs again with --run {listed(runs)}."
    return DataError(
        str(scoring.scores),
        f"{' and '.join(teacher.name for teacher in teachers)} scored no pair completely (pairs: {pairs:,})",
        "wanted a pair with scores for its positive and at least one negative",
        fix,
    )


def _publish(
    scoring: Scoring, pairs: DataFrame, teachers: list[Teacher], target: TableRef, lineage: Lineage, kept: ExitStack
) -> dict[str, int]:
    """Write the pairs with the teachers' average. Return the numbers of written pairs and of pairs without a score."""
    session = scoring.session
    said = scoring.scores.read(session).where(F.col("model_id").isin([teacher.model_id for teacher in teachers]))
    # Two writers on machines without a common lock may have scored a pair twice.
    said = said.join(scoring.pairs.select(*KEYS, "pair"), [*KEYS, "pair"], "left_semi")
    by_teacher = said.groupBy("model_id", *KEYS).agg(F.min("score").alias("score"))
    scores = averaged(
        by_teacher, [teacher.model_id for teacher in teachers], scaled=scoring.options.average == "scaled"
    )
    rows = kept_on_disk(with_margins(pairs, scores), kept)
    scored, wanted = rows.count(), pairs.count()
    if not scored:
        raise _no_score(scoring, teachers, wanted)
    replace_pairs(session, target, SCORED_PAIRS, rows.orderBy("query_id", "pos_id"), lineage=lineage)
    return {"rows": scored, "pairs_without_score": wanted - scored}
