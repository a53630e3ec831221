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
from spladelake.spark.tables.suggestions import (
    Maker,
    encoded_by,
    made_by,
    mined_by,
    missing_run,
    named_by,
    similar_path,
)
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
    with pytest.raises(DataError, match=rf"Did you mean {runs}\? If not, make the table first with this command: s"):
        require(spark, Lake(str(tmp_path / "lakes")).table("runs"), RUNS, made_by=made_by("retrieve_run", Lake("x")))
    assert "did you mean 'bm25'?" in str(missing_run(spark, runs, "bm2", fix="Correct it."))
    assert "wanted bm25 or splade-mini" in str(missing_run(spark, runs, "x", fix="Correct it."))


def test_a_statement_over_a_misspelt_view_names_the_view(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException) as raised:
        spark.sql("SELECT * FROM document_term")
    told = str(statement_error(raised.value, missing={}, defined=("documents", "document_terms")))
    assert "did you mean 'document_terms'?" in told


@pytest.mark.parametrize(
    ("maker", "fix"),
    [
        (
            made_by("ingest_texts", Lake("my lake"), queries="FILE"),
            "Correct --lake, or make the table first with this command: "
            "spladelake ingest_texts --lake 'my lake' --queries FILE",
        ),
        (
            encoded_by(Lake("l"), model="a/b", vectors=None),
            "Correct --lake or --model, or make the table first with this command: "
            "spladelake encode_texts --lake l --model a/b",
        ),
        (
            encoded_by(Lake("l"), model="a/b", vectors="theirs"),
            "Correct --lake or --vectors, or make the table first with import_vectors or this command: "
            "spladelake encode_texts --lake l --model a/b --vectors theirs",
        ),
        (
            named_by(Lake("l"), "theirs", option="--like"),
            "Correct --lake or --like, or make the table first with import_vectors or this command: "
            "spladelake encode_texts --lake l --model MODEL --vectors theirs",
        ),
        (
            mined_by(Lake("l"), "more", option="--part"),
            "Correct --lake or --part, or make the table first with this command: "
            "spladelake mine_pairs --lake l --run RUN --training-set more",
        ),
    ],
)
def test_the_command_that_makes_a_missing_table_makes_this_table(maker: Maker, fix: str) -> None:
    assert maker.fix(None) == fix
