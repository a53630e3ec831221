"""Functions in Python workers: swapped columns are refused, and pandas carries the same values as Arrow."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

import spladelake.functions as sl
from spladelake.encoder import SpladeEncoder
from spladelake.spark.retrieve.vector_functions import dot_udf
from spladelake.spark.session import arrow_functions
from spladelake.spark.session.arrow_functions import apply_arrow, map_arrow
from spladelake.spark.session.failures import known_error

pytestmark = pytest.mark.every_spark
WANTED = "first long, second long"


@pytest.fixture
def unchecked(spark: SparkSession) -> Iterator[SparkSession]:
    """A session in which Spark itself does not compare columns, as Spark 4.0 never does."""
    setting = "spark.sql.execution.arrow.pyspark.validateSchema.enabled"
    before = spark.conf.get(setting, None)
    spark.conf.set(setting, "false")
    yield spark
    spark.conf.set(setting, str(before))


def swapped(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.select(["second", "first"])


def in_order(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def wider(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.set_column(1, "second", batch["second"].cast(pa.int32()))


@pytest.mark.parametrize("function", [swapped, wider])
def test_columns_in_another_order_or_of_another_type_end_the_job(unchecked: SparkSession, function: Any) -> None:
    rows = unchecked.range(4).select(F.col("id").alias("first"), (F.col("id") * 10).alias("second"))
    assert sorted(map(tuple, map_arrow(rows, in_order, WANTED).collect())) == [(n, 10 * n) for n in range(4)]
    # Without our check Spark takes the swapped columns as they come.
    if function is swapped:
        assert sorted(map(tuple, rows.mapInArrow(swapped, WANTED).collect()))[1] == (10, 1)
    with pytest.raises(Exception, match="the function returned the columns") as refused:
        map_arrow(rows, function, WANTED).collect()
    known = known_error(refused.value)
    assert known is not None
    assert known.exit_code == 3
    assert f"the worker's function {function.__name__}" in str(known)
    assert "wanted the columns first bigint, second bigint" in str(known)


def test_columns_of_a_group_are_checked_too(unchecked: SparkSession) -> None:
    rows = unchecked.range(4).select(F.col("id").alias("first"), (F.col("id") * 10).alias("second"))

    def swap(table: pa.Table) -> pa.Table:
        return table.select(["second", "first"])

    with pytest.raises(Exception, match="the function returned the columns second bigint, first bigint"):
        apply_arrow(rows.groupBy("first"), swap, WANTED).collect()


def imported_before(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The packages that a worker had when its function began. Importing them anew takes seconds."""
    names = [name for name in ("numpy", "pandas", "torch", "transformers") if name in sys.modules]
    for _ in batches:
        yield pa.record_batch({"names": [",".join(names)], "parent": pa.array([os.getppid()], pa.int64())})


def test_workers_are_forked_with_their_packages_imported(spark: SparkSession) -> None:
    made = map_arrow(spark.range(4).repartition(2), imported_before, "names string, parent long").collect()
    assert {row["names"] for row in made} == {"numpy,pandas,torch,transformers"}
    assert len({row["parent"] for row in made}) == 1


@pytest.fixture(scope="module")
def vectors(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    """Vectors beside a null one, an empty one and null arrays; the last file has nothing but nulls."""
    rows = [
        (1, "a round fruit", ([3, 29_000], [0.5, 2.0])),
        (2, None, None),
        (3, "", ([], [])),
        (4, "bread and water", ([3, 5, 9], [1.0, 0.25, 4.0])),
        (5, None, None),
    ]
    kind = "id int, text string, vector struct<indices: array<int>, `values`: array<float>>"
    path = tmp_path_factory.mktemp("vectors") / "table"
    spark.createDataFrame(rows, kind).repartitionByRange(2, "id").write.parquet(str(path))
    return spark.read.parquet(str(path))


def answers(vectors: DataFrame) -> list[tuple[Any, ...]]:
    """The answer of every function of columns for each row."""
    arrays = [F.col("vector.indices"), F.col("vector.values")]
    made = vectors.select(
        "id",
        sl.dot("vector", "vector").alias("dot"),
        dot_udf()(*arrays, *arrays).alias("of_arrays"),
        sl.decode("vector", model="splade-tiny", k=2),
        sl.explain("vector", "vector", model="splade-tiny", k=1).alias("parts"),
        sl.encode("text", model="splade-tiny").alias("encoded"),
        sl.encode("text", model="splade-tiny", on_error="null").alias("or_null"),
        sl.encode("text", model="splade-tiny", on_error="struct").alias("or_said"),
    )
    return [tuple(row) for row in made.orderBy("id").collect()]


# test_functions has the other way too.
@pytest.mark.parametrize("way", [pytest.param("installed", marks=pytest.mark.slow), "pandas"])
def test_every_function_of_columns_gives_the_same_by_way_of_pandas(
    vectors: DataFrame, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "pandas":
        monkeypatch.setattr(arrow_functions, "HAS_ARROW_COLUMNS", False)
    found = answers(vectors)
    # 0.25 + 4, nothing, an empty sum, 1 + 0.0625 + 16, nothing
    assert [row[1] for row in found] == [row[2] for row in found] == [4.25, None, 0.0, 17.0625, None]
    weights = [None if row[3] is None else [term["weight"] for term in row[3]] for row in found]
    assert weights == [[2.0, 0.5], None, [], [4.0, 1.0], None]
    parts = [None if row[4] is None else [part["contribution"] for part in row[4]] for row in found]
    assert parts == [[4.0], None, [], [16.0], None]
    encoder = SpladeEncoder.load("splade-tiny", device="cpu", threads=1)
    wanted = encoder.encode_documents([row["text"] for row in vectors.orderBy("id").select("text").collect()])
    for number, row in enumerate(found):
        indices, values = wanted.row(number)
        assert row[5]["indices"] == indices.tolist()
        assert row[5]["values"] == pytest.approx(values.tolist(), abs=1e-5)
        assert (row[6], row[7]["indices"], row[7]["error"]) == (row[5], row[5]["indices"], None)


def test_a_null_vector_is_null_by_way_of_pandas_too(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_functions, "HAS_ARROW_COLUMNS", False)

    def absent(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for texts in batches:
            lists = pa.array([[1]] * len(texts), pa.list_(pa.int32()))
            yield pa.StructArray.from_arrays([lists], ["indices"], mask=texts.is_null())

    made = arrow_functions.batch_function(absent, "struct<indices: array<int>>", empty=pa.string())
    column = arrow_functions.without_null_structs(made, "indices")
    rows = spark.createDataFrame([("a",), (None,)], "text string").select(column("text").alias("made"))
    assert [row["made"] for row in rows.collect()] == [Row(indices=[1]), None]
    # The function is in the plan once, not once for the test of its result.
    assert str(rows._jdf.queryExecution().optimizedPlan().toString()).count("of_pandas(") == 1
