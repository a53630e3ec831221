"""Evaluation as a plan over DataFrames: nothing is read before an action, and nothing is kept in the driver.

One shuffle brings the rows of a run and the judgements of a query together. A worker measures whole queries by the
functions with which the driver evaluates small runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.measures.judged import TrecScores, judged_ranks
from spladelake.spark.evaluate.driver import by_query
from spladelake.spark.evaluate.query_measures import MeasureQueries
from spladelake.spark.evaluate.run_checks import unusable_row
from spladelake.spark.session.arrow_functions import map_arrow

_VALUES = "query_id string, measure string, value double, answered boolean"
_NO_QUERY = (
    "spladelake.errors.DataError: run: no query of the run is judged; wanted judgements of the run's queries. "
    "Check that the run and the qrels belong to one collection and use the same ids."
)
_KEYS = ["query_id", "doc_id"]
# Grades are int32.
MOST_GRADE = 2**31


@dataclass(frozen=True)
class MeasureGroups:
    """The function for mapInArrow: measures queries, whose rows come side by side.

    Turns (query_id, doc_id, score, relevance, is_judgement) rows into rows of `query_values`.

    - names: the measures.
    - level: the smallest relevance that counts as relevant.
    - trec_scores: the precision in which trec_eval compares scores.
    """

    names: tuple[str, ...]
    level: int
    trec_scores: TrecScores

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in whole_queries(batches):
            judged = rows.column("is_judgement")
            run = _checked_run(rows.filter(pc.invert(judged)))
            if pc.any(judged).as_py():
                yield from self._measured(run, _checked_judgements(rows.filter(judged)))

    def _measured(self, run: pa.Table, judgements: pa.Table) -> Iterator[pa.RecordBatch]:
        # Queries without judgements are left out, as everywhere.
        run = run.filter(pc.is_in(run.column("query_id"), judgements.column("query_id").combine_chunks()))
        ranks = judged_ranks(run, judgements, trec_scores=self.trec_scores)
        answered = pc.unique(run.column("query_id").combine_chunks())
        for values in MeasureQueries(self.names, self.level)(iter([by_query(run, judgements, ranks)])):
            yield values.append_column("answered", pc.is_in(values.column("query_id"), answered))


def whole_queries(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join batches, in which the rows of a query are side by side, to tables that end at the end of a query."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        ids = batch.column("query_id")
        last = pc.equal(ids, ids[-1]).fill_null(False)
        start = last.index(True).as_py() if last.true_count else 0
        if start or (held and held[-1].column("query_id")[-1] != ids[-1]):
            yield pa.Table.from_batches([*held, batch.slice(0, start)])
            held = []
        held.append(batch.slice(start))
    if held:
        yield pa.Table.from_batches(held)


def _checked_run(run: pa.Table) -> pa.Table:
    """Raise DataError if a row lacks an id or a score, or if a query lists a document twice."""
    unusable = pc.or_(pc.is_null(run.column("score"), nan_is_null=True), _lacks_id(run))
    if pc.any(unusable).as_py():
        row = run.filter(unusable).slice(0, 1).to_pylist()[0]
        found, wanted, lacking = unusable_row(row)
        raise DataError("run", found, wanted, f"Leave out the rows without {lacking}, or correct them.")
    if (twice := _repeated(run)) is not None:
        raise DataError(
            "run",
            f"query {twice[0]!r} lists document {twice[1]!r} more than once",
            "wanted each document at most once for a query",
            "Give the rows of one run only, and remove repeated rows.",
        )
    ranks = pa.array(np.zeros(run.num_rows, dtype=np.int32))
    return run.select([*_KEYS, "score"]).append_column("rank", ranks)


def _checked_judgements(judgements: pa.Table) -> pa.Table:
    """Return (query_id, doc_id, relevance int). Raises DataError for a repeated or unusable judgement."""
    grades = judgements.column("relevance")
    whole = pc.and_(pc.equal(pc.round(grades), grades), pc.less(pc.abs(grades), MOST_GRADE)).fill_null(False)
    unusable = pc.or_(pc.invert(whole), _lacks_id(judgements))
    if pc.any(unusable).as_py():
        raise _unusable_judgement(judgements.filter(unusable).slice(0, 1).to_pylist()[0])
    if (twice := _repeated(judgements)) is not None:
        raise DataError(
            "qrels",
            f"document {twice[1]!r} is judged more than once for query {twice[0]!r}",
            "wanted one judgement for each document of a query",
            "Remove the repeated judgements.",
        )
    return judgements.select(_KEYS).append_column("relevance", grades.cast(pa.int32()))


def _unusable_judgement(row: dict[str, Any]) -> DataError:
    """Return the error for a judgement without an id, or with a grade that is not a whole number or is too large."""
    grade = row["relevance"]
    if row["query_id"] is None or row["doc_id"] is None:
        found, wanted, lacking = unusable_row(row)
        return DataError("qrels", found, wanted, f"Leave out the judgements without {lacking}, or correct them.")
    pair = f"the judgement of document {row['doc_id']!r} for query {row['query_id']!r}"
    if grade is None:
        fix = "Leave out the judgements without a grade, or add their grades."
        return DataError("qrels", f"{pair} has no grade", "wanted a whole number as the grade in every row", fix)
    found = f"{pair} has the grade {grade}"
    if abs(grade) >= MOST_GRADE:
        wanted = f"wanted a grade from {1 - MOST_GRADE:,} to {MOST_GRADE - 1:,}"
        return DataError("qrels", found, wanted, "Replace the grades with smaller whole numbers.")
    return DataError("qrels", found, "wanted a whole number", "Replace the grades with whole numbers, such as 0 to 3.")


def _lacks_id(rows: pa.Table) -> pa.ChunkedArray:
    return pc.or_(*(pc.is_null(rows.column(key)) for key in _KEYS))


def _repeated(rows: pa.Table) -> tuple[str, str] | None:
    """Return a pair of query_id and doc_id that occurs more than once; None if there is none."""
    counts = rows.group_by(_KEYS).aggregate([([], "count_all")])
    if counts.num_rows == rows.num_rows:
        return None
    pair = counts.filter(pc.greater(counts.column("count_all"), 1)).slice(0, 1).to_pylist()[0]
    return pair["query_id"], pair["doc_id"]


def query_values(
    run: DataFrame, judgements: DataFrame, *, names: tuple[str, ...], level: int, trec_scores: TrecScores = "float32"
) -> DataFrame:
    """Return (query_id, measure, value, answered) of every judged query that counts under the measure's convention.

    - run: (query_id string, doc_id string, score double). Its order and ranks are not used.
    - judgements: (query_id string, doc_id string, relevance double).
    - names: the measures.
    - level: the smallest relevance that counts as relevant.
    - trec_scores: the precision in which trec_eval compares scores.

    `answered` says whether the run has a document of the query. A task raises DataError for unusable rows.
    """
    none = F.lit(None).cast("double")
    of_run = run.select(*_KEYS, "score", none.alias("relevance"), F.lit(False).alias("is_judgement"))
    judged = judgements.select(*_KEYS, none.alias("score"), "relevance", F.lit(True).alias("is_judgement"))
    both = of_run.unionAll(judged).repartition("query_id").sortWithinPartitions("query_id")
    return map_arrow(both, MeasureGroups(names, level, trec_scores), _VALUES)


def means(values: DataFrame) -> DataFrame:
    """Return (measure, value, queries): the mean of each measure and the number of its queries.

    - values: the rows of `query_values`. The plan raises an error if the run has no document of any judged query.
    """
    value = F.when(F.max("answered"), F.avg("value")).otherwise(F.raise_error(F.lit(_NO_QUERY)).cast("double"))
    return values.groupBy("measure").agg(value.alias("value"), F.count("*").cast("int").alias("queries"))
