"""Whatever happened on the way, the vectors are those of a full encode of the newest texts, and little was done."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from spladelake.errors import DataError, UsageError
from spladelake.spark.encode import chunks
from spladelake.spark.tables.refs import TableRef
from support.cases import mostly_slow
from support.documents import assert_same, encoded_alone, text, vectors, write_documents
from support.ledger import LEDGER
from support.stopping import stopped_after
from support.tables import table_rows


def changed_ids(spark: SparkSession, lake: str, after: int) -> set[tuple[str, str]]:
    """(id, kind of change) in the change feed of the vectors."""
    feed: DataFrame = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", after + 1)
    rows = feed.load(f"{lake}/vectors/splade-tiny/documents").select("id", "_change_type").collect()
    return {(row[0], row[1]) for row in rows if row[1] != "update_preimage"}


def test_an_update_equals_a_full_encode_and_only_what_changed_is_encoded_and_in_the_feed(
    spark: SparkSession, run_job: Any, lake: str
) -> None:
    encode = {"lake": lake, "model": "splade-tiny", "side": "documents"}
    texts: dict[str, str | None] = {f"d{n}": text(n) for n in range(24)}
    write_documents(spark, lake, texts)
    run_job("encode_texts", **encode)
    ref = TableRef(path=f"{lake}/vectors/splade-tiny/documents")
    before = ref.version(spark)
    texts |= {"d1": "an apple a day", "d2": None, "new": text(3)}
    del texts["d5"]
    write_documents(spark, lake, texts)  # every other row is rewritten too, as it was
    done = run_job("encode_texts", **encode)["documents"]
    assert (done["rows"], done["kept"], done["deleted"]) == (3, 21, 1)
    assert changed_ids(spark, lake, before) == {
        ("d1", "update_postimage"), ("d2", "update_postimage"), ("new", "insert"), ("d5", "delete"),
    }  # fmt: skip
    updated, before = vectors(spark, lake), ref.version(spark)
    write_documents(spark, lake, texts)
    same = run_job("encode_texts", **encode)["documents"]
    assert (same["rows"], same["kept"]) == (0, 24)
    assert run_job("encode_texts", **encode)["status"] == "skipped"
    assert_same(updated, encoded_alone(texts))


def test_a_run_that_stopped_goes_on_where_it_was_and_readers_never_see_half_of_it(
    spark: SparkSession, run_job: Any, lake: str
) -> None:
    encode = {"lake": lake, "model": "splade-tiny", "side": "documents", "chunk_rows": 8}
    texts: dict[str, str | None] = {f"d{n}": text(n) for n in range(32)}
    write_documents(spark, lake, texts)
    with stopped_after(chunks, "_commit_chunk", 2):
        run_job("encode_texts", **encode)
    assert not Path(lake, "vectors/splade-tiny/documents").exists()
    staged = len(table_rows(f"{lake}/vectors/splade-tiny/documents_staged"))
    assert 0 < staged < 32
    # Meanwhile a text changed: what was staged of its old form must not be used.
    texts["d0"] = texts["d1"] = "another text altogether"
    write_documents(spark, lake, texts)
    done = run_job("encode_texts", **encode)["documents"]
    assert staged - 2 <= done["resumed"] <= staged
    assert done["resumed"] + done["rows"] == 32
    assert not Path(lake, "vectors/splade-tiny/documents_staged").exists()
    assert_same(vectors(spark, lake), encoded_alone(texts))


@pytest.mark.parametrize("how", mostly_slow(["feed", "stream"], 0))
def test_changes_read_from_the_feed_give_the_vectors_that_comparing_all_texts_gives(
    spark: SparkSession, run_job: Any, lake: str, how: str
) -> None:
    encode = {"lake": lake, "model": "splade-tiny", "side": "documents", "changes": how}
    texts: dict[str, str | None] = {f"d{n}": text(n) for n in range(8)}
    write_documents(spark, lake, texts)
    run_job("encode_texts", **encode)
    documents = TableRef(path=f"{lake}/documents").delta(spark)
    documents.update("doc_id = 'd1'", {"text": "'bread'"})
    documents.delete("doc_id = 'd2'")
    done = run_job("encode_texts", **encode)["documents"]
    # Two texts were looked at, the other six left alone.
    assert (done["rows"], done["kept"], done["deleted"]) == (1, 0, 1)
    documents.update("doc_id = 'd3'", {"text": "'river'"})
    assert run_job("encode_texts", **encode)["documents"]["rows"] == 1
    assert run_job("encode_texts", **encode)["status"] == "skipped"
    if how == "feed":
        documents.update("doc_id = 'd4'", {"text": "'train'"})
        with pytest.raises(UsageError, match="later start would miss changes"):
            run_job("encode_texts", **encode, since_version=99)
        assert run_job("encode_texts", **encode, since_version=0)["documents"]["rows"] == 1
    texts |= {"d1": "bread", "d3": "river"} | ({"d4": "train"} if how == "feed" else {})
    del texts["d2"]
    assert_same(vectors(spark, lake), encoded_alone(texts))


@pytest.mark.slow
def test_texts_over_the_size_limit_are_quarantined_and_come_back_when_it_is_raised(
    spark: SparkSession, run_job: Any, lake: str
) -> None:
    encode = {"lake": lake, "model": "splade-tiny", "side": "documents", "max_text_bytes": 100}
    write_documents(spark, lake, {"a": "apple", "b": "bread " * 100, "c": "cloud"})
    with pytest.raises(
        DataError, match=r'1 of 3 texts cannot be encoded; wanted at most 0, .*Examples: "b": the text has 600 bytes'
    ) as raised:
        run_job("encode_texts", **encode)
    assert raised.value.exit_code == 3
    (row,) = table_rows(f"{lake}/quarantine")
    assert json.loads(bytes(row["raw"])) == {"id": "b", "text": "bread " * 100}
    assert not Path(lake, "vectors/splade-tiny/documents").exists()
    done = run_job("encode_texts", **encode, max_rejected=0.5)["documents"]
    assert (done["rejected"], set(vectors(spark, lake))) == (1, {"a", "c"})
    run_job("encode_texts", **{**encode, "max_text_bytes": 1000})
    assert set(vectors(spark, lake)) == {"a", "b", "c"}
    assert len(table_rows(f"{lake}/quarantine")) == 0


def test_two_jobs_on_one_target_end_with_one_correct_table(spark: SparkSession, run_job: Any, lake: str) -> None:
    write_documents(spark, lake, {f"d{n}": text(n) for n in range(12)})
    ended: list[str] = []

    def run() -> None:
        ended.append(run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")["status"])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["skipped", "written"]
    assert set(vectors(spark, lake)) == {f"d{n}" for n in range(12)}


def test_an_empty_documents_table_has_empty_vectors(spark: SparkSession, run_job: Any, lake: str) -> None:
    write_documents(spark, lake, {})
    assert run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")["status"] == "written"
    assert vectors(spark, lake) == {}


@pytest.mark.faults
@pytest.mark.slow
def test_neither_a_chunk_committed_twice_nor_the_size_of_tasks_changes_the_vectors(
    spark: SparkSession, run_job: Any, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_documents(spark, lake, {f"d{n}": text(n) for n in range(24)})
    run_job("encode_texts", lake=lake, model="splade-tiny", side="documents", rows_per_task=3, vectors="full")
    commit = chunks._commit_chunk

    def twice(*given: Any) -> None:
        commit(*given)
        commit(*given)  # as an attempt whose answer was lost, or a speculative one

    monkeypatch.setattr(chunks, "_commit_chunk", twice)
    encode = {"lake": lake, "model": "splade-tiny", "side": "documents", "rows_per_task": 1_000_000}
    assert run_job("encode_texts", **encode, chunk_rows=10)["documents"]["rows"] == 24
    assert_same(vectors(spark, lake), vectors(spark, lake, "full"))


@pytest.mark.faults
@pytest.mark.slow
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=40), min_size=40, max_size=80),
    random=st.randoms(use_true_random=False),
)
def test_generated_texts_in_any_order_have_the_vectors_that_the_encoder_gives_each_alone(
    spark: SparkSession, run_job: Any, tmp_path: Path, texts: list[str], random: Any
) -> None:
    """A few Spark jobs of many texts each: every text of an example is a case."""
    lake = str(tmp_path / f"lake{len(list(tmp_path.iterdir()))}")
    LEDGER.tried("generated texts", len(texts))
    named = list({f"d{n}": text for n, text in enumerate(texts)}.items())
    random.shuffle(named)
    write_documents(spark, lake, dict(named))
    run_job("encode_texts", lake=lake, model="splade-tiny", side="documents", chunk_rows=len(texts) // 2)
    assert_same(vectors(spark, lake), encoded_alone(dict(named)))
