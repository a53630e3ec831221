"""A vector that breaks an invariant is refused by everything that reads vectors, with the table, the row and the fix.

Another engine that ignores constraints wrote it: its commit holds one more file, and the constraints still stand
in the table's metadata.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import spladelake.functions as sl
from spladelake.errors import SpladelakeError
from spladelake.spark.evaluate import driver as driver_evaluation
from spladelake.spark.evaluate.report import gather
from spladelake.spark.retrieve.search import search_documents, search_folder
from spladelake.spark.session.failures import known_error
from spladelake.spark.sql import install
from spladelake.spark.sql.failures import STATEMENT_ERRORS, statement_error
from spladelake.spark.tables.refs import Lake, TableRef
from support.collections import QUESTIONS

VECTORS = "vectors/splade-tiny"
MODEL = {"model": "splade-tiny"}
BAD: dict[str, tuple[list[Any] | None, list[Any] | None]] = {
    "arrays of two lengths": ([5, 6, 7], [1.0, 1.0]),
    "not a number": ([5, 6], [1.0, float("nan")]),
    "an infinite weight": ([5], [float("inf")]),
    "a negative weight": ([5], [-1.0]),
    "a weight of zero": ([5], [0.0]),
    "terms out of order": ([6, 5], [1.0, 1.0]),
    "a term twice": ([5, 5], [1.0, 1.0]),
    "a negative term": ([-1], [1.0]),
    "a term beyond the vocabulary": ([2**30], [1.0]),
    "a null among the weights": ([5, 6], [1.0, None]),
    "a null among the terms": ([None, 5], [1.0, 1.0]),
    "no terms": (None, [1.0]),
    "no weights": ([5], None),
    "no arrays": (None, None),
}


def add_row(folder: Path, indices: list[Any] | None, values: list[Any] | None) -> None:
    """Commit one more row `bad` to a Delta table as an engine does that knows no constraints."""
    pattern = next(table for file in folder.glob("*.parquet") if (table := pq.read_table(file).slice(0, 1)).num_rows)
    given = {"id": ["bad"], "indices": [indices], "values": [values]}
    columns = [pa.array(given[f.name], f.type) if f.name in given else pattern[f.name] for f in pattern.schema]
    pq.write_table(pa.table(columns, schema=pattern.schema), folder / "theirs.parquet")
    size = (folder / "theirs.parquet").stat().st_size
    add = {"path": "theirs.parquet", "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True}
    version = max(int(log.stem) for log in (folder / "_delta_log").glob("*.json")) + 1
    (folder / "_delta_log" / f"{version:020}.json").write_text(json.dumps({"add": add}) + "\n")


@pytest.fixture(scope="module")
def lake_with(run_job: Any, fruit_lake: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """A lake with a measured run, to whose vectors of one side a bad row was added afterwards; one for each kind."""
    folder = tmp_path_factory.mktemp("bad")

    def made(side: str, case: str) -> str:
        lake = folder / f"{side} {case}".replace(" ", "-")
        if not lake.exists():
            shutil.copytree(fruit_lake, lake)
            if side == "passages":
                shutil.rmtree(lake / VECTORS / "documents")
                run_job("encode_texts", lake=str(lake), **MODEL, passage_tokens=8)
            # The run names the folder of its vectors, so a copy of it would not do.
            run_job("retrieve_run", lake=str(lake), **MODEL, k=5)
            run_job("evaluate_run", lake=str(lake), **MODEL)
            add_row(lake / VECTORS / table_of(side), *BAD[case])
        return str(lake)

    return made


def table_of(side: str) -> str:
    """Passages are vectors of documents."""
    return "queries" if side == "queries" else "documents"


def job(name: str, **options: Any) -> Callable[..., Any]:
    return lambda spark, run_job, lake: run_job(name, lake=lake, **MODEL, **options)


def export(output_format: str, **options: Any) -> Callable[..., Any]:
    return lambda spark, run_job, lake: run_job(
        "export_vectors", lake=lake, **MODEL, output=f"{lake}/{output_format}", output_format=output_format, **options
    )


def statement(text: str) -> Callable[..., Any]:
    def ask(spark: SparkSession, run_job: Any, lake: str) -> None:
        install(spark, lake=lake, **MODEL)
        try:
            spark.sql(text).collect()
        except STATEMENT_ERRORS as error:
            raise statement_error(error, missing={}) from error

    return ask


def vectors(spark: SparkSession, lake: str, side: str) -> Any:
    return spark.read.format("delta").load(f"{lake}/{VECTORS}/{side}")


def retrieved(spark: SparkSession, run_job: Any, lake: str) -> None:
    """The ranking of a DataFrame, which names its side instead of a table."""
    sides = (vectors(spark, lake, side) for side in ("documents", "queries"))
    try:
        sl.retrieve(*sides, k=3, document_id="id", query_id="id").collect()
    except PySparkException as error:
        raise known_error(error) or error from error


def since_version(spark: SparkSession, run_job: Any, lake: str) -> None:
    before = TableRef(path=f"{lake}/{VECTORS}/documents").version(spark) - 1
    try:
        run_job("retrieve_run", lake=lake, **MODEL, k=5, since_version=before)
    except PySparkException as error:  # as the command line tells it
        raise known_error(error) or error from error


def evaluated_by_spark(spark: SparkSession, run_job: Any, lake: str) -> None:
    """As runs are measured that are too large for the driver."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(driver_evaluation, "MOST_BYTES", 0)
        run_job("evaluate_run", lake=lake, **MODEL, force=True)


RETRIEVING: dict[str, Callable[..., Any]] = {
    "retrieve in the driver": job("retrieve_run", run_id="x", strategy="driver"),
    "retrieve in blocks": job("retrieve_run", run_id="x", strategy="blocks"),
    "retrieve in SQL": job("retrieve_run", run_id="x", strategy="sql"),
    "evaluate": job("evaluate_run", force=True),
    "evaluate in Spark": evaluated_by_spark,
    "report": lambda spark, run_job, lake: gather(spark, Lake(lake)),
    "compact": job("compact_vectors", mantissa_bits=6),
    "verify": lambda spark, run_job, lake: run_job("verify_tables", lake=lake),
}
SEARCHING: dict[str, Callable[..., Any]] = {
    "index": job("index_vectors"),
    "search without Spark": lambda spark, run_job, lake: search_folder(QUESTIONS["q1"], lake=lake, **MODEL),
    "search with Spark": lambda spark, run_job, lake: search_documents(spark, QUESTIONS["q1"], lake=lake, **MODEL),
    "SQL: search": statement("SELECT * FROM search('which fruit', 3)"),
    "SQL: similar to others": statement("SELECT * FROM similar('bread', 3)"),
    "SQL: postings": statement("SELECT sum(weight) FROM postings"),
}
READERS: dict[str, dict[str, Callable[..., Any]]] = {
    "documents": {
        **RETRIEVING,
        **SEARCHING,
        "retrieve since a version": since_version,
        **{
            f"export as {name}": export(name)
            for name in ("npz", "parquet", "anserini", "ciff", "seismic", "opensearch", "elasticsearch", "qdrant")
        },
        "SQL: similar to it": statement("SELECT * FROM similar('bad', 3)"),
        "SQL: explain": statement("SELECT * FROM explain('q1', 'bad')"),
        "SQL: its vector": statement("SELECT document_vector('bad')"),
        "SQL: terms": statement("SELECT * FROM term_statistics"),
    },
    "queries": {
        **RETRIEVING,
        "export as npz": export("npz", side="queries"),
        "SQL: its vector": statement("SELECT query_vector('bad')"),
        "SQL: explain": statement("SELECT * FROM explain('bad', 'bread')"),
        "SQL: postings": statement("SELECT sum(weight) FROM query_postings"),
    },
    "passages": {**RETRIEVING, **SEARCHING, "export as npz": export("npz")},
}
# In the tests that always run, each check of its own meets a bad row: workers', the driver's, SQL's and the exports'.
USUAL = {
    ("documents", "retrieve in the driver", "not a number"),
    ("documents", "retrieve in SQL", "not a number"),
    ("documents", "search without Spark", "not a number"),
    ("documents", "export as npz", "arrays of two lengths"),
    ("documents", "SQL: search", "arrays of two lengths"),
    ("documents", "verify", "not a number"),
}


def cases() -> list[Any]:
    """Every bad row for every reader; of passages those that meet a check of their own."""
    few = ("arrays of two lengths", "not a number", "a term beyond the vocabulary", "no arrays")
    return [
        pytest.param(side, name, case, marks=() if (side, name, case) in USUAL else pytest.mark.slow)
        for side, readers in READERS.items()
        for case in (few if side == "passages" else BAD)
        for name in readers
    ]


@pytest.mark.parametrize(("side", "reader", "case"), cases())
def test_every_reader_refuses_every_bad_vector(
    spark: SparkSession, run_job: Any, lake_with: Callable[[str, str], str], side: str, reader: str, case: str
) -> None:
    lake = lake_with(side, case)
    before = {str(file) for file in Path(lake).rglob("*.parquet")}
    with pytest.raises(SpladelakeError) as raised:
        READERS[side][reader](spark, run_job, lake)
    told = str(raised.value)
    assert raised.value.exit_code == 3
    assert f"{lake}/{VECTORS}/{table_of(side)}" in told
    assert "1 " in told if reader == "verify" else "id 'bad': " in told
    assert "again" in told
    assert "SQLSTATE" not in told
    assert "\n" not in told
    assert {str(file) for file in Path(lake).rglob("*.parquet")} == before, "nothing was written"


# A null vector counts as an empty one in a DataFrame.
@pytest.mark.slow
@pytest.mark.parametrize("side", ["documents", "queries"])
@pytest.mark.parametrize("case", [case for case in BAD if not case.startswith("no ")])
def test_a_ranking_of_data_frames_refuses_every_bad_vector(
    spark: SparkSession, run_job: Any, lake_with: Callable[[str, str], str], side: str, case: str
) -> None:
    with pytest.raises(SpladelakeError, match=f"{side}, id 'bad': ") as raised:
        retrieved(spark, run_job, lake_with(side, case))
    assert raised.value.exit_code == 3


def test_the_view_of_the_vectors_shows_a_bad_row_so_that_it_can_be_looked_at(
    spark: SparkSession, lake_with: Callable[[str, str], str]
) -> None:
    install(spark, lake=lake_with("documents", "arrays of two lengths"), **MODEL)
    (row,) = spark.sql("SELECT indices, `values` FROM document_vectors WHERE id = 'bad'").collect()
    assert (row["indices"], row["values"]) == BAD["arrays of two lengths"]
