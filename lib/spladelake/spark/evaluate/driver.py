"""Evaluation of a small run in the driver: it reads each table once and starts no other Spark job.

The values equal those of the Spark plan in job.py, by the same definitions. Irregular inputs, such as a repeated
document, are left to that plan, which raises the error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spladelake.measures.judged import TrecScores, judged_ranks
from spladelake.spark.evaluate.query_measures import RANKS, VALUES, MeasureQueries
from spladelake.spark.evaluate.sparsity import NAMES

# The driver evaluates a run if the files of each input table have at most this many bytes: about 100 MB in memory.
MOST_BYTES = 32 * 2**20


@dataclass(frozen=True)
class MeasuredTables:
    """The inputs of an evaluation, in memory.

    - run: (query_id, doc_id, rank, score).
    - judgements: (query_id, doc_id, relevance).
    - documents: (doc_id), or None if the lake has no documents.
    - vectors: (id, indices) by side.
    - sizes: number of dimensions by side.
    """

    run: pa.Table
    judgements: pa.Table
    documents: pa.Table | None
    vectors: Mapping[str, pa.Table]
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class Settings:
    """The options of evaluate_run that change a value."""

    names: tuple[str, ...]
    level: int
    answered_only: bool
    trec_scores: TrecScores


def measured(inputs: MeasuredTables, settings: Settings) -> tuple[pa.Table, dict[str, float]] | None:
    """Return (query_id, measure, value) rows, and the means, counts and sizes by name; None for irregular inputs."""
    run, judgements = inputs.run, inputs.judgements
    if not _regular(run, judgements, level=settings.level):
        return None
    if settings.answered_only:
        judgements = judgements.filter(pc.is_in(judgements.column("query_id"), run.column("query_id")))
    ranks = judged_ranks(run, judgements, trec_scores=settings.trec_scores)
    counts = _counts(inputs, judgements, ranks)
    if counts.pop("queries_judged_of_run") == 0:
        return None
    batch = by_query(run, judgements, ranks)
    values = pa.Table.from_batches(MeasureQueries(settings.names, settings.level)(iter([batch])), schema=VALUES)
    means, queries = dict[str, float](), 0
    for name in pc.unique(values.column("measure")).to_pylist():
        of_measure = values.filter(pc.equal(values.column("measure"), name)).column("value").to_pylist()
        means[name] = math.fsum(of_measure) / len(of_measure)
        queries = max(queries, len(of_measure))
    sizes = dict(_sizes(inputs, judgements, level=settings.level))
    return values, {**means, "queries": float(queries), **{k: float(v) for k, v in counts.items()}, **sizes}


def _regular(run: pa.Table, judgements: pa.Table, *, level: int) -> bool:
    """Return whether the inputs have rows, no nulls, no NaN scores, no repeated pair and a relevant document."""
    if not run.num_rows or not judgements.num_rows:
        return False
    nulls = sum(run.column(name).null_count for name in ("query_id", "doc_id", "score"))
    if nulls or sum(column.null_count for column in judgements.columns):
        return False
    if pc.any(pc.is_nan(run.column("score"))).as_py() or pc.max(judgements.column("relevance")).as_py() < level:
        return False
    return all(_pairs(table) == table.num_rows for table in (run, judgements))


def _pairs(table: pa.Table) -> int:
    """Return the number of distinct (query_id, doc_id) pairs."""
    return int(table.select(["query_id", "doc_id"]).group_by(["query_id", "doc_id"]).aggregate([]).num_rows)


def _counts(inputs: MeasuredTables, judgements: pa.Table, ranks: pa.Table) -> dict[str, int]:
    """Return the counts of measures.notes.COUNTS except `queries`, and the number of judged queries of the run."""
    answered, judged = (pc.unique(t.column("query_id").combine_chunks()) for t in (inputs.run, judgements))
    both = int(pc.sum(pc.is_in(answered, judged)).as_py() or 0)
    stated, above, level = (ranks.column(name).to_numpy() for name in ("stated_rank", "above", "level"))
    found = {
        "queries_without_results": len(judged) - both,
        "queries_not_judged": len(answered) - both,
        "queries_judged_of_run": both,
        "decided_by_tie_rule": int(np.count_nonzero(level > 1)),
        "ranks_against_scores": int(np.count_nonzero((stated <= above) | (stated > above + level))),
    }
    if inputs.documents is not None:
        ids = pc.unique(judgements.column("doc_id").combine_chunks())
        known = pc.is_in(ids, inputs.documents.column("doc_id").combine_chunks())
        found["judged_documents_unknown"] = len(ids) - int(pc.sum(known).as_py() or 0)
    return found


def by_query(run: pa.Table, judgements: pa.Table, ranks: pa.Table) -> pa.RecordBatch:
    """Return the (query_id, judged, hits, results) rows that MeasureQueries takes, sorted by query_id."""
    judged = judgements.sort_by([("query_id", "ascending"), ("doc_id", "ascending")])
    queries, starts = _groups(judged.column("query_id"))
    relevance = judged.column("relevance").combine_chunks().cast(pa.int32())
    hits = ranks.sort_by("query_id")
    found, hit_starts = _groups(hits.column("query_id"))
    items = pa.StructArray.from_arrays(
        [hits.column(name).combine_chunks().cast(pa.int32()) for name in ("relevance", *RANKS)],
        names=["relevance", *RANKS],
    )
    lists = pa.ListArray.from_arrays(pa.array(hit_starts, pa.int32()), items)
    columns = [queries, pa.ListArray.from_arrays(pa.array(starts, pa.int32()), relevance)]
    counts = pc.value_counts(run.column("query_id").combine_chunks())
    place = pc.index_in(queries, counts.field("values"))
    results = counts.field("counts").take(place).fill_null(0)
    return pa.RecordBatch.from_arrays(
        [*columns, lists.take(pc.index_in(queries, found)), results], names=["query_id", "judged", "hits", "results"]
    )


def _groups(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Return the distinct values of a sorted column, and the row where each begins, followed by the row count."""
    encoded = column.combine_chunks().dictionary_encode()
    sizes = np.bincount(encoded.indices.to_numpy(zero_copy_only=False), minlength=len(encoded.dictionary))
    return encoded.dictionary, np.r_[0, np.cumsum(sizes)]


def _sizes(inputs: MeasuredTables, judgements: pa.Table, *, level: int) -> Iterator[tuple[str, float]]:
    """Yield active dimensions, sparsity ratio and avg_flops by name, as `evaluate.sparsity` defines them."""
    relevant = judgements.filter(pc.greater_equal(judgements.column("relevance"), level)).column("query_id")
    shares = {}
    for side, table in inputs.vectors.items():
        rows = table.filter(pc.is_in(table.column("id"), relevant.combine_chunks())) if side == "queries" else table
        if not rows.num_rows:
            continue
        terms = pc.list_flatten(rows.column("indices")).to_numpy()
        active = len(terms) / rows.num_rows
        yield f"{NAMES[side]}_active_dims", active
        yield f"{NAMES[side]}_sparsity_ratio", 1 - active / inputs.sizes[side]
        shares[side] = np.bincount(terms, minlength=max(inputs.sizes.values())) / rows.num_rows
    if len(shares) == len(NAMES):
        asked, stored = (shares[side] for side in NAMES)
        both = np.flatnonzero(asked * stored)
        if len(both):
            yield "avg_flops", math.fsum(asked[both] * stored[both])
