"""Vectors of passages: always all of a document or none, with the places that the model read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.encoder import SpladeEncoder
from spladelake.errors import ConflictError, DataError, UsageError
from spladelake.spark.encode import chunks
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import DOCUMENTS
from spladelake.spark.tables.write import replace_rows
from support.documents import WORDS, assert_same, vectors
from support.stopping import stopped_after
from support.tables import table_rows

Texts = Mapping[str, tuple[str | None, str | None]]


def long_text(n: int, words: int) -> str:
    return " ".join(f"{WORDS[(n + i * i) % 10]} {n * 31 + i}" for i in range(words // 2))


def write_titled(spark: SparkSession, lake: str, texts: Texts) -> None:
    rows = spark.createDataFrame([(i, *t) for i, t in texts.items()], DOCUMENTS.struct).coalesce(1)
    replace_rows(spark, TableRef(path=f"{lake}/documents"), DOCUMENTS, rows, lineage=Lineage("test", {}, {}))


def rows_of(lake: str, name: str = "splade-tiny") -> list[dict[str, Any]]:
    return sorted(table_rows(f"{lake}/vectors/{name}/documents"), key=lambda row: row["id"])


def feed(spark: SparkSession, lake: str, after: int) -> set[tuple[str, str]]:
    reader = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", after + 1)
    rows = reader.load(f"{lake}/vectors/splade-tiny/documents").select("doc_id", "_change_type").collect()
    return {(row[0], row[1]) for row in rows if row[1] != "update_preimage"}


ENCODE = {"model": "splade-tiny", "side": "documents"}


@pytest.fixture(scope="module")
def texts() -> dict[str, tuple[str | None, str | None]]:
    made: dict[str, tuple[str | None, str | None]] = {f"d{n}": (f"Title {n}", long_text(n, 60)) for n in range(6)}
    return made | {"short": ("Only", "a few words"), "null": (None, None), "blank": (None, " \n"), "title": ("T", None)}


@pytest.mark.parametrize("given", [{"passage_tokens": 24, "passage_stride": 12}, {"passage_by": "sentence"}])
def test_vectors_are_those_of_the_texts_at_their_places_and_cover_each_document(
    spark: SparkSession, run_job: Any, lake: str, texts: Texts, given: dict[str, Any]
) -> None:
    write_titled(spark, lake, texts)
    done = run_job("encode_texts", lake=lake, **ENCODE, **given)["documents"]
    rows = rows_of(lake)
    assert (done["rows"], done["documents"]) == (len(rows), len(texts))
    by_document = defaultdict(list)
    for row in rows:
        by_document[row["doc_id"]].append(row)
        assert row["id"] == f"{row['doc_id']}#{row['passage']:06d}"
    assert set(by_document) == set(texts)
    wanted = {}
    for doc_id, (title, text) in texts.items():
        found = by_document[doc_id]
        assert [row["passage"] for row in found] == list(range(len(found)))
        assert all(a["start"] < b["start"] <= a["end"] + 1 < b["end"] + 1 for a, b in pairwise(found))
        for row in found:
            piece = text[row["start"] : row["end"]] if text and text.strip() else text
            wanted[row["id"]] = " ".join(filter(None, (title, piece))) if title or piece is not None else None
        if text and text.strip():
            assert (found[0]["start"], found[-1]["end"]) == (0, len(text))
    encoder = SpladeEncoder.load("splade-tiny", threads=1)
    read = encoder.encode(list(wanted.values()))
    terms = {i: dict(zip(*(a.tolist() for a in read.vectors.row(n)), strict=True)) for n, i in enumerate(wanted)}
    assert_same(vectors(spark, lake), terms)
    assert {row["id"]: row["status"] for row in rows if row["passage"] == 0}["blank#000000"] == "blank"
    assert not any(row["truncated"] for row in rows)


def test_a_changed_document_replaces_all_its_passages_in_one_commit_and_an_unchanged_one_none(
    spark: SparkSession, run_job: Any, lake: str, texts: Texts
) -> None:
    encode = {"lake": lake, **ENCODE, "passage_tokens": 24}
    write_titled(spark, lake, texts)
    run_job("encode_texts", **encode)
    ref = TableRef(path=f"{lake}/vectors/splade-tiny/documents")
    before = ref.version(spark)
    new = dict(texts)
    new["d1"] = ("Title 1", long_text(1, 12))  # fewer passages
    new["d2"] = ("Title 2 " + long_text(2, 60).split()[0], " ".join(long_text(2, 60).split()[1:]))  # a word moved
    new["d3"] = ("Title 3", long_text(3, 60) + " more " * 40)
    del new["d4"]
    new["added"] = (None, long_text(9, 40))
    write_titled(spark, lake, new)
    done = run_job("encode_texts", lake=lake, **ENCODE)["documents"]  # the passages as they were made
    assert (done["documents"], done["kept"], done["deleted"]) == (4, len(new) - 4, 1)
    changed = feed(spark, lake, before)
    assert feed(spark, lake, before + 1) == set()
    assert {doc_id for doc_id, _ in changed} == {"d1", "d2", "d3", "d4", "added"}
    assert ("d4", "delete") in changed
    assert ("d1", "delete") in changed
    assert run_job("encode_texts", lake=lake, **ENCODE)["status"] == "skipped"
    run_job("encode_texts", **encode, vectors="full")
    columns = ("id", "doc_id", "passage", "start", "end", "text_sha256", "doc_sha256", "status")
    places = [[[row[c] for c in columns] for row in rows_of(lake, name)] for name in ("splade-tiny", "full")]
    assert places[0] == places[1]
    assert_same(vectors(spark, lake), vectors(spark, lake, "full"))
    run_job("verify_tables", lake=lake)
    write_titled(spark, lake, {**new, "d0": ("Title 0", "quite new")})
    assert run_job("encode_texts", lake=lake, **ENCODE, changes="feed")["documents"]["documents"] == 1


def test_other_settings_of_passages_are_refused_with_both_and_the_fix(
    spark: SparkSession, run_job: Any, lake: str, texts: Texts
) -> None:
    write_titled(spark, lake, {"short": texts["short"]})
    run_job("encode_texts", lake=lake, **ENCODE)
    for given, found, wanted in (
        (
            {"passage_tokens": 64},
            "vectors of whole texts",
            "wanted vectors of passages of 64 tokens (one starts every 32 tokens,",
        ),
        (
            {"passage_by": "sentence"},
            r"vectors of passages of 64 tokens \(one starts every 32",
            "wanted vectors of passages of whole sentences",
        ),
    ):
        name = "long" if "64" in found else None
        if name:
            run_job("encode_texts", lake=lake, **ENCODE, passage_tokens=64, vectors=name)
        with pytest.raises(ConflictError, match=found) as error:
            run_job("encode_texts", lake=lake, **ENCODE, **given, vectors=name)
        assert wanted in str(error.value)
        assert "--vectors" in error.value.fix


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"passage_tokens": 10, "passage_stride": 11}, "--passage-stride is 11 and --passage-tokens 10"),
        ({"passage_stride": 11}, "--passage-stride is given alone"),
        ({"passage_by": "sentence", "passage_stride": 11}, "--passage-stride is given with --passage-by sentence"),
        ({"passage_tokens": 600}, "wanted at most 510"),
        ({"passage_tokens": 500, "max_length": 128}, "wanted at most 126"),
        ({"passage_tokens": 10, "side": "queries"}, "--passage-tokens is given with --side queries"),
        ({"passage_tokens": 10, "model": "bm25"}, "--passage-tokens is given, and the model is bm25"),
        ({"passage_tokens": 0}, "wanted 1 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    spark: SparkSession, run_job: Any, tmp_path_factory: pytest.TempPathFactory, given: dict[str, Any], said: str
) -> None:
    lake = str(tmp_path_factory.getbasetemp() / "refused")
    if not Path(lake).exists():
        write_titled(spark, lake, {"a": (None, "text")})
    with pytest.raises(UsageError) as error:
        run_job("encode_texts", **{"lake": lake, **ENCODE, **given})
    assert said in str(error.value)


def test_a_document_of_which_one_passage_fails_goes_to_quarantine_whole(
    spark: SparkSession, run_job: Any, lake: str, texts: Texts
) -> None:
    huge = {**texts, "huge": (None, "word " * 500)}
    write_titled(spark, lake, huge)
    given = {"lake": lake, **ENCODE, "passage_tokens": 24, "max_text_bytes": 2_000}
    with pytest.raises(DataError, match="1 of 11 texts cannot be encoded"):
        run_job("encode_texts", **given)
    done = run_job("encode_texts", **given, max_rejected=0.5)["documents"]
    assert done["rejected"] == 1
    assert {row["doc_id"] for row in rows_of(lake)} == set(texts)
    (row,) = table_rows(f"{lake}/quarantine")
    assert row["reason"] == '"huge": the text has 2500 bytes; wanted at most 2000'
    run_job("verify_tables", lake=lake)
    again = run_job("encode_texts", **{**given, "max_text_bytes": 3_000}, retry_rejected=True)["documents"]
    assert again["documents"] == 1
    assert {row["doc_id"] for row in rows_of(lake)} == set(huge)


def test_a_stopped_run_resumes_and_a_passage_that_moved_is_made_again(
    spark: SparkSession, run_job: Any, lake: str
) -> None:
    encode = {"lake": lake, **ENCODE, "passage_by": "paragraph", "passage_tokens": 8, "chunk_rows": 8}
    made = {f"d{n}": (None, "\n\n".join(f"{WORDS[i]} {n} {i} {i} {i} {i}" for i in range(6))) for n in range(8)}
    write_titled(spark, lake, made)
    with stopped_after(chunks, "_commit_chunk", 2):
        run_job("encode_texts", **encode)
    staged = len(table_rows(f"{lake}/vectors/splade-tiny/documents_staged"))
    assert 0 < staged < 48
    for n in range(8):  # the other passages stay as they are, but at other places
        made[f"d{n}"] = (None, "x" + str(made[f"d{n}"][1]))
    write_titled(spark, lake, made)
    done = run_job("encode_texts", **encode)["documents"]
    assert done["resumed"] + done["rows"] == 48
    run_job("encode_texts", **encode, vectors="full")
    places = [[(row["id"], row["start"], row["end"]) for row in rows_of(lake, n)] for n in ("splade-tiny", "full")]
    assert places[0] == places[1]
    assert_same(vectors(spark, lake), vectors(spark, lake, "full"))


@pytest.mark.parametrize("words", [200, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_document_of_very_many_passages_is_encoded_whole(
    spark: SparkSession, run_job: Any, lake: str, words: int
) -> None:
    write_titled(spark, lake, {"long": (None, "bread river " * (words // 2)), "other": (None, "stone")})
    done = run_job("encode_texts", lake=lake, **ENCODE, passage_tokens=1, passage_stride=1)["documents"]
    assert (done["rows"], done["distinct_texts"]) == (words + 1, 3)
    assert run_job("encode_texts", lake=lake, **ENCODE, dry_run=True)["documents"]["rows"] == words + 1


def test_verify_finds_a_document_that_lacks_a_passage(
    spark: SparkSession, run_job: Any, lake: str, texts: Texts
) -> None:
    write_titled(spark, lake, {"d0": texts["d0"], "d1": texts["d1"]})
    run_job("encode_texts", lake=lake, **ENCODE, passage_tokens=24)
    TableRef(path=f"{lake}/vectors/splade-tiny/documents").delta(spark).delete("doc_id = 'd1' AND passage = 1")
    with pytest.raises(DataError, match="1 document is without some passages"):
        run_job("verify_tables", lake=lake)
    assert run_job("encode_texts", lake=lake, **ENCODE)["documents"]["documents"] == 1
    run_job("verify_tables", lake=lake)
    out = f"{lake}-out"
    run_job("export_vectors", lake=lake, model="splade-tiny", output=out, output_format="parquet")
    run_job("import_vectors", lake=lake, input=out, input_format="parquet", vectors="theirs", like="splade-tiny")
    assert run_job("verify_tables", lake=lake)["findings"] == []
