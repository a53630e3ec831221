"""A lake that release 0.1 wrote is read, verified and updated by this one, and its rankings and measures stay."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.spark.upkeep.verify import FindingsError
from support.collections import FRUIT, write_fruit, write_lines

# Made of the fruit collection by the pipeline ingest_texts, encode_texts (splade-tiny and bm25), index_vectors,
# retrieve_run, fuse_runs, evaluate_run of that release.
ARCHIVE = Path(__file__).resolve().parents[1] / "support" / "lakes" / "release-0.1.tar.xz"
CHANGED = {**FRUIT, "bread": "A mouse ate the bread.", "juice": "Juice is pressed from apples."}
CHANGED.pop("mouse")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "saved-lake"


def rows(spark: SparkSession, table: Path, *columns: str) -> list[tuple[Any, ...]]:
    found = spark.read.format("delta").load(str(table)).select(*columns).collect()
    return sorted((tuple(row) for row in found), key=repr)


@pytest.mark.slow
def test_a_saved_lake_is_verified_ranked_measured_and_updated(
    spark: SparkSession, run_job: Callable[..., Any], saved: Path, tmp_path: Path
) -> None:
    lake = str(saved)
    assert run_job("verify_tables", lake=lake)["status"] == "done"
    ranked = ("run_id", "query_id", "doc_id", "rank")
    before, measured = (
        rows(spark, saved / "runs", *ranked),
        rows(spark, saved / "measures", "run_id", "measure", "value"),
    )
    for model in ("splade-tiny", "bm25"):
        assert run_job("retrieve_run", lake=lake, model=model, k=5)["status"] == "written"
        run_job("evaluate_run", lake=lake, model=model)
    assert rows(spark, saved / "runs", *ranked) == before
    after = rows(spark, saved / "measures", "run_id", "measure", "value")
    assert [row[:2] for row in after] == [row[:2] for row in measured]
    assert [row[2] for row in after] == pytest.approx([row[2] for row in measured], nan_ok=True)
    source = write_fruit(tmp_path / "changed")
    write_lines(source / "corpus.jsonl", [{"_id": i, "title": "", "text": text} for i, text in CHANGED.items()])
    run_job("ingest_texts", lake=lake, source=str(source))
    run_job("encode_texts", lake=lake, model="bm25")
    update = run_job("encode_texts", lake=lake, model="splade-tiny")["documents"]
    assert update["distinct_texts"] == 2
    ids = [row[0] for row in rows(spark, saved / "vectors" / "splade-tiny" / "documents", "id")]
    assert ids == sorted(CHANGED)
    # The runs still name the document that is gone; nothing else disagrees.
    with pytest.raises(FindingsError) as raised:
        run_job("verify_tables", lake=lake)
    assert len(raised.value.findings) == 1
    assert "the table 'documents' lacks" in raised.value.findings[0]


def test_the_archive_names_its_release(saved: Path) -> None:
    log = (saved / "documents" / "_delta_log" / "00000000000000000000.json").read_text(encoding="utf-8")
    (metadata,) = [found["metaData"] for found in map(json.loads, log.splitlines()) if "metaData" in found]
    assert metadata["configuration"]["spladelake.layout"] == "4"
