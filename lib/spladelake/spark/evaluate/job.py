"""The evaluation job: compute the measures of a run, per query and on average, by the definitions of `measures`."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import EvaluateRun
from spladelake.errors import DataError
from spladelake.measures import DEFAULT_MEASURES
from spladelake.measures.notes import COUNTS
from spladelake.names import amount, short_name
from spladelake.results import EvaluateResult
from spladelake.spark.evaluate import driver as driver_evaluation
from spladelake.spark.evaluate.frames import query_values
from spladelake.spark.evaluate.run_checks import check_judgements, counted_rows
from spladelake.spark.evaluate.sparsity import NAMES, sparsity
from spladelake.spark.evaluate.whole_queries import JUDGED_OF_RUN, MeasureSettings
from spladelake.spark.retrieve.vector_checks import check_every_row, vocabulary_size
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.tables.create import require
from spladelake.spark.tables.driver_rows import collected
from spladelake.spark.tables.lineage import Lineage, newest_lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import JUDGEMENTS, MEASURES, RUNS
from spladelake.spark.tables.skeleton import made_unless_current
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.suggestions import made_by, mined_by
from spladelake.spark.tables.training_schemas import PARTS
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)

_WHOLE = pa.schema([("measure", pa.string()), ("query_id", pa.string()), ("value", pa.float64())])
# Values in one file of the table `measures`: half a million take one second to write and a few MB.
ROWS_PER_FILE = 500_000
# Rows of a run in one measuring task: half a minute of work is lost with a task at most.
ROWS_PER_TASK = 250_000


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: the run, the input tables with their versions, and the options."""

    run_id: str
    tables: dict[str, TableRef]
    versions: dict[str, int]
    lineage: Lineage
    names: tuple[str, ...]
    options: EvaluateRun

    @property
    def collection_id(self) -> str:
        """The column of ids in the table that tells which documents there are."""
        return "id" if self.tables.get("collection") == self.tables.get("documents") else "doc_id"

    @property
    def settings(self) -> MeasureSettings:
        """The settings that change a value."""
        return MeasureSettings(self.names, self.options.relevance_level, self.options.trec_scores)

    def read(self, session: SparkSession, name: str) -> DataFrame:
        """Return the rows of an input table at the planned version."""
        return self.tables[name].read(session, version=self.versions[name])


def evaluate_run(session: SparkSession, options: EvaluateRun) -> EvaluateResult:
    """Measure one run of the lake, and write per-query values and means to the table `measures`."""
    lake, target = Lake(options.lake), Lake(options.lake).table("measures")
    plan = _plan(session, lake, options)
    started = time.monotonic()
    result = made_unless_current(
        session, {target: plan.lineage}, lambda: _entries(plan, _write_measures(session, target, plan)),
        force=options.force, step=f"evaluate {plan.run_id}",
        known=EvaluateResult(run_id=plan.run_id, table=str(target)),
    )  # fmt: skip
    if result["status"] == "skipped":
        written = _entries(plan, _written_means(session, target, plan.run_id))
        result = cast("EvaluateResult", {**result, **written, "seconds": round(time.monotonic() - started, 2)})
    if found := result.get("ranks_against_scores"):
        log.warning(
            "run %s: the ranks of %s contradict the scores; the scores decide",
            plan.run_id,
            amount(found, "judged document"),
        )
    return result


def _entries(plan: Evaluation, means: dict[str, float]) -> dict[str, Any]:
    """Return the entries of the result: the counts, and the means in the order of the measures."""
    counts = {name: int(means[name]) for name in COUNTS if name in means}
    measures = {name: value for name, value in means.items() if name not in counts}
    return {**counts, "measures": {name: measures[name] for name in _order(plan.names, measures)}}


def _written_means(session: SparkSession, target: TableRef, run_id: str) -> dict[str, float]:
    """Return the stored means and counts of a run by name."""
    rows = target.read(session).where((F.col("run_id") == run_id) & F.col("query_id").isNull())
    return {row["measure"]: row["value"] for row in rows.collect()}


def _plan(session: SparkSession, lake: Lake, options: EvaluateRun) -> Evaluation:
    run_id = options.ranking_name or options.dated(short_name(options.vectors or options.model))
    names = options.measures or DEFAULT_MEASURES
    runs, judgements = lake.table("runs"), lake.table("judgements")
    require(session, runs, RUNS, made_by=made_by("retrieve_run", lake, model=options.model, vectors=options.vectors))
    require(session, judgements, JUDGEMENTS, made_by=made_by("ingest_texts", lake, judgements="FILE"))
    made = newest_lineage(session, runs, scope=run_id) or {}
    tables = {"runs": runs, "judgements": judgements, **_vectors_of_run(session, made)}
    if options.part is not None:
        tables["parts"] = lake.training(options.part.split("/")[0], "parts")
        require(session, tables["parts"], PARTS, made_by=mined_by(lake, options.part.split("/")[0], option="--part"))
    if lake.table("documents").exists(session):
        tables["collection"] = lake.table("documents")
    elif "documents" in tables:
        # A lake that holds vectors only.
        tables["collection"] = tables["documents"]
    versions = {name: ref.version(session) for name, ref in tables.items()}
    # Writing another run changes the version of the table `runs`, but not this run: its own fingerprint counts.
    inputs = {**versions, "runs": made.get("fingerprint", versions["runs"])}
    inputs = {name: [str(ref), inputs[name]] for name, ref in tables.items()}
    settings = {
        "measures": names,
        "level": options.relevance_level,
        "answered_only": options.answered_only,
        "trec_scores": options.trec_scores,
        **({} if options.part is None else {"part": options.part}),
    }
    return Evaluation(run_id, tables, versions, Lineage("evaluate_run", inputs, settings, scope=run_id), names, options)


def _order(names: tuple[str, ...], means: dict[str, float]) -> list[str]:
    return [*(n for n in names if n in means), *sorted(n for n in means if n not in names)]


def _vectors_of_run(session: SparkSession, made: dict[str, Any]) -> dict[str, TableRef]:
    """Return the vector tables of a run by side; empty if retrieve_run did not make the run."""
    made_from = made.get("inputs", {})
    refs = {side: TableRef.parse(made_from[side][0]) for side in NAMES if side in made_from}
    return {side: ref for side, ref in refs.items() if ref.exists(session)}


def _write_measures(session: SparkSession, target: TableRef, plan: Evaluation) -> dict[str, float]:
    """Measure the run, write its values and means, and return the means and counts by name."""
    where = f"run_id = {sql_string(plan.run_id)}"
    with ExitStack() as kept:
        found = _measured_in_driver(session, plan)
        values, means = found or _measured(session, plan, kept)
        rows = [(name, None, value) for name, value in means.items()]
        whole = pa.table(dict(zip(_WHOLE.names, zip(*rows, strict=True), strict=True)), schema=_WHOLE)
        if isinstance(values, pa.Table):
            table = pa.concat_tables([values.select(_WHOLE.names), whole])
            table = table.append_column("run_id", pa.repeat(pa.scalar(plan.run_id), table.num_rows))
            measured = session.createDataFrame(table).coalesce(1)
        else:
            files = 1 + int(means["queries"]) * len(plan.names) // ROWS_PER_FILE
            both = values.unionByName(session.createDataFrame(whole))
            measured = both.withColumn("run_id", F.lit(plan.run_id)).coalesce(files)
        replace_rows(session, target, MEASURES, measured, lineage=plan.lineage, where=where)
    return means


def _measured_in_driver(session: SparkSession, plan: Evaluation) -> tuple[pa.Table, dict[str, float]] | None:
    """Return the values and means of a run with small tables; None if a table is large or irregular."""
    from spladelake.spark.retrieve.vector_rows import check_table

    def small(name: str, columns: list[str], **equals: str) -> pa.Table | None:
        return collected(
            session, plan.tables[name], columns, version=plan.versions[name], most_bytes=driver_evaluation.MOST_BYTES,
            equals=equals,
        )  # fmt: skip

    run = small("runs", ["query_id", "doc_id", "rank", "score"], run_id=plan.run_id)
    judgements = small("judgements", ["query_id", "doc_id", "relevance"])
    documents: pa.Table | None = pa.table({plan.collection_id: []})
    if "collection" in plan.tables:
        documents = small("collection", [plan.collection_id])
    vectors = {side: small(side, ["id", "indices", "values"]) for side in NAMES if side in plan.tables}
    if run is None or judgements is None or documents is None or None in vectors.values():
        return None
    options = plan.options
    if options.part is not None:
        chosen = pa.array([row["query_id"] for row in _part(session, plan, *options.part.split("/")).collect()])
        run, judgements = (table.filter(pc.is_in(table.column("query_id"), chosen)) for table in (run, judgements))
    checked = {side: table for side, table in vectors.items() if table is not None}
    sizes = {side: vocabulary_size(session, plan.tables[side], plan.tables[side]) for side in checked}
    for side, table in checked.items():
        check_table(table, place=str(plan.tables[side]), vocabulary_size=sizes[side])
    inputs = driver_evaluation.MeasuredTables(
        run,
        judgements,
        documents.rename_columns(["doc_id"]) if "collection" in plan.tables else None,
        checked,
        sizes,
    )
    return driver_evaluation.measured(inputs, plan.settings, answered_only=options.answered_only)


def _frames(session: SparkSession, plan: Evaluation) -> tuple[DataFrame, DataFrame]:
    """Return the run and the judgements, limited to the queries of the chosen part if there is one."""
    run = plan.read(session, "runs").where(F.col("run_id") == plan.run_id)
    judgements = plan.read(session, "judgements").select("query_id", "doc_id", "relevance")
    if plan.options.part is None:
        return run, judgements
    chosen = _part(session, plan, *plan.options.part.split("/"))
    return run.join(chosen, "query_id", "left_semi"), judgements.join(chosen, "query_id", "left_semi")


def _measured(session: SparkSession, plan: Evaluation, kept: ExitStack) -> tuple[DataFrame, dict[str, float]]:
    """Return the values and means of a run of any size. The values are readable until `kept` closes."""
    places = f"{plan.tables['runs']}, run {plan.run_id!r}", str(plan.tables["judgements"])
    whole = plan.read(session, "runs").where(F.col("run_id") == plan.run_id)
    rows = counted_rows(whole, place=str(plan.tables["runs"]), run_id=plan.run_id)
    run, judgements = _frames(session, plan)
    check_judgements(judgements, place=places[1], level=plan.options.relevance_level)
    if plan.options.answered_only:
        judgements = judgements.join(run.select("query_id").distinct(), "query_id", "left_semi")
    graded = judgements.withColumn("relevance", F.col("relevance").cast("double"))
    found = query_values(run, graded, plan.settings, places=places, tasks=max(1, rows // ROWS_PER_TASK))
    found = kept_on_disk(found, kept)
    of_query = F.col("query_id").isNotNull()
    sums = found.groupBy("measure", of_query.alias("of_query")).agg(
        F.avg("value").alias("mean"), F.sum("value").alias("sum"), F.count("*").alias("queries")
    )
    summed = sums.collect()
    counted = {row["measure"]: float(row["sum"]) for row in summed if not row["of_query"]}
    if not counted.pop(JUDGED_OF_RUN, 0):
        raise _no_judged_query(plan)
    # sentence-transformers leaves out some judged queries, trec_eval none: the largest count is the number of queries.
    counted["queries"] = float(max((row["queries"] for row in summed if row["of_query"]), default=0))
    if "collection" in plan.tables:
        known = plan.read(session, "collection").select(F.col(plan.collection_id).alias("doc_id"))
        unknown = judgements.select("doc_id").distinct().join(known, "doc_id", "left_anti")
        counted["judged_documents_unknown"] = float(unknown.count())
    means = {row["measure"]: row["mean"] for row in summed if row["of_query"]}
    means |= {name: counted[name] for name in COUNTS if name in counted}
    values = found.where(of_query).select("query_id", "measure", "value")
    return values, {**means, **_sparsity(session, plan, judgements)}


def _part(session: SparkSession, plan: Evaluation, training_set: str, part: str) -> DataFrame:
    """Return the queries of a part of a training set. Raises DataError if there are none."""
    chosen = plan.read(session, "parts").where(F.col("part") == part)
    if chosen.isEmpty():
        raise DataError(
            str(plan.tables["parts"]),
            f"the part {part!r} of the training set {training_set!r} has no query",
            "wanted a part with at least one query",
            "Choose another --part, or run mine_pairs again with other values of --dev-share and --test-share.",
        )
    return chosen


def _no_judged_query(plan: Evaluation) -> DataError:
    return DataError(
        str(plan.tables["runs"]),
        f"no query of run {plan.run_id!r} is judged",
        "wanted judgements for the run's queries",
        "Check that queries and judgements belong to one collection and use the same ids.",
    )


def _sparsity(session: SparkSession, plan: Evaluation, judgements: DataFrame) -> dict[str, float]:
    """Return the sizes of the run's vectors by name; empty if its vectors are unknown."""
    sides = [side for side in NAMES if side in plan.tables]
    if not sides:
        return {}
    # As in sentence-transformers, the sizes also leave out queries without a relevant document.
    relevant = judgements.where(F.col("relevance") >= plan.options.relevance_level).select("query_id").distinct()
    vectors = {side: plan.read(session, side) for side in sides}
    sizes = {side: vocabulary_size(session, plan.tables[side], plan.tables[side]) for side in sides}
    for side in sides:
        check_every_row(plan.tables[side], vectors[side], size=sizes[side])
    return {row["measure"]: row["value"] for row in sparsity(vectors, sizes, relevant).collect()}
