"""A wrong name of a lake, a run or a view is answered with the one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from spladelake.errors import DataError
from spladelake.spark.sql.failures import statement_error
from spladelake.spark.tables.create import require
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import RUNS
from spladelake.spark.tables.suggestions import missing_run, similar_path
from support.tables import write_rows


def test_a_path_is_set_right_in_its_first_part_that_is_not_there(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "my-lake" / "documents").mkdir(parents=True)
    (tmp_path / "my-lake" / "documents" / "part-0").touch()
    assert similar_path(spark, f"{tmp_path}/my-lak/documents") == f"{tmp_path}/my-lake/documents"
    assert similar_path(spark, f"{tmp_path}/my-lake/document") == f"{tmp_path}/my-lake/documents"
    assert similar_path(spark, f"file://{tmp_path}/my-lak/documents") == f"file://{tmp_path}/my-lake/documents"
    assert similar_path(spark, f"{tmp_path}/something-else/documents") is None
    assert similar_path(spark, f"{tmp_path}/my-lak/runs") is None


def test_a_missing_table_or_run_names_the_near_one(spark: SparkSession, tmp_path: Path) -> None:
    runs = Lake(str(tmp_path / "lake")).table("runs")
    rows = [("bm25", "q", "d", 1, 1.0), ("splade-mini", "q", "d", 1, 1.0)]
    write_rows(str(runs), rows, RUNS)
    with pytest.raises(DataError, match=rf"Did you mean {runs}\? If not, make the table: retrieve_run"):
        require(spark, Lake(str(tmp_path / "lakes")).table("runs"), RUNS, made_by="retrieve_run")
    assert "did you mean 'bm25'?" in str(missing_run(spark, runs, "bm2", fix="Correct it."))
    assert "wanted bm25 or splade-mini" in str(missing_run(spark, runs, "x", fix="Correct it."))


def test_a_statement_over_a_misspelt_view_names_the_view(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException) as raised:
        spark.sql("SELECT * FROM document_term")
    told = str(statement_error(raised.value, missing={}, defined=("documents", "document_terms")))
    assert "did you mean 'document_terms'?" in told
