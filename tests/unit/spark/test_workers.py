"""The functions that plans over DataFrames run in workers, called here on Arrow batches: they refuse bad rows by id."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from spladelake.errors import DataError, MachineError
from spladelake.scoring import BLOCK_DOCUMENTS
from spladelake.spark.evaluate.whole_queries import MeasureGroups, MeasureSettings, whole_queries
from spladelake.spark.retrieve.candidates import Kept, MergeCandidates
from spladelake.spark.retrieve.passes import Asked, Pass, Wanted
from spladelake.spark.retrieve.query_rows import PackQueries
from spladelake.spark.retrieve.worker import ScoreVectors
from spladelake.spark.session.totals import DriverTotals

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
    kept = Kept(k, False, 0.0)
    (packed,) = PackQueries(10)(iter([batch_of(queries, model)]))
    arriving = batch_of(documents)
    for name in ("queries", "refusal"):
        column = packed.column(name)
        nulls = pa.nulls(arriving.num_rows - 1, column.type)
        arriving = arriving.append_column(name, pa.concat_arrays([column, nulls]))
    arriving = arriving.append_column("groups", pa.array([1] * arriving.num_rows, pa.int32()))
    score = ScoreVectors(Pass((Wanted(0, Asked(kept)),), "documents", 10, task_bytes), DriverTotals())
    found = score(iter([arriving.slice(0, 1), arriving.slice(1)]))
    return [
        tuple(row.values())[1:] for rows in MergeCandidates((kept,), "documents")(found) for row in rows.to_pylist()
    ]


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


def test_an_id_in_two_rows_is_found_even_if_no_query_ranks_its_document() -> None:
    others: list[Row] = [(f"other{n}", [9], [1.0]) for n in range(200)]
    assert ranked([*GOOD, *others], GOOD) == [("a", "a", 1, 1.25)]
    for twice in (0, 199):
        with pytest.raises(DataError, match=f"documents: the id 'other{twice}' is in more than one row"):
            ranked([*GOOD, *others, others[twice]], GOOD)


def test_vectors_of_another_model_and_rankings_beyond_the_memory_of_a_task_are_refused() -> None:
    with pytest.raises(DataError, match="documents, id 'a': the vector has another model_id"):
        ranked(GOOD, GOOD, model=7)
    queries: list[Row] = [(f"q{n}", [1], [1.0]) for n in range(9)]
    with pytest.raises(MachineError, match=r"rankings of 9 queries need more than 1 MB in each task.*passes=[3-9]"):
        ranked(GOOD, queries, k=10_000)


JUDGED = pa.schema(
    [("query_id", pa.string()), ("doc_id", pa.string()), ("rank", pa.int32()), ("score", pa.float64()),
     ("relevance", pa.float64()), ("is_judgement", pa.bool_())]
)  # fmt: skip


def measured(run: list[tuple[Any, ...]], qrels: list[tuple[Any, ...]], *, rows: int = 100) -> dict[str, float]:
    """Reciprocal ranks by query, from batches of so many rows."""
    both = [(q, d, 0, s, None, False) for q, d, s in run] + [(q, d, None, None, g, True) for q, d, g in qrels]
    both.sort(key=lambda row: str(row[0]))
    table = pa.Table.from_pylist([dict(zip(JUDGED.names, row, strict=True)) for row in both], schema=JUDGED)
    batches = table.to_batches(max_chunksize=rows)
    values = list(MeasureGroups(MeasureSettings(("recip_rank",), 1), "run", "qrels")(iter(batches)))
    return {row["query_id"]: row["value"] for batch in values for row in batch.to_pylist() if row["query_id"]}


def test_queries_are_measured_whole_whatever_batches_they_come_in() -> None:
    run = [(f"q{q}", f"d{d}", float(d)) for q in range(5) for d in range(4)]
    qrels = [(f"q{q}", f"d{q - 1}", 1) for q in range(1, 5)] + [("q9", "d0", 1)]
    wanted = {"q1": 1 / 4, "q2": 1 / 3, "q3": 1 / 2, "q4": 1.0, "q9": 0.0}
    for rows in (1, 2, 3, 7, 100):
        assert measured(run, qrels, rows=rows) == pytest.approx(wanted)
    assert list(whole_queries(iter([]))) == []


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("least", [1, 4, 9, 1000])
def test_rows_that_are_measured_together_are_whole_queries_and_no_fewer_than_asked(rows: int, least: int) -> None:
    sizes = [3, 1, 1, 5, 2, 8, 1, 4]
    ids = pa.table({"query_id": [f"q{n}" for n, size in enumerate(sizes) for _ in range(size)]})
    found = list(whole_queries(iter(ids.to_batches(max_chunksize=rows)), least=least))
    assert pa.concat_tables(found).equals(ids)
    assert sum(len(table.column("query_id").unique()) for table in found) == len(sizes)
    assert all(table.num_rows >= least for table in found[:-1])
    assert all(table.num_rows < least + rows + max(sizes) for table in found)


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
