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

from spladelake.spark.evaluate.sparsity import NAMES
from spladelake.spark.evaluate.whole_queries import JUDGED_OF_RUN, MEASURED, MeasureSettings, measured_queries

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


def measured(
    inputs: MeasuredTables, settings: MeasureSettings, *, answered_only: bool
) -> tuple[pa.Table, dict[str, float]] | None:
    """Return (query_id, measure, value) rows, and the means, counts and sizes by name; None for irregular inputs.

    - answered_only: whether only queries count for which the run has a document.
    """
    run, judgements = inputs.run, inputs.judgements
    if not _regular(run, judgements, level=settings.level):
        return None
    if answered_only:
        judgements = judgements.filter(pc.is_in(judgements.column("query_id"), run.column("query_id")))
    found = pa.Table.from_batches(measured_queries(run, judgements, settings), schema=MEASURED)
    whole = pc.is_null(found.column("query_id"))
    counts = dict(zip(*(found.filter(whole).column(name).to_pylist() for name in ("measure", "value")), strict=True))
    if counts.pop(JUDGED_OF_RUN) == 0:
        return None
    if inputs.documents is not None:
        ids = pc.unique(judgements.column("doc_id").combine_chunks())
        known = pc.is_in(ids, inputs.documents.column("doc_id").combine_chunks())
        counts["judged_documents_unknown"] = float(len(ids) - int(pc.sum(known).as_py() or 0))
    values = found.filter(pc.invert(whole))
    means, queries = dict[str, float](), 0
    for name in pc.unique(values.column("measure")).to_pylist():
        of_measure = values.filter(pc.equal(values.column("measure"), name)).column("value").to_pylist()
        means[name] = math.fsum(of_measure) / len(of_measure)
        queries = max(queries, len(of_measure))
    sizes = dict(_sizes(inputs, judgements, level=settings.level))
    return values, {**means, "queries": float(queries), **counts, **sizes}


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
