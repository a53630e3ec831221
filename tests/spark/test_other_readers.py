"""Other engines read what Spark wrote: DuckDB's delta reader, deltalake with Polars and pandas."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.spark.sql import install
from support.collections import ENCODED_TABLES
from support.pages import blocks

SETUP, QUERY = (block.code for block in blocks("exchange") if block.language == "sql")


@pytest.fixture(scope="module")
def wanted(spark: SparkSession, fruit_lake: str) -> list[tuple[str, str, float]]:
    """Rows of the page's query in Spark."""
    install(spark, lake=fruit_lake, model="splade-tiny")
    rows = [tuple(row) for row in spark.sql(QUERY).collect()]
    assert len(rows) >= 5
    return rows


def same(found: Any, wanted: list[tuple[str, str, float]]) -> None:
    rows = [tuple(row) for row in found]
    assert [row[:2] for row in rows] == [row[:2] for row in wanted]
    assert [row[2] for row in rows] == pytest.approx([row[2] for row in wanted], rel=1e-12)


def test_the_query_of_the_page_runs_unchanged_in_duckdb(fruit_lake: str, wanted: list[tuple[str, str, float]]) -> None:
    import duckdb

    connection = duckdb.connect()
    # The package carries the extension that `INSTALL delta` would fetch.
    (version,) = files("duckdb_extension_delta").joinpath("extensions").iterdir()
    assert "INSTALL delta; LOAD delta;" in SETUP
    setup = SETUP.replace("INSTALL delta; LOAD delta;", f"LOAD '{version.joinpath('delta.duckdb_extension')}';")
    connection.execute(setup.replace("demo-lake", fruit_lake))
    same(connection.execute(QUERY).fetchall(), wanted)


def test_duckdb_reads_vectors_through_deltalake_and_arrow(
    fruit_lake: str, wanted: list[tuple[str, str, float]]
) -> None:
    import duckdb
    from deltalake import DeltaTable

    connection = duckdb.connect()
    for view, side, name in (("postings", "documents", "doc_id"), ("query_postings", "queries", "query_id")):
        connection.register(side, DeltaTable(f"{fruit_lake}/vectors/splade-tiny/{side}").to_pyarrow_table())
        connection.execute(
            f"CREATE VIEW {view} AS "
            f'SELECT unnest(indices) AS term_id, id AS {name}, unnest("values") AS weight FROM {side}'
        )
    same(connection.execute(QUERY).fetchall(), wanted)


def test_polars_ranks_the_same_documents(fruit_lake: str, wanted: list[tuple[str, str, float]]) -> None:
    import polars as pl
    from deltalake import DeltaTable

    sides = {
        side: pl.from_arrow(DeltaTable(f"{fruit_lake}/vectors/splade-tiny/{side}").to_pyarrow_table())
        .select("id", "indices", "values")
        .explode("indices", "values")
        for side in ("documents", "queries")
    }
    products = sides["queries"].join(sides["documents"], on="indices", suffix="_d")
    scores = (
        products.with_columns(score=pl.col("values").cast(pl.Float64) * pl.col("values_d").cast(pl.Float64))
        .group_by("id", "id_d")
        .agg(pl.col("score").sum())
        .sort(["id", "score", "id_d"], descending=[False, True, False])
        .group_by("id", maintain_order=True)
        .head(10)
    )
    same(scores.rows(), wanted)


def test_pandas_reads_texts_vectors_and_quarantine(spark: SparkSession, fruit_lake: str) -> None:
    from deltalake import DeltaTable

    for table in ENCODED_TABLES:
        found = DeltaTable(f"{fruit_lake}/{table}").to_pandas()
        rows = spark.read.format("delta").load(f"{fruit_lake}/{table}")
        assert list(found.columns) == rows.columns
        assert len(found) == rows.count() > 0
