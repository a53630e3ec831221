"""Checks of runs and judgements that would silently give wrong measures; they run before the evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.suggestions import missing_run

# Rows of a run in one task of the check: 250,000 hashes take 2 MB and are sorted in 20 ms.
ROWS_PER_CHECK = 250_000
_TWICE, _NO_SCORE = "lists a document or a rank twice", "has a score that is missing or not a number"
_WANTED = {
    _TWICE: "wanted each document and each rank at most once for a query",
    _NO_SCORE: "wanted a number as the score in every row",
}


def check_judgements(judgements: DataFrame, *, place: str, level: int) -> None:
    """Raise DataError if a document is judged twice for a query, or if no document is relevant."""
    pairs = judgements.groupBy("query_id", "doc_id").agg(
        F.count("*").alias("times"), F.max("relevance").alias("relevance")
    )
    most = pairs.agg(F.max("times").alias("times"), F.max("relevance").alias("relevance")).first()
    assert most is not None
    if most["relevance"] is None:
        fix = "Ingest judgements of the queries with ingest_texts."
        raise DataError(place, "there are no judgements", "wanted at least one judgement", fix)
    if most["relevance"] < level:
        lower = f"Set --relevance-level to {most['relevance']}, or correct" if most["relevance"] >= 1 else "Correct"
        raise DataError(
            place,
            f"the highest relevance of a document is {most['relevance']}",
            f"wanted at least one document of relevance {level} or more",
            f"{lower} the judgements.",
        )
    if most["times"] > 1 and (twice := _first_repeated(judgements)):
        raise DataError(
            place,
            f"document {twice[1]!r} is judged {twice[2]} times for query {twice[0]!r}",
            "wanted one judgement for each document of a query",
            "Remove the repeated judgements, or ingest them with ingest_texts, which keeps the first of each.",
        )


def counted_rows(run: DataFrame, *, place: str, run_id: str) -> int:
    """Return the number of rows of the run. Raises DataError if there are none."""
    rows = run.count()
    if rows == 0:
        fix = "Correct --ranking, or run retrieve_run first."
        raise missing_run(run.sparkSession, TableRef.parse(place), run_id, fix=fix)
    return rows


def answers(run: DataFrame, *, rows: int, keys: tuple[str, ...] = ("query_id",)) -> DataFrame:
    """Return (query, results, unusable, repeated) of every query of a run: counts of its rows.

    One pass over the run, which shuffles the query and 8 bytes per row.

    - rows: approximate number of rows of the run; it sets the number of tasks.
    - keys: the columns that identify a query; `query` is their values, joined by spaces.

    unusable counts rows with a null id, or with a score that is null or NaN. repeated counts rows beyond the first with
    the same query and doc_id. A 64-bit hash finds them: at 55 million rows the chance of a collision is 1 in 10,000.
    """
    present = [F.col(name).isNotNull() for name in (*keys, "doc_id", "score")]
    usable = reduce(and_, [*present, ~F.isnan("score")])
    query = F.concat_ws(" ", *keys) if len(keys) > 1 else F.col(keys[0])
    pairs = run.select(query.alias("query"), F.when(usable, F.xxhash64(*keys, "doc_id")).alias("pair"))
    spread = pairs.repartition(max(1, rows // ROWS_PER_CHECK), "query")
    return map_arrow(spread, count_pairs, "query string, results long, unusable long, repeated long")


def count_pairs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn (query, pair) rows into rows of `answers`; a null pair marks an unusable row.

    A task must get all rows of its queries.
    """
    whole = [batch for batch in batches if batch.num_rows]
    if not whole:
        return
    table = pa.Table.from_batches(whole).combine_chunks()
    queries = table.column("query").chunk(0).dictionary_encode(null_encoding="encode")
    number, pair = queries.indices.to_numpy(), table.column("pair").chunk(0)
    usable = pair.is_valid().to_numpy(zero_copy_only=False)
    known, owner = pair.drop_null().to_numpy(), number[usable]
    order = np.argsort(known)
    known, owner = known[order], owner[order]
    repeated = owner[1:][known[1:] == known[:-1]]
    size = len(queries.dictionary)
    counts = [np.bincount(rows, minlength=size) for rows in (number, number[~usable], repeated)]
    names = ["query", "results", "unusable", "repeated"]
    yield pa.RecordBatch.from_arrays([queries.dictionary, *map(pa.array, counts)], names=names)


def _first_repeated(run: DataFrame) -> tuple[str, str, int] | None:
    """Return (query_id, doc_id, times) of a document that a query lists more than once; None if there is none."""
    several = run.groupBy("query_id", "doc_id").count().where("count > 1")
    row = several.orderBy("query_id", "doc_id").first()
    return (row["query_id"], row["doc_id"], row["count"]) if row else None


def check_runs(run: DataFrame, wanted: Sequence[str], *, table: TableRef) -> dict[str, str]:
    """Return a fingerprint of every wanted run: equal fingerprints mean equal rows, in any order.

    Raises DataError if a run is missing, lists a document or a rank twice for a query, or lacks a score.
    """
    usable = F.col("score").isNotNull() & ~F.isnan("score")
    mark = F.xxhash64("query_id", "doc_id", "rank", "score")
    by_query = run.groupBy("run_id", "query_id").agg(
        F.count("*").alias("rows"),
        F.least(F.count_distinct("doc_id"), F.count_distinct("rank")).alias("different"),
        F.count_if(usable).alias("scored"),
        F.bit_xor(mark).alias("xor"),
        F.sum(mark.cast("decimal(38,0)")).alias("sum"),
    )
    broken = F.when(F.col("different") < F.col("rows"), F.lit(_TWICE))
    broken = broken.when(F.col("scored") < F.col("rows"), F.lit(_NO_SCORE))
    parts = (F.sum("rows"), F.bit_xor("xor"), F.sum("sum"))
    by_run = by_query.groupBy("run_id").agg(
        F.min(F.when(broken.isNotNull(), F.struct("query_id", broken.alias("why")))).alias("broken"),
        F.concat_ws(" ", *(part.cast("string") for part in parts)).alias("state"),
    )
    found = {row["run_id"]: row for row in by_run.collect()}
    for run_id in wanted:
        if run_id not in found:
            raise missing_run(
                run.sparkSession, table, run_id, fix="Correct the name of the run, or make the run first."
            )
        if found[run_id]["broken"] is not None:
            query_id, why = found[run_id]["broken"]
            raise DataError(
                str(table),
                f"run {run_id!r} {why} for query {query_id!r}",
                _WANTED[why],
                "Correct the program that wrote the rows, and write the run again.",
            )
    return {run_id: found[run_id]["state"] for run_id in wanted}
