"""Compacted vectors are what the settings say, as good as the report says, and no larger than a target allows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from spladelake.compaction import round_mantissa
from spladelake.errors import DataError, UsageError
from spladelake.spark.sql import script
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import VECTORS, VOCABULARY
from spladelake.spark.tables.split_files import ROW_READER
from support.random_lake import TERMS, RandomLake, write_random_lake
from support.tables import table_rows


@pytest.fixture(scope="module")
def judged(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, RandomLake]]:
    lake = str(tmp_path_factory.mktemp("compact") / "lake")
    made = write_random_lake(spark, lake, seed=5)
    rows = spark.createDataFrame([(n, f"t{n}") for n in range(TERMS)], VOCABULARY.struct)
    rows.write.format("delta").save(f"{lake}/vectors/m/vocabulary")
    yield lake, made
    spark.conf.set(ROW_READER, "true")  # reading a table of split files has turned it off


def vectors(spark: SparkSession, lake: str, name: str) -> dict[str, dict[int, float]]:
    rows = TableRef(path=f"{lake}/vectors/{name}/documents").read(spark).collect()
    return {row["id"]: dict(zip(row["indices"], row["values"], strict=True)) for row in rows}


def encodings(folder: str) -> dict[str, tuple[str, set[str]]]:
    """Compression and encodings of each column in the newest data file of a table that has rows."""
    files = sorted(Path(folder).glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    found = [metadata for file in files if (metadata := pq.ParquetFile(file).metadata).num_rows]
    columns = found[-1].row_group(0)
    return {
        (c := columns.column(n)).path_in_schema.split(".")[0]: (c.compression, set(c.encodings))
        for n in range(columns.num_columns)
    }


@pytest.mark.parametrize("files", [pytest.param("plain", marks=pytest.mark.slow), "split"])
def test_without_settings_nothing_is_lost_in_either_form_of_files(
    spark: SparkSession, run_job: Any, judged: tuple[str, RandomLake], files: str
) -> None:
    lake, made = judged
    result = run_job("compact_vectors", lake=lake, vectors="m", into=files, files=files)
    wanted = {i: dict(zip(terms, weights, strict=True)) for i, (terms, weights) in made.documents.items()}
    assert vectors(spark, lake, files) == wanted
    found = encodings(f"{lake}/vectors/{files}/documents")
    assert found["indices"] == ("ZSTD", {"RLE", "PLAIN"})
    assert found["values"] == ("ZSTD", {"RLE", "BYTE_STREAM_SPLIT" if files == "split" else "PLAIN"})
    arrow = DeltaTable(f"{lake}/vectors/{files}/documents").to_pyarrow_table()  # other readers know either form
    duck = duckdb.sql(f"SELECT id, indices, \"values\" FROM '{lake}/vectors/{files}/documents/*.parquet'").fetchall()
    assert {r["id"]: dict(zip(r["indices"], r["values"], strict=True)) for r in arrow.to_pylist()} == wanted
    assert {i: dict(zip(terms, weights, strict=True)) for i, terms, weights in duck} == wanted
    assert result["settings"] == {}
    assert all(row["ratio"] == 1 for row in result["compactions"])
    spark.conf.set(ROW_READER, "true")
    assert (f"SET {ROW_READER} = false;" in script(spark, lake=lake, vectors=files)) == (files == "split")
    if files == "split":  # said when the table was made, before its first such file
        history = TableRef(path=f"{lake}/vectors/{files}/documents").delta(spark).history()
        made = history.orderBy("version").select("operationParameters").first()
        assert made is not None
        assert json.loads(made["operationParameters"]["properties"])["spladelake.files"] == "split"


@pytest.mark.slow
def test_a_second_compaction_is_skipped_unless_the_first_was_killed_before_its_report(
    spark: SparkSession, run_job: Any, judged: tuple[str, RandomLake]
) -> None:
    compact = {"lake": judged[0], "vectors": "m", "into": "twice"}
    assert run_job("compact_vectors", **compact)["status"] == "written"
    assert run_job("compact_vectors", **compact)["status"] == "skipped"
    spark.sql(f"DELETE FROM delta.`{judged[0]}/compactions` WHERE compaction = 'twice'")
    assert run_job("compact_vectors", **compact)["status"] == "written"


def test_encoded_vectors_are_compressed_and_other_tables_are_written_as_before(
    spark: SparkSession, run_job: Any, fruit_lake: str
) -> None:
    found = encodings(f"{fruit_lake}/vectors/splade-tiny/documents")
    assert found["values"] == found["indices"] == ("ZSTD", {"RLE", "PLAIN"})
    assert encodings(f"{fruit_lake}/documents")["text"][0] == "SNAPPY"


@pytest.mark.slow
def test_the_report_says_what_the_jobs_measure_on_the_written_vectors(
    spark: SparkSession, run_job: Any, judged: tuple[str, RandomLake]
) -> None:
    lake, made = judged
    options = {"alpha_mass": 0.7, "mantissa_bits": 1}
    result = run_job("compact_vectors", lake=lake, vectors="m", into="small", k=150, **options)
    found = vectors(spark, lake, "small")
    for doc_id, (terms, weights) in made.documents.items():
        kept = sorted(zip(weights, terms, strict=True), key=lambda pair: (-pair[0], pair[1]))
        total, wanted = 0.0, {}
        for weight, term in kept:
            if total >= 0.7 * sum(weights):
                break
            total, wanted[term] = total + weight, float(round_mantissa(np.float32([weight]), 1)[0])
        assert found[doc_id] == wanted
    for name, run_id in (("m", "before"), ("small", "after")):
        run_job("retrieve_run", lake=lake, vectors=name, run_id=run_id, k=150, force=True)
        measured = run_job("evaluate_run", lake=lake, vectors=name, run_id=run_id, measures=["ndcg@10", "mrr@10"])
        for row in result["compactions"]:
            if row["measure"] in measured["measures"]:
                assert row[run_id] == pytest.approx(measured["measures"][row["measure"]], rel=1e-12)
    (first, *_) = result["compactions"]
    assert 0 < first["largest_score_error"] <= first["score_error_bound"]
    assert result["postings"] == sum(map(len, found.values())) < result["postings_before"]
    kept_rows = table_rows(f"{lake}/compactions", compaction="small", chosen=True)
    assert {row["measure"] for row in kept_rows} == {"ndcg@10", "mrr@10", "recall@100"}
    properties = table_properties(spark, TableRef(path=f"{lake}/vectors/small/documents"))
    assert properties["spladelake.compaction"] == "alpha_mass 0.7, mantissa_bits 1"


@pytest.mark.slow
def test_a_target_is_met_by_the_last_of_what_was_tried(run_job: Any, judged: tuple[str, RandomLake]) -> None:
    result = run_job(
        "compact_vectors", lake=judged[0], vectors="m", into="target", target="ndcg@10 >= 0.97 of original"
    )
    rows = [row for row in result["compactions"] if row["measure"] == "ndcg@10"]
    assert [row["chosen"] for row in rows] == [False] * (len(rows) - 1) + [True]
    assert rows[-1]["ratio"] >= 0.97


def test_settings_that_do_not_go_together_are_refused(
    spark: SparkSession, run_job: Any, judged: tuple[str, RandomLake], tmp_path: Path
) -> None:
    lake = judged[0]
    for options, said in (
        ({"target": "ndcg@10 = 1"}, "MEASURE >= SHARE of original"),
        ({"target": "ndgc@10 >= 1 of original"}, "ndgc@10"),
        ({"target": "ndcg@10 >= 1.5 of original"}, "the share is 1.5; wanted a share above 0 and at most 1"),
        ({"mantissa_bits": 3, "levels": 9}, "both round the weights"),
        ({"target": "ndcg@10 >= 1 of original", "levels": 9}, "Leave out --target, or leave out --levels"),
        ({"into": "m"}, "the name of the original vectors"),
        ({"alpha_mass": 0}, "alpha_mass"),
        ({"target": "all >= 0.9 of original"}, "one measure"),
    ):
        with pytest.raises(UsageError, match=said):
            run_job("compact_vectors", lake=lake, vectors="m", **options)
    with pytest.raises(DataError, match="there is no vectors table"):
        run_job("compact_vectors", lake=lake, vectors="absent")
    theirs = spark.createDataFrame([("a", [1], [1.0], 1, False, "", "ok", "m")], VECTORS.struct)
    theirs.write.format("delta").save(f"{lake}/vectors/theirs/documents")
    said = r"wrote or changed rows .*; wanted a new table, or one to which only compact_vectors has written"
    with pytest.raises(UsageError, match=said):
        run_job("compact_vectors", lake=lake, vectors="m", into="theirs")


@pytest.mark.slow
def test_encode_texts_does_not_mix_new_vectors_with_compacted_ones(
    spark: SparkSession, run_job: Any, fruit_lake: str, tmp_path: Path
) -> None:
    import shutil

    lake = str(tmp_path / "lake")
    shutil.copytree(fruit_lake, lake)
    run_job("compact_vectors", lake=lake, model="splade-tiny", mantissa_bits=6)
    with pytest.raises(UsageError, match="the table holds compacted vectors"):
        run_job("encode_texts", lake=lake, model="splade-tiny", vectors="splade-tiny-compact")
    run_job("retrieve_run", lake=lake, model="splade-tiny", vectors="splade-tiny-compact", k=2)
