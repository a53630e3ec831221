"""Read the data of a report from the tables of a lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError, UsageError
from spladelake.names import listed
from spladelake.passages.ids import document_of
from spladelake.report.data import Cost, DifferingQuery, Hit, Listing, ReportData, System, VectorStatistics
from spladelake.spark.encode.passages.ids import ending
from spladelake.spark.encode.text_tables import TextTable, texts_of_vectors
from spladelake.spark.encode.texts import SIDES, SideName
from spladelake.spark.retrieve.join import matched_terms
from spladelake.spark.retrieve.vector_checks import check_every_row, vocabulary_size
from spladelake.spark.tables.create import require
from spladelake.spark.tables.delta_log import size_in_bytes
from spladelake.spark.tables.lineage import newest_lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import MEASURES, RUNS
from spladelake.spark.tables.suggestions import made_by, missing_run

# Measures that the report shows if all its runs have them, in this order; the plots use the first.
SHOWN = ("ndcg_cut_10", "ndcg@10", "mrr@10", "recip_rank", "recall@10", "map@100", "map", "recall_100", "recall_1000")
# The most systems in a report: each has a line in the plots.
MOST_SYSTEMS = 12
HITS, TERMS = 5, 10


@dataclass(frozen=True)
class _Vectors:
    """The vectors that a run was retrieved from."""

    documents: TableRef
    queries: TableRef

    @property
    def vocabulary(self) -> TableRef:
        """The vocabulary table in the same folder."""
        place = str(self.documents)
        return TableRef.parse(place[: -len("documents")] + "vocabulary")

    @property
    def name(self) -> str:
        """Name of the folder."""
        return str(self.documents).rsplit("/", 2)[-2] if "/" in str(self.documents) else str(self.documents)


def gather(
    session: SparkSession, lake: Lake, *, runs: Sequence[str] = (), measure: str | None = None, queries: int = 5
) -> ReportData:
    """Return the data of a report.

    - runs: the runs to show, the baseline first; without them, all measured runs by name.
    - measure: the measure of the plots; without it, the first of SHOWN that all runs have.
    - queries: how many of the queries with the largest differences to list.

    Raises DataError if a run was not measured, and UsageError if some run lacks the measure.
    """
    refs = {"runs": lake.table("runs"), "measures": lake.table("measures")}
    require(session, refs["runs"], RUNS, made_by=made_by("retrieve_run", lake))
    require(session, refs["measures"], MEASURES, made_by=made_by("evaluate_run", lake))
    measured = refs["measures"].read(session)
    means = _means(measured, refs["measures"], runs)
    shared = set.intersection(*(set(of_run) for of_run in means.values()))
    shown = tuple(name for name in ((measure,) if measure else ()) + SHOWN if name in shared)
    shown = tuple(dict.fromkeys(shown))
    if not shown or (measure and measure not in shared):
        again = "run evaluate_run for every run with the same --measures"
        raise UsageError(
            f"measure {measure}" if measure else "measures of the report",
            "some runs do not have this measure"
            if measure
            else f"no default measure of the report is in all runs (default measures: {', '.join(SHOWN)})",
            f"wanted a measure that all runs have: {listed(sorted(shared))}" if shared else "wanted a common measure",
            f"Set --measure to one of these measures, or {again}." if shared else f"{again.capitalize()}.",
        )
    values = _values(measured, list(means), shown)
    vectors = {run_id: _vectors(session, refs["runs"], run_id) for run_id in means}
    systems = tuple(
        System(
            run_id,
            {name: of_run[name] for name in shown},
            values[run_id],
            _cost(session, found, of_run) if (found := vectors[run_id]) else None,
            found.name if found else None,
        )
        for run_id, of_run in means.items()
    )
    tables = {str(found.documents): found for found in vectors.values() if found is not None}
    return ReportData(
        lake=lake.root,
        measure=shown[0],
        measures=shown,
        systems=systems,
        queries=max(len(system.values[shown[0]]) for system in systems),
        vectors=tuple(_statistics(session, found) for found in tables.values()),
        differing=tuple(_differing(session, lake, systems, vectors, shown[0], queries)),
    )


def _means(measured: DataFrame, place: TableRef, runs: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the means by run and measure: in the order of `runs`, or by name if it is empty."""
    rows = measured.where(F.col("query_id").isNull())
    rows = rows.where(F.col("run_id").isin(*runs)) if runs else rows
    found: dict[str, dict[str, float]] = {}
    for row in rows.orderBy("run_id", "measure").collect():
        found.setdefault(row["run_id"], {})[row["measure"]] = row["value"]
    for run_id in runs:
        if run_id not in found:
            raise missing_run(
                measured.sparkSession, place, run_id, fix="Correct --runs, or run evaluate_run for this run."
            )
    if not found:
        raise DataError(str(place), "the table has no measured run", "wanted at least one", "Run evaluate_run first.")
    if len(found) > MOST_SYSTEMS:
        raise UsageError(
            "--runs",
            f"the report would have {len(found)} runs",
            f"wanted at most {MOST_SYSTEMS} runs",
            "Name fewer runs with --runs.",
        )
    return {run_id: found[run_id] for run_id in (dict.fromkeys(runs) if runs else found)}


def _values(measured: DataFrame, runs: list[str], shown: tuple[str, ...]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the values by run, measure and query."""
    found: dict[str, dict[str, dict[str, float]]] = {run_id: {name: {} for name in shown} for run_id in runs}
    rows = measured.where(F.col("query_id").isNotNull() & F.col("run_id").isin(*runs) & F.col("measure").isin(*shown))
    for row in rows.orderBy("query_id").toLocalIterator():
        found[row["run_id"]][row["measure"]][row["query_id"]] = row["value"]
    return found


def _vectors(session: SparkSession, runs: TableRef, run_id: str) -> _Vectors | None:
    """Return the vectors of a run; None if retrieve_run did not make the run, or its vectors are gone."""
    made_from = (newest_lineage(session, runs, scope=run_id) or {}).get("inputs", {})
    if not {"documents", "queries"} <= set(made_from):
        return None
    found = _Vectors(*(TableRef.parse(made_from[side][0]) for side in ("documents", "queries")))
    whole = all(ref.exists(session) for ref in (found.documents, found.queries, found.vocabulary))
    if not whole:
        return None
    for ref in (found.documents, found.queries):
        check_every_row(ref, ref.read(session), size=vocabulary_size(session, ref, ref))
    return found


def _frequencies(vectors: DataFrame) -> DataFrame:
    return vectors.select(F.explode("indices").alias("term_id")).groupBy("term_id").agg(F.count("*").alias("df"))


def _cost(session: SparkSession, vectors: _Vectors, means: Mapping[str, float]) -> Cost | None:
    """Return the sizes that evaluate_run measured of a run's vectors; None if it measured none."""
    names = {"query_terms": "query_active_dims", "document_terms": "corpus_active_dims", "products": "avg_flops"}
    if not set(names.values()) <= means.keys():
        return None
    table_bytes = size_in_bytes(session, vectors.documents)
    return Cost(table_bytes=table_bytes, **{key: means[name] for key, name in names.items()})


def _statistics(session: SparkSession, vectors: _Vectors) -> VectorStatistics:
    documents = vectors.documents.read(session)
    dims = documents.groupBy(F.size("indices").alias("dims")).count().orderBy("dims").collect()
    frequencies = _frequencies(documents).groupBy("df").count().orderBy("df").collect()
    return VectorStatistics(
        vectors.name, {row["dims"]: row["count"] for row in dims}, {row["df"]: row["count"] for row in frequencies}
    )


def _differing(
    session: SparkSession,
    lake: Lake,
    systems: tuple[System, ...],
    vectors: dict[str, _Vectors | None],
    measure: str,
    count: int,
) -> list[DifferingQuery]:
    """Return the queries with the largest difference between the best and the worst system, with both result lists."""
    by_query: dict[str, dict[str, float]] = {}
    for system in systems:
        for query_id, value in system.values[measure].items():
            by_query.setdefault(query_id, {})[system.run_id] = value
    spans = {query: max(of.values()) - min(of.values()) for query, of in by_query.items() if len(of) > 1}
    chosen = [query for query in sorted(spans, key=lambda query: (-spans[query], query))[:count] if spans[query] > 0]
    if not chosen:
        return []
    hits = _hits(session, lake, [system.run_id for system in systems], chosen, vectors)
    texts = _texts(session, _text_table(session, lake, vectors, "queries"), chosen)
    found = []
    for query_id in chosen:
        of_query = by_query[query_id]
        listings = [
            Listing(run_id, of_query[run_id], tuple(hits.get((run_id, query_id), ())), vectors[run_id] is not None)
            for run_id in (max(of_query, key=of_query.__getitem__), min(of_query, key=of_query.__getitem__))
        ]
        found.append(DifferingQuery(query_id, texts.get(query_id, ("",))[0], *listings))
    return found


def _hits(
    session: SparkSession, lake: Lake, runs: list[str], queries: list[str], vectors: dict[str, _Vectors | None]
) -> dict[tuple[str, str], list[Hit]]:
    """Return the top documents of every run for some queries, with texts, grades and terms, by run and query."""
    table = lake.table("runs").read(session)
    first = table.where(F.col("run_id").isin(*runs) & F.col("query_id").isin(*queries) & (F.col("rank") <= HITS))
    judged = lake.table("judgements").read(session).select("query_id", "doc_id", "relevance")
    rows = first.join(judged, ["query_id", "doc_id"], "left").orderBy("run_id", "query_id", "rank").collect()
    texts = _texts(session, _text_table(session, lake, vectors, "documents"), [row["doc_id"] for row in rows])
    terms: dict[tuple[str, str, str], tuple[tuple[str, float], ...]] = {}
    for run_id in runs:
        if (of_run := vectors[run_id]) is not None:
            terms |= _terms(session, first.where(F.col("run_id") == run_id), of_run, run_id)
    found: dict[tuple[str, str], list[Hit]] = {}
    for row in rows:
        title, text = texts.get(row["doc_id"], ("", "(the documents table has no such document)"))
        key = (row["run_id"], row["query_id"])
        if "passage_start" in row and row["passage_start"] is not None:
            text = text[row["passage_start"] : row["passage_end"]]
        hit = Hit(
            row["doc_id"],
            row["rank"],
            row["score"],
            title,
            text,
            row["relevance"],
            terms.get((*key, row["doc_id"]), ()),
        )
        found.setdefault(key, []).append(hit)
    return found


def _terms(
    session: SparkSession, first: DataFrame, vectors: _Vectors, run_id: str
) -> dict[tuple[str, str, str], tuple[tuple[str, float], ...]]:
    tables = (vectors.queries.read(session), vectors.documents.read(session))
    of_passages = {"passage"} <= set(first.columns) & set(tables[1].columns)
    if of_passages:  # the vectors have the ids of passages
        first = first.where("passage IS NOT NULL").withColumn("doc_id", F.concat("doc_id", ending()))
    ranked = first.select("query_id", "doc_id", "rank", "score")
    found = {}
    for row in matched_terms(session, *tables, ranked, vectors.vocabulary.read(session), limit=TERMS).collect():
        doc_id = document_of(row["doc_id"])[0] if of_passages else row["doc_id"]
        terms = tuple((term["token"], term["contribution"]) for term in row["terms"])
        found[run_id, row["query_id"], doc_id] = terms
    return found


def _text_table(session: SparkSession, lake: Lake, vectors: dict[str, _Vectors | None], side: SideName) -> TextTable:
    """Return the table of the texts of some run's vectors, the lake's own if there is no other."""
    refs = {getattr(found, side) for found in vectors.values() if found is not None}
    tables = (texts_of_vectors(session, lake, ref, side) for ref in sorted(refs, key=str))
    return next((table for table in tables if not table.is_own), TextTable(lake.table(side), SIDES[side]))


def _texts(session: SparkSession, table: TextTable, ids: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the text columns by id, a null as an empty text; empty if the table does not exist."""
    if not table.ref.exists(session):
        return {}
    key, columns = table.side.id_column, table.side.text_columns
    rows = table.shown(table.ref.read(session)).where(F.col(key).isin(*sorted(set(ids))))
    return {row[key]: tuple(row[column] or "" for column in columns) for row in rows.collect()}


def _first(frame: DataFrame) -> Row | Any:
    row = frame.first()
    assert row is not None
    return row
