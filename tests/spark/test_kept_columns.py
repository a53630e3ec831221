"""Columns that ingest_texts keeps: their values, their types, and what becomes of them in later ingests."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spladelake.errors import DataError, SpladelakeError
from support.collections import write_lines
from support.tables import table_rows

JSON: list[dict[str, Any] | str] = [
    {"_id": "a", "text": "one", "lang": "de", "price": 1.5, "tags": ["x", "ü"], "shop": {"city": "Ulm"}},
    {"_id": "b", "text": "two", "lang": None, "price": 2, "shop": {"city": "Bonn", "open": True}},
]


def kept(lake: str, *columns: str) -> list[tuple[Any, ...]]:
    rows = sorted(table_rows(f"{lake}/documents"), key=lambda row: row["doc_id"])
    return [tuple(row[name] for name in columns) for row in rows]


def test_values_of_text_files_are_kept_as_text_and_others_of_json_as_json(
    run_job: Any, lake: str, tmp_path: Path
) -> None:
    source = str(write_lines(tmp_path / "documents.jsonl", JSON))
    run_job("ingest_texts", lake=lake, documents=source, keep="all")
    assert kept(lake, "lang", "price", "tags", "shop") == [
        ("de", "1.5", '["x", "ü"]', '{"city": "Ulm"}'),
        (None, "2", None, '{"city": "Bonn", "open": true}'),
    ]
    assert run_job("ingest_texts", lake=lake, documents=source, keep="all")["status"] == "skipped"
    other = f"{lake}-2"
    run_job("ingest_texts", lake=other, documents=source, keep="shop.city,price")
    names = [field.name for field in DeltaTable(f"{other}/documents").schema().fields]
    assert names == ["doc_id", "title", "text", "shop.city", "price"]
    with pytest.raises(DataError, match="no line has the key 'lung'"):
        run_job("ingest_texts", lake=lake, documents=source, keep="lang,lung")


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_header_names_the_columns_to_keep(run_job: Any, lake: str, tmp_path: Path, suffix: str) -> None:
    lines = ["id,text,lang,seen", "a,one,de,", "b,two,en,2024-01-01"]
    path = tmp_path / f"documents.{suffix}"
    path.write_text("\n".join(lines).replace(",", "," if suffix == "csv" else "\t") + "\n")
    run_job("ingest_texts", lake=lake, documents=str(path), keep="seen,lang")
    assert kept(lake, "lang", "seen") == [("de", None), ("en", "2024-01-01")]
    with pytest.raises((SpladelakeError, PySparkException), match="no column is called 'sean'; did you mean 'seen'"):
        run_job("ingest_texts", lake=lake, documents=str(path), keep="sean")
    if suffix == "tsv":
        path.write_text("a\tone\n")
        with pytest.raises(SpladelakeError, match="the lines have no names of columns; wanted a header for --keep"):
            run_job("ingest_texts", lake=lake, documents=str(path), keep="all")


def written(path: Path, columns: dict[str, Any]) -> str:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_columns_of_parquet_keep_their_types_and_later_ingests_add_columns_but_change_no_type(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    day, folder = dt.date(2024, 2, 29), tmp_path / "documents"
    years = pa.array([1, None], pa.int16())
    written(folder / "1.parquet", {"id": ["a", "b"], "text": ["one", "two"], "year": years, "tags": [["x"], []]})
    written(folder / "2.parquet", {"id": ["c"], "text": ["three"], "day": [day]})
    run_job("ingest_texts", lake=lake, documents=str(folder), keep="all")
    names = ("doc_id", "year", "tags", "day")
    assert kept(lake, *names) == [("a", 1, ["x"], None), ("b", None, [], None), ("c", None, None, day)]
    types = spark.read.format("delta").load(f"{lake}/documents").schema
    assert [types[name].dataType.simpleString() for name in names[1:]] == ["smallint", "array<string>", "date"]

    later = written(tmp_path / "next.parquet", {"id": ["d"], "text": ["four"], "lang": ["de"]})
    run_job("ingest_texts", lake=lake, documents=later, keep="lang")
    assert kept(lake, *names, "lang") == [("d", None, None, None, "de")]
    as_text = written(tmp_path / "text.parquet", {"id": ["e"], "text": ["five"], "year": ["1999"]})
    with pytest.raises(
        DataError, match=r"'year' has the type string, but in .*/documents it has the type smallint"
    ) as raised:
        run_job("ingest_texts", lake=lake, documents=as_text, keep="year")
    assert raised.value.exit_code == 3
    assert kept(lake, "doc_id") == [("d",)]
    run_job("ingest_texts", lake=lake, documents=as_text)
    assert kept(lake, "doc_id", "lang", "year") == [("e", None, None)]


def test_names_that_a_table_cannot_have_and_columns_of_two_types_are_refused(
    run_job: Any, lake: str, tmp_path: Path
) -> None:
    named = written(tmp_path / "named.parquet", {"id": ["f"], "text": ["six"], "a b": [1]})
    with pytest.raises(DataError, match="the name of the column 'a b' has a space; wanted no spaces"):
        run_job("ingest_texts", lake=lake, documents=named, keep="all")
    written(tmp_path / "both" / "1.parquet", {"id": ["g"], "text": ["seven"], "year": ["1999"]})
    written(tmp_path / "both" / "2.parquet", {"id": ["h"], "text": ["eight"], "year": [2000]})
    with pytest.raises(DataError, match=r"'year' has the type .* in some files, and .* in others"):
        run_job("ingest_texts", lake=lake, documents=str(tmp_path / "both"), keep="year")


def test_a_condition_on_kept_columns_chooses_what_is_encoded_and_ranked(
    run_job: Any, lake: str, tmp_path: Path
) -> None:
    rows = [{"_id": f"d{n}", "text": "bread and water", "lang": "de" if n % 2 else "en"} for n in range(4)]
    sources = {
        "documents": str(write_lines(tmp_path / "documents.jsonl", list(rows))),
        "queries": str(write_lines(tmp_path / "queries.jsonl", [{"_id": "q", "text": "bread"}])),
    }
    run_job("ingest_texts", lake=lake, keep="lang", **sources)
    run_job("encode_texts", lake=lake, model="bm25")
    run_job("retrieve_run", lake=lake, model="bm25", where="lang = 'de'")
    assert {row["doc_id"] for row in table_rows(f"{lake}/runs")} == {"d1", "d3"}
    run_job("encode_texts", lake=lake, model="bm25", where="lang = 'en'")
    assert {row["id"] for row in table_rows(f"{lake}/vectors/bm25/documents")} == {"d0", "d2"}
    with pytest.raises(SpladelakeError, match=r"--where .*the table has no column 'lung'; did you mean 'lang'"):
        run_job("encode_texts", lake=lake, model="bm25", where="lung = 'en'")
