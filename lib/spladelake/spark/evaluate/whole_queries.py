"""The measures of whole queries, and counts beside them: in a worker that gets rows side by side, or in the driver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spladelake.errors import DataError
from spladelake.measures.judged import TrecScores, judged_ranks
from spladelake.spark.evaluate.query_measures import RANKS, MeasureQueries

# Rows of values. A row without query_id is a count of `counted`, as a sum over some queries. `answered` says whether
# the run has a document of the query.
MEASURED = pa.schema(
    [("query_id", pa.string()), ("measure", pa.string()), ("value", pa.float64()), ("answered", pa.bool_())]
)
MEASURED_DDL = "query_id string, measure string, value double, answered boolean"
# A count that no result shows.
JUDGED_OF_RUN = "queries_judged_of_run"
_KEYS = ["query_id", "doc_id"]
# Rows that are measured together. With fewer, the calls of numpy take longer than their work.
ROWS_TOGETHER = 50_000
# Grades are int32.
MOST_GRADE = 2**31


@dataclass(frozen=True)
class MeasureSettings:
    """The settings of an evaluation.

    - names: the measures.
    - level: the smallest relevance that counts as relevant.
    - trec_scores: the precision in which trec_eval compares scores.
    """

    names: tuple[str, ...]
    level: int
    trec_scores: TrecScores = "float32"


@dataclass(frozen=True)
class MeasureGroups:
    """The function for mapInArrow: measures queries, whose rows come side by side.

    Turns (query_id, doc_id, rank, score, relevance, is_judgement) rows into MEASURED rows.

    - run, qrels: the tables, for messages.
    """

    settings: MeasureSettings
    run: str
    qrels: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in whole_queries(batches):
            judged = rows.column("is_judgement")
            run = rows.filter(pc.invert(judged))
            _check_run(run, self.run)
            yield from measured_queries(run, _checked_judgements(rows.filter(judged), self.qrels), self.settings)


def measured_queries(
    run: pa.Table, judgements: pa.Table, settings: MeasureSettings
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """Yield the MEASURED rows of whole queries.

    - run: (query_id, doc_id, rank, score), each document once per query, no null and no NaN.
    - judgements: (query_id, doc_id, relevance int), each pair once.
    """
    judged, answered = (pc.unique(t.column("query_id").combine_chunks()) for t in (judgements, run))
    # Queries without judgements are left out, as everywhere.
    of_judged = run.filter(pc.is_in(run.column("query_id"), judged))
    ranks = judged_ranks(of_judged, judgements, trec_scores=settings.trec_scores)
    counts = _counted(judged, answered, ranks)
    none = pa.nulls(len(counts), pa.string())
    yield pa.RecordBatch.from_arrays(
        [none, pa.array(counts), pa.array([float(count) for count in counts.values()]), none.cast(pa.bool_())],
        schema=MEASURED,
    )
    if len(judged):
        for values in MeasureQueries(settings.names, settings.level)(iter([by_query(of_judged, judgements, ranks)])):
            yield values.append_column("answered", pc.is_in(values.column("query_id"), answered))


def _counted(judged: pa.Array, answered: pa.Array, ranks: pa.Table) -> dict[str, int]:
    """Return the counts of queries and judged documents by name; see measures.notes.COUNTS."""
    both = int(pc.sum(pc.is_in(answered, judged)).as_py() or 0)
    stated, above, level = (ranks.column(name).to_numpy() for name in ("stated_rank", "above", "level"))
    return {
        "queries_without_results": len(judged) - both,
        "queries_not_judged": len(answered) - both,
        JUDGED_OF_RUN: both,
        "decided_by_tie_rule": int(np.count_nonzero(level > 1)),
        "ranks_against_scores": int(np.count_nonzero((stated <= above) | (stated > above + level))),
    }


def whole_queries(batches: Iterator[pa.RecordBatch], *, least: int = ROWS_TOGETHER) -> Iterator[pa.Table]:
    """Join batches, in which the rows of a query are side by side, to tables that end at the end of a query.

    - least: fewest rows of a table; the last one may have fewer.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        ids = batch.column("query_id")
        last = pc.equal(ids, ids[-1]).fill_null(False)
        start = last.index(True).as_py() if last.true_count else 0
        ends = start or (held and held[-1].column("query_id")[-1] != ids[-1])
        if ends and sum(part.num_rows for part in held) + start >= least:
            yield pa.Table.from_batches([*held, batch.slice(0, start)])
            held = []
            batch = batch.slice(start)
        held.append(batch)
    if held:
        yield pa.Table.from_batches(held)


def _check_run(run: pa.Table, place: str) -> None:
    """Raise DataError if a row lacks an id or a score, or if a query lists a document twice."""
    unusable = pc.or_(pc.is_null(run.column("score"), nan_is_null=True), _lacks_id(run))
    if pc.any(unusable).as_py():
        row = run.filter(unusable).slice(0, 1).to_pylist()[0]
        found, wanted, lacking = _unusable_row(row)
        raise DataError(place, found, wanted, f"Leave out the rows without {lacking}, or correct them.")
    if (twice := _repeated(run)) is not None:
        raise DataError(
            place,
            f"query {twice[0]!r} lists document {twice[1]!r} more than once",
            "wanted each document at most once for a query",
            "Give the rows of one run only, and remove repeated rows.",
        )


def _checked_judgements(judgements: pa.Table, place: str) -> pa.Table:
    """Return (query_id, doc_id, relevance int). Raises DataError for a repeated or unusable judgement."""
    grades = judgements.column("relevance")
    whole = pc.and_(pc.equal(pc.round(grades), grades), pc.less(pc.abs(grades), MOST_GRADE)).fill_null(False)
    unusable = pc.or_(pc.invert(whole), _lacks_id(judgements))
    if pc.any(unusable).as_py():
        raise _unusable_judgement(judgements.filter(unusable).slice(0, 1).to_pylist()[0], place)
    if (twice := _repeated(judgements)) is not None:
        raise DataError(
            place,
            f"document {twice[1]!r} is judged more than once for query {twice[0]!r}",
            "wanted one judgement for each document of a query",
            "Remove the repeated judgements.",
        )
    return judgements.select(_KEYS).append_column("relevance", grades.cast(pa.int32()))


def _unusable_row(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the fault of a row that lacks an id or a score, as parts of an error: found, wanted and the missing value.

    - row: query_id, doc_id and score.
    """
    for key, other, named in (("query_id", "doc_id", "document"), ("doc_id", "query_id", "query")):
        if row[key] is None:
            return f"a row of {named} {row[other]!r} has no {key}", f"wanted a {key} in every row", f"a {key}"
    pair = f"document {row['doc_id']!r} of query {row['query_id']!r}"
    score = "no score" if row["score"] is None else f"the score {row['score']}"
    return f"{pair} has {score}", "wanted a number as the score in every row", "a score"


def _unusable_judgement(row: Mapping[str, Any], place: str) -> DataError:
    """Return the error for a judgement without an id, or with a grade that is not a whole number or is too large."""
    grade = row["relevance"]
    if row["query_id"] is None or row["doc_id"] is None:
        found, wanted, lacking = _unusable_row(row)
        return DataError(place, found, wanted, f"Leave out the judgements without {lacking}, or correct them.")
    pair = f"the judgement of document {row['doc_id']!r} for query {row['query_id']!r}"
    if grade is None:
        fix = "Leave out the judgements without a grade, or add their grades."
        return DataError(place, f"{pair} has no grade", "wanted a whole number as the grade in every row", fix)
    found = f"{pair} has the grade {grade}"
    if abs(grade) >= MOST_GRADE:
        wanted = f"wanted a grade from {1 - MOST_GRADE:,} to {MOST_GRADE - 1:,}"
        return DataError(place, found, wanted, "Replace the grades with smaller whole numbers.")
    return DataError(place, found, "wanted a whole number", "Replace the grades with whole numbers, such as 0 to 3.")


def _lacks_id(rows: pa.Table) -> pa.ChunkedArray:
    return pc.or_(*(pc.is_null(rows.column(key)) for key in _KEYS))


def _repeated(rows: pa.Table) -> tuple[str, str] | None:
    """Return a pair of query_id and doc_id that occurs more than once; None if there is none."""
    counts = rows.group_by(_KEYS).aggregate([([], "count_all")])
    if counts.num_rows == rows.num_rows:
        return None
    pair = counts.filter(pc.greater(counts.column("count_all"), 1)).slice(0, 1).to_pylist()[0]
    return pair["query_id"], pair["doc_id"]


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
