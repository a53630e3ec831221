"""The functions that plans over DataFrames run in workers, called here on Arrow batches: they refuse bad rows by id."""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa
import pytest

from spladelake.errors import DataError, MachineError
from spladelake.scoring import BLOCK_DOCUMENTS
from spladelake.spark.evaluate.frames import MeasureGroups, whole_queries
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.frames import Limits, MergeNamed, PackQueries, ScoreArriving

ROWS = pa.schema(
    [("id", pa.string()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float32())), ("model", pa.int64())]
)
Row = tuple[str | None, list[int], list[float]]
GOOD: list[Row] = [("a", [1, 2], [1.0, 0.5])]


def batch_of(rows: list[Row], model: int = 0) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [{"id": i, "indices": terms, "values": weights, "model": model} for i, terms, weights in rows], schema=ROWS
    )


def ranked(
    documents: list[Row], queries: list[Row], *, k: int = 3, task_bytes: int = 2**20, model: int = 0
) -> list[tuple[Any, ...]]:
    """What a plan of one partition does: pack, join to the first row, rank, merge."""
    kept, limits = Kept(k, False, 0.0), Limits(10, task_bytes, 1)
    (packed,) = PackQueries(10)(iter([batch_of(queries, model)]))
    arriving = batch_of(documents)
    for name in ("queries", "refusal"):
        column = packed.column(name)
        nulls = pa.nulls(arriving.num_rows - 1, column.type)
        arriving = arriving.append_column(name, pa.concat_arrays([column, nulls]))
    score = ScoreArriving(uuid.uuid4().hex, kept, limits)
    found = score(iter([arriving.slice(0, 1), arriving.slice(1)]))
    return [tuple(row.values()) for rows in MergeNamed(kept)(found) for row in rows.to_pylist()]


def test_documents_of_all_batches_are_ranked_for_the_queries_that_come_with_the_first() -> None:
    documents: list[Row] = [("x", [1], [3.0]), ("y", [2], [4.0]), ("z", [3], [9.0])]
    queries: list[Row] = [("p", [1, 2], [1.0, 0.5]), ("q", [2], [2.0])]
    assert ranked(documents, queries) == [("p", "x", 1, 3.0), ("p", "y", 2, 2.0), ("q", "y", 1, 8.0)]
    many: list[Row] = [(f"d{n:05}", [1], [1.0]) for n in range(2 * BLOCK_DOCUMENTS + 1)]
    assert ranked(many, GOOD, k=2) == [("a", "d00000", 1, 1.0), ("a", "d00001", 2, 1.0)]


BAD: dict[str, tuple[list[Row], str]] = {
    "arrays of two lengths": ([("b", [1, 2], [1.0])], "id 'b': the row has 2 indices but 1 values"),
    "a weight of zero": ([("b", [1], [0.0])], r"id 'b': the term 1 has the weight 0\.0"),
    "terms out of order": ([("b", [2, 1], [1.0, 1.0])], "id 'b': the term 1 comes after the term 2"),
    "a term of another vocabulary": ([("b", [50], [1.0])], "has the term 50; wanted term ids from 0 to 9"),
    "an id twice": ([("a", [1], [1.0]), ("a", [1, 2], [1.0, 0.5])], "the id 'a' is in more than one row"),
    "a null id": ([(None, [1], [1.0])], "id is null"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_refused_by_its_id_on_either_side(case: str) -> None:
    rows, said = BAD[case]
    with pytest.raises(DataError, match=f"documents.*{said}"):
        ranked(rows, GOOD)
    with pytest.raises(DataError, match=f"queries.*{said}"):
        ranked(GOOD, rows)


def test_vectors_of_another_model_and_rankings_beyond_the_memory_of_a_task_are_refused() -> None:
    with pytest.raises(DataError, match="documents, id 'a': the vector has another model_id"):
        ranked(GOOD, GOOD, model=7)
    queries: list[Row] = [(f"q{n}", [1], [1.0]) for n in range(9)]
    with pytest.raises(MachineError, match=r"rankings of 9 queries need more than 1 MB in each task.*passes=[3-9]"):
        ranked(GOOD, queries, k=10_000)


JUDGED = pa.schema(
    [("query_id", pa.string()), ("doc_id", pa.string()), ("score", pa.float64()), ("relevance", pa.float64()),
     ("is_judgement", pa.bool_())]
)  # fmt: skip


def measured(run: list[tuple[Any, ...]], qrels: list[tuple[Any, ...]], *, rows: int = 100) -> dict[str, float]:
    """Reciprocal ranks by query, from batches of so many rows."""
    both = [(q, d, s, None, False) for q, d, s in run] + [(q, d, None, g, True) for q, d, g in qrels]
    both.sort(key=lambda row: str(row[0]))
    table = pa.Table.from_pylist([dict(zip(JUDGED.names, row, strict=True)) for row in both], schema=JUDGED)
    batches = table.to_batches(max_chunksize=rows)
    values = list(MeasureGroups(("recip_rank",), 1, "float32")(iter(batches)))
    return {row["query_id"]: row["value"] for batch in values for row in batch.to_pylist()}


def test_queries_are_measured_whole_whatever_batches_they_come_in() -> None:
    run = [(f"q{q}", f"d{d}", float(d)) for q in range(5) for d in range(4)]
    qrels = [(f"q{q}", f"d{q - 1}", 1) for q in range(1, 5)] + [("q9", "d0", 1)]
    wanted = {"q1": 1 / 4, "q2": 1 / 3, "q3": 1 / 2, "q4": 1.0, "q9": 0.0}
    for rows in (1, 2, 3, 7, 100):
        assert measured(run, qrels, rows=rows) == pytest.approx(wanted)
    assert list(whole_queries(iter([]))) == []


@pytest.mark.parametrize(
    ("run", "qrels", "said"),
    [
        ([("1", "a", 1.0), ("1", "a", 0.5)], [("1", "a", 1.0)], "query '1' lists document 'a' more than once"),
        ([("1", "a", float("nan"))], [("1", "a", 1.0)], "has the score nan"),
        ([(None, "a", 1.0)], [("1", "a", 1.0)], "a row of document 'a' has no query_id"),
        ([("1", "a", 1.0)], [("1", "a", 1.0), ("1", "a", 0.0)], "judged more than once"),
        ([("1", "a", 1.0)], [("1", "a", 0.5)], "has the grade 0.5; wanted a whole number"),
        ([("1", "a", 1.0)], [("1", "a", None)], "for query '1' has no grade"),
        ([("1", "a", 1.0)], [("1", "a", 1e300)], "has the grade 1e\\+300; wanted a grade from"),
    ],
)
def test_rows_that_would_falsify_a_measure_are_refused(run: list[Any], qrels: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        measured(run, qrels)
