"""The compaction job: it writes the vectors of a model in less space and reports what that costs."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from spladelake.compaction import Compaction, Statistics
from spladelake.config.compaction import CompactVectors, Target
from spladelake.config.model_kinds import properties_of_rows
from spladelake.errors import DataError, UsageError
from spladelake.names import short_name
from spladelake.results import CompactResult
from spladelake.spark.compact.trials import Judged, Trial, Trials, statistics_of
from spladelake.spark.encode.texts import vectors_schema
from spladelake.spark.retrieve.query_rows import collected_queries
from spladelake.spark.retrieve.vector_checks import (
    check_every_row,
    check_rows,
    check_same_model,
    surveyed,
    vocabulary_size,
)
from spladelake.spark.tables.comparison_schemas import COMPACTIONS
from spladelake.spark.tables.create import ensure_table, require
from spladelake.spark.tables.delta_log import size_in_bytes
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.spark.tables.lineage import Lineage, refuse_other_makers
from spladelake.spark.tables.properties import set_properties, table_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import JUDGEMENTS, VECTOR_FILES, VECTORS, VOCABULARY
from spladelake.spark.tables.skeleton import made_unless_current
from spladelake.spark.tables.split_files import COMPACTED_FROM, COMPACTION, ROUNDED_FILES, SPLIT, SPLIT_FILES
from spladelake.spark.tables.split_files import PROPERTY as FILES
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.suggestions import encoded_by, made_by
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)

# The settings that a search tries, smallest vectors first: bits of the weights, then shares of each vector's sum.
BITS = (2, 3, 4, 5, 6, 8, 10)
SHARES = (0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
# A scan reads a file of this size in about a second. A lake as large as MS MARCO has about a hundred of them.
FILE_BYTES = 128 * 2**20


@dataclass(frozen=True)
class _CompactTables:
    """The places where the job reads and writes vectors.

    - name, into: names of the original and of the compacted vectors.
    - version: version of the document vectors that the job reads.
    - size: size of the vocabulary.
    """

    lake: Lake
    name: str
    into: str
    version: int
    size: int

    def source(self, side: str) -> TableRef:
        return self.lake.vectors(self.name, side)

    def target(self, side: str) -> TableRef:
        return self.lake.vectors(self.into, side)


def compact_vectors(session: SparkSession, options: CompactVectors) -> CompactResult:
    """Write compacted vectors beside the original ones.

    The options give either the settings or a target. For a target the job searches the smallest settings that meet it.
    """
    tables = _tables(session, options)
    judgements = _judgements(session, tables.lake, required=options.target is not None)
    lineage = _lineage(session, tables, options, judged=judgements is not None)
    target = tables.target("documents")
    result: CompactResult = {"table": str(target), "vectors": tables.into}
    # The report is written last. If it is missing, the job was killed after the commit of the vectors, and is done
    # again.
    reported = replace(lineage, scope=tables.into)
    return made_unless_current(
        session, {target: lineage, tables.lake.table(COMPACTIONS.name): reported},
        lambda: _compact(session, tables, judgements, lineage, reported, options),
        force=options.force, step=f"compact {tables.name}", known=result,
    )  # fmt: skip


def _compact(
    session: SparkSession, tables: _CompactTables, judgements: DataFrame | None, lineage: Lineage, reported: Lineage,
    options: CompactVectors,
) -> dict[str, Any]:  # fmt: skip
    """Write the compacted vectors and the report; returns the report."""
    guarded = (tables.target(side) for side in ("documents", "queries"))
    refuse_other_makers(session, *guarded, job=lineage.job, option="--into")
    rows = tables.source("documents").read(session, version=tables.version)
    queries = tables.source("queries").read(session)
    judged = Judged(
        collected_queries(queries, str(tables.source("queries")), tables.size),
        judgements,
        options.all_measures,
        options.depth,
    )
    trials = Trials(session, rows, judged, place=str(tables.source("documents")))
    statistics = statistics_of(rows, options.compaction, vocabulary_size=tables.size)
    try:
        if options.target is None:
            tried = [trials.measure(options.compaction, statistics)]
        else:
            tried = _search(trials, statistics, Target.parse(options.target))
        chosen = tried[-1]
        _write(session, tables, trials.compacted(chosen.how, statistics), chosen, lineage, options)
        return _report(session, tables, trials, tried, reported, options)
    finally:
        trials.close()


def _tables(session: SparkSession, options: CompactVectors) -> _CompactTables:
    lake, name = Lake(options.lake), short_name(options.vectors or options.model)
    into = short_name(options.into) if options.into else f"{name}-compact"
    if lake.vectors(into, "documents") == lake.vectors(name, "documents"):
        found = f"the value is {into!r}, the name of the original vectors"
        fix = f"Set --into to a new name, such as {name}-small."
        raise UsageError("--into", found, "wanted another name for the new vectors", fix)
    documents, queries = lake.vectors(name, "documents"), lake.vectors(name, "queries")
    maker = encoded_by(lake, model=options.model, vectors=options.vectors)
    for ref in (documents, queries):
        require(session, ref, VECTORS, made_by=maker)
    require(session, lake.vectors(name, "vocabulary"), VOCABULARY, made_by=maker)
    version = documents.version(session)
    rows = documents.read(session, version=version)
    survey = surveyed(rows)
    check_same_model((documents, survey), (queries, surveyed(queries.read(session))))
    size = vocabulary_size(session, documents, queries)
    check_rows(session, documents, rows, survey, size=size)
    # The job copies the queries unchanged, so every row is checked here.
    check_every_row(queries, queries.read(session), size=size)
    return _CompactTables(lake, name, into, version, size)


def _judgements(session: SparkSession, lake: Lake, *, required: bool) -> DataFrame | None:
    ref = lake.table("judgements")
    if not required and not ref.exists(session):
        return None
    maker = made_by("ingest_texts", lake, judgements="FILE")
    rows = require(session, ref, JUDGEMENTS, made_by=maker).select("query_id", "doc_id", "relevance")
    if rows.where("relevance > 0").isEmpty():
        if required:
            raise DataError(
                str(ref),
                "no judgement has a relevance above 0",
                "wanted at least one relevant document, because the measure of --target needs relevant documents",
                "Ingest judgements with a relevance above 0, or give settings instead of --target.",
            )
        return None
    return rows


def _lineage(session: SparkSession, tables: _CompactTables, options: CompactVectors, *, judged: bool) -> Lineage:
    source, queries = tables.source("documents"), tables.source("queries")
    inputs = {"documents": [str(source), tables.version], "queries": [str(queries), queries.version(session)]}
    if judged:
        ref = tables.lake.table("judgements")
        inputs["judgements"] = [str(ref), ref.version(session)]
    settings = options.settings("model", "vectors", "into")
    return Lineage("compact_vectors", inputs, settings)


def _search(trials: Trials, statistics: Statistics, target: Target) -> list[Trial]:
    """Return every trial. The last one meets the target, and no smaller trial does.

    Raises DataError if the measure of the original vectors is 0.
    """
    wanted = target.share * trials.original.mean(target.measure)
    if not wanted > 0:
        raise DataError(
            trials.place,
            f"{target.measure} of the original vectors is {trials.original.mean(target.measure):g}",
            "wanted a value above 0, because the target is a share of it",
            "Check that queries, judgements and vectors belong to one collection and use the same ids.",
        )
    tried: list[Trial] = []

    def first_that_will_do(candidates: list[Compaction], otherwise: Compaction) -> Compaction:
        for how in candidates:
            tried.append(trials.measure(how, statistics))
            mean = tried[-1].mean(target.measure)
            log.info("compaction with %s: %s is %.4f (target: at least %.4f)", how, target.measure, mean, wanted)
            if mean >= wanted:
                return how
        return otherwise

    rounding = first_that_will_do([Compaction(mantissa_bits=bits) for bits in BITS], Compaction())
    pruned = [Compaction(mantissa_bits=rounding.mantissa_bits, alpha_mass=share) for share in SHARES]
    chosen = first_that_will_do(pruned, rounding)
    last = next((trial for trial in tried if trial.how == chosen), trials.original)
    return [*(trial for trial in tried if trial is not last), last]


def _write(
    session: SparkSession,
    tables: _CompactTables,
    rows: DataFrame,
    chosen: Trial,
    lineage: Lineage,
    options: CompactVectors,
) -> None:
    """Write the compacted documents in files of a good size for scans, beside the unchanged queries and vocabulary.

    Documents with the same heaviest terms stand together, so that zstd finds the ids that they share.
    """
    source, target = tables.source("documents"), tables.target("documents")
    # Rounded vectors take three bytes per posting. Files of other vectors become twice as large.
    files = max(1, math.ceil(chosen.postings * 3 / FILE_BYTES))
    ordered = rows.repartitionByRange(files, "cluster", "id").sortWithinPartitions("cluster", "id")
    properties = properties_of_rows(table_properties(session, source))
    vocabulary = tables.source("vocabulary").read(session).coalesce(1)
    replace_rows(session, tables.target("vocabulary"), VOCABULARY, vocabulary, lineage=lineage)
    asked = tables.source("queries")
    queries = asked.read(session).coalesce(1).sortWithinPartitions("id")
    replace_rows(session, tables.target("queries"), VECTORS, queries, lineage=lineage)
    unchanged = {COMPACTED_FROM: str(asked), COMPACTION: "none: queries are as they were"}
    set_properties(
        session, tables.target("queries"), {**properties_of_rows(table_properties(session, asked)), **unchanged}
    )
    if options.files == SPLIT:
        form = SPLIT_FILES
        # Set the property before the first split file is written. A session that reads by rows can read the other files
        # too.
        ensure_table(session, target, vectors_schema(rows), properties={FILES: SPLIT})
        set_properties(session, target, {FILES: SPLIT})
    else:
        form = VECTOR_FILES if chosen.how.mantissa_bits is None and chosen.how.levels is None else ROUNDED_FILES
    replace_rows(session, target, vectors_schema(rows), ordered, lineage=lineage, files=form)
    made_from = {
        COMPACTED_FROM: str(source),
        "compacted_from_version": str(tables.version),
        COMPACTION: str(chosen.how),
        FILES: options.files,
    }
    set_properties(session, target, {**properties, **made_from})
    written, wanted = target.read(session).count(), source.read(session, version=tables.version).count()
    if written != wanted:
        found = f"the table holds {written:,} vectors"
        raise DataError(str(target), found, f"wanted {wanted:,}, as in {source}", "Run the job again with --force.")


def _report(
    session: SparkSession,
    tables: _CompactTables,
    trials: Trials,
    tried: list[Trial],
    lineage: Lineage,
    options: CompactVectors,
) -> dict[str, Any]:
    """Write the rows of `compactions`; return the report as entries of the job's result."""
    chosen, original = tried[-1], trials.original
    before = size_in_bytes(session, tables.source("documents"))
    after = size_in_bytes(session, tables.target("documents"))
    found = []
    for trial in tried:
        is_chosen = trial is chosen
        entry: dict[str, Any] = {
            "settings": str(trial.how),
            "chosen": is_chosen,
            "postings": trial.postings,
            "table_bytes": after if is_chosen else None,
            "bytes_per_posting": after / trial.postings if is_chosen and trial.postings else None,
            "largest_score_error": trial.largest_error,
            "score_error_bound": trial.error_bound,
        }
        tests = trials.tests(trial, permutations=options.permutations)
        found += [{**entry, "measure": measure, **test} for measure, test in tests.items()] or [
            {**entry, **dict.fromkeys(("measure", "before", "after", "ratio", "t_p", "randomisation_p"))}
        ]
    rows = [{"compaction": tables.into, **row} for row in found]
    ref = tables.lake.table(COMPACTIONS.name)
    frame = frame_of(session, rows, COMPACTIONS.struct)
    where = f"compaction = {sql_string(tables.into)}"
    replace_rows(session, ref, COMPACTIONS, frame, lineage=lineage, where=where)
    return {
        "settings": {k: v for k, v in asdict(chosen.how).items() if v != getattr(Compaction, k)},
        "target": options.target,
        "rows": tables.target("documents").read(session).count(),
        "postings": chosen.postings,
        "postings_before": original.postings,
        "bytes": after,
        "bytes_before": before,
        "bytes_per_posting": round(after / chosen.postings, 3) if chosen.postings else None,
        "bytes_per_posting_before": round(before / original.postings, 3) if original.postings else None,
        "compactions": json.loads(json.dumps(found)),
    }
