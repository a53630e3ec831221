"""The vectors of a table are those of the model, one for every text, made by one model a worker."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sentence_transformers import SparseEncoder

from spladelake.commands.run_job import run_step
from spladelake.config import EncodeTexts
from spladelake.encoder import resolve_checkpoint
from spladelake.errors import DataError, SpladelakeError, UsageError
from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.texts import SIDES, encoded, hashed, spread, task_count, texts_of
from spladelake.spark.encode.worker import EncodeBatches
from spladelake.spark.session.failures import known_error
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import DOCUMENTS
from support.cases import mostly_slow
from support.checkpoints import edit
from support.collections import ENCODED_TABLES, FRUIT, collection, json_lines, write_fruit, write_lines
from support.tables import table_rows

# The same float32 sums in another order; what is seen stays below 1e-5.
TOLERANCE = 1e-4


def vectors_of(spark: SparkSession, lake: str, side: str = "documents") -> dict[str, dict[int, float]]:
    rows = table_rows(f"{lake}/vectors/splade-tiny/{side}")
    return {row["id"]: dict(zip(row["indices"], row["values"], strict=True)) for row in rows}


@pytest.fixture(scope="module")
def reference() -> SparseEncoder:
    return SparseEncoder(resolve_checkpoint("splade-tiny").folder, device="cpu")


def assert_equal_vectors(found: dict[str, dict[int, float]], ids: list[str], wanted: np.ndarray) -> None:
    assert set(found) == set(ids)
    for row, i in enumerate(ids):
        dense = np.zeros(wanted.shape[1])
        dense[list(found[i])] = list(found[i].values())
        assert np.abs(dense - wanted[row]).max() <= TOLERANCE
        strong = wanted[row] > 2 * TOLERANCE
        assert (dense[strong] > TOLERANCE).all()
        assert (wanted[row][dense > 2 * TOLERANCE] > TOLERANCE).all()


# The encoder by itself is held against more passages in tests/parity.
@pytest.mark.parametrize("passages", mostly_slow([40, 200], 0))
@pytest.mark.collection
def test_vectors_equal_sentence_transformers_on_msmarco_passages_and_queries(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, reference: SparseEncoder, passages: int
) -> None:
    folder = collection("msmarco-dl1920")
    documents = json_lines(folder / "corpus.jsonl")[:passages]
    queries = json_lines(folder / "queries.jsonl")[:passages]
    write_lines(tmp_path / "corpus.jsonl", documents)
    write_lines(tmp_path / "queries.jsonl", queries)
    run_job("ingest_texts", lake=lake, source=str(tmp_path))
    run_job("encode_texts", lake=lake, model="splade-tiny")
    for side, records, encode in (
        ("documents", documents, reference.encode_document),
        ("queries", queries, reference.encode_query),
    ):
        wanted = encode([r["text"] for r in records], convert_to_sparse_tensor=False).cpu().numpy()
        assert_equal_vectors(vectors_of(spark, lake, side), [r["_id"] for r in records], wanted)


def test_title_and_text_are_joined_by_a_space_as_beir_joins_them(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, reference: SparseEncoder
) -> None:
    records = [
        {"_id": "both", "title": "Rivers", "text": FRUIT["river"]},
        {"_id": "title", "title": "Rivers", "text": ""},
    ]
    run_job("ingest_texts", lake=lake, documents=str(write_lines(tmp_path / "corpus.jsonl", records)))
    run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")
    wanted = reference.encode_document(["Rivers " + FRUIT["river"], "Rivers"], convert_to_sparse_tensor=False)
    assert_equal_vectors(vectors_of(spark, lake), ["both", "title"], wanted.cpu().numpy())


def test_texts_without_content_keep_their_row_with_an_empty_vector(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    given = {"null": None, "empty": "", "blank": " \t ", "ok": "a text"}
    source = write_lines(tmp_path / "corpus.jsonl", [{"_id": i, "text": t} for i, t in given.items()])
    run_job("ingest_texts", lake=lake, documents=str(source))
    result = run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")
    rows = table_rows(f"{lake}/vectors/splade-tiny/documents")
    assert {row["id"]: row["status"] for row in rows} == {i: i for i in given}
    assert {row["id"]: len(row["indices"]) > 0 for row in rows} == {i: i == "ok" for i in given}
    assert {row["id"]: row["tokens"] for row in rows if row["id"] != "ok"} == {"null": 0, "empty": 0, "blank": 0}
    assert result["documents"]["statuses"] == {"null": 1, "empty": 1, "blank": 1, "ok": 1}


def test_invalid_bytes_in_a_text_are_replaced_and_the_row_says_so(spark: SparkSession, lake: str, run_job: Any) -> None:
    path = f"{lake}/documents"
    frame = spark.sql("SELECT 'a' doc_id, CAST(NULL AS STRING) title, CAST(X'636166E92062617220' AS STRING) text")
    frame.write.format("delta").save(path)
    run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")
    (row,) = table_rows(f"{lake}/vectors/splade-tiny/documents")
    assert row["status"] == "repaired"
    assert len(row["indices"]) > 0


def test_equal_texts_are_encoded_once_and_each_keeps_its_row(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    records = [{"_id": f"{i}{n}", "text": t} for n in range(20) for i, t in FRUIT.items()]
    records += [{"_id": "null", "text": None}, {"_id": "empty", "text": ""}]
    run_job("ingest_texts", lake=lake, documents=str(write_lines(tmp_path / "corpus.jsonl", records)))
    result = run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")["documents"]
    assert (result["rows"], result["distinct_texts"]) == (102, 7)
    vectors = vectors_of(spark, lake)
    assert set(vectors) == {record["_id"] for record in records}
    for i in FRUIT:
        assert {repr(vectors[f"{i}{n}"]) for n in range(20)} == {repr(vectors[f"{i}0"])}
    assert len({repr(vectors[f"{i}0"]) for i in FRUIT}) == len(FRUIT)
    hashes = {row["id"]: row["text_sha256"] for row in table_rows(f"{lake}/vectors/splade-tiny/documents")}
    assert hashes["river3"] == hashlib.sha256(FRUIT["river"].encode()).hexdigest()
    assert hashes["null"] is None


def test_the_model_is_loaded_once_a_worker_over_two_jobs_of_several_partitions(spark: SparkSession) -> None:
    # A budget of its own makes a key that no other test has put into the workers' caches.
    spec = WorkerSpec(resolve_checkpoint("splade-tiny"), token_budget=1_234)
    rows = [(str(n), f"text {n}") for n in range(40)]
    texts = spread(hashed(spark.createDataFrame(rows, "id string, text string")), 8)
    counted = []
    for _ in range(2):
        totals = spark.sparkContext.accumulator({}, Totals())
        encode = EncodeBatches(spec, "document", totals)

        def noting(
            batches: Iterator[pa.RecordBatch], totals: Any = totals, encode: EncodeBatches = encode
        ) -> Iterator[pa.RecordBatch]:
            totals.add({f"tasks of {os.getpid()}": 1})
            yield from encode(batches)

        assert encoded(texts, noting).count() == 40
        counted.append(dict(totals.value))
    tasks = [(name, n) for totals in counted for name, n in totals.items() if name.startswith("tasks of ")]
    workers = {name for name, _ in tasks}
    # Spark takes turns among the workers that earlier tests left idle, so they may be more than two.
    assert len(workers) < sum(n for _, n in tasks) == 16
    assert sum(totals.get("model_loads", 0) for totals in counted) == len(workers)
    assert [totals["texts"] for totals in counted] == [40, 40]


def test_one_python_evaluation_and_no_shuffle_after_it(spark: SparkSession) -> None:
    spec = WorkerSpec(resolve_checkpoint("splade-tiny"), token_budget=None)
    totals = spark.sparkContext.accumulator({}, Totals())
    frame = spark.createDataFrame([("a", "t", "x")], "doc_id string, title string, text string")
    plan = encoded(spread(texts_of(frame, SIDES["documents"]), 2), EncodeBatches(spec, "document", totals))
    lines = plan._jdf.queryExecution().optimizedPlan().toString().splitlines()
    python = [n for n, line in enumerate(lines) if "MapInArrow" in line]
    shuffle = [n for n, line in enumerate(lines) if "Repartition" in line]
    assert len(python) == len(shuffle) == 1
    assert python[0] < shuffle[0]  # a plan is printed from its last step to its first


def test_a_second_run_is_skipped_and_a_changed_setting_encodes_again(
    spark: SparkSession, run_job: Any, own_fruit_lake: str
) -> None:
    lake = own_fruit_lake
    first = run_job("encode_texts", lake=lake, model="splade-tiny")
    assert first["documents"]["rows"] == 0  # a copied lake is another, whose texts are compared
    ref = TableRef(path=f"{lake}/vectors/splade-tiny/documents")
    version = ref.version(spark)
    assert run_job("encode_texts", lake=lake, model="splade-tiny")["status"] == "skipped"
    assert ref.version(spark) == version
    cut = run_job("encode_texts", lake=lake, model="splade-tiny", max_active_dims=3)
    assert cut["status"] == "written"
    assert cut["model_id"] != first["model_id"]
    assert {len(terms) for terms in vectors_of(spark, lake).values()} == {3}
    assert table_properties(spark, ref)["spladelake.model_id"] == cut["model_id"]


@pytest.mark.slow
def test_properties_that_a_killed_run_left_behind_are_mended_by_the_next(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    run_job("ingest_texts", lake=lake, source=str(write_fruit(tmp_path / "fruit")))
    run_job("encode_texts", lake=lake, model="splade-tiny", side="queries")
    ref = TableRef(path=f"{lake}/vectors/splade-tiny/queries")
    spark.sql(f"ALTER TABLE {ref.identifier} UNSET TBLPROPERTIES ('spladelake.vocabulary_size')")
    assert run_job("encode_texts", lake=lake, model="splade-tiny", side="queries")["status"] == "skipped"
    assert table_properties(spark, ref)["spladelake.vocabulary_size"] == "30522"


@pytest.mark.slow
def test_another_model_of_the_same_short_name_does_not_replace_the_vectors(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    run_job("ingest_texts", lake=lake, source=str(write_fruit(tmp_path / "fruit")))
    run_job("encode_texts", lake=lake, model="splade-tiny", side="queries")
    other = tmp_path / "splade-tiny"
    shutil.copytree(resolve_checkpoint("splade-tiny").folder, other)
    with pytest.raises(UsageError, match=r"the table holds vectors of splade-tiny; .* has the same short name"):
        run_job("encode_texts", lake=lake, model=str(other), side="queries")
    assert run_job("encode_texts", lake=lake, model=str(other), side="queries", vectors="other")["status"] == "written"


def test_a_documents_table_with_a_repeated_id_is_refused(spark: SparkSession, run_job: Any, lake: str) -> None:
    rows = spark.createDataFrame([("a", None, "x"), ("a", None, "y")], DOCUMENTS.struct)
    rows.write.format("delta").save(f"{lake}/documents")
    with pytest.raises(
        DataError, match="is in 2 rows; wanted each id once, because the scores of a repeated id would add up"
    ):
        run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")


def test_the_vocabulary_names_every_dimension(spark: SparkSession, fruit_lake: str) -> None:
    terms = {row["term_id"]: row["token"] for row in table_rows(f"{fruit_lake}/vectors/splade-tiny/vocabulary")}
    assert sorted(terms) == list(range(30_522))
    # As in the published vocab.txt of BERT.
    assert {n: terms[n] for n in (0, 101, 6207)} == {0: "[PAD]", 101: "[CLS]", 6207: "apple"}
    vectors = vectors_of(spark, fruit_lake)
    assert [i for i, terms in vectors.items() if terms.get(6207, 0) > 1] == ["apple"]


@pytest.mark.parametrize(
    "row",
    [
        "array(2, 1), array(1f, 1f)",
        "array(1, 1), array(1f, 1f)",
        "array(1, 2), array(1f)",
        "array(1), array(0f)",
        "array(1), array(-0f)",
        "array(1), array(-1f)",
        "array(1), array(float('NaN'))",
        "array(1, 2), array(1f, float('NaN'))",
        "array(1, 2), array(1f, float('Infinity'))",
        "array(1), array(CAST(NULL AS FLOAT))",
        "array(1, 2), array(1f, NULL)",
        "array(1, 2), array(NULL, 1f)",
        "array(-1), array(1f)",
        "array(CAST(NULL AS INT)), array(1f)",
    ],
)
def test_the_vectors_table_refuses_rows_that_break_its_invariants(
    spark: SparkSession, fruit_lake: str, row: str
) -> None:
    path = f"{fruit_lake}/vectors/splade-tiny/documents"
    frame = spark.sql(f"SELECT 'bad' id, {row.replace('), array', ') indices, array', 1)} `values`")
    for name, kind in (("tokens", "int"), ("truncated", "boolean"), ("text_sha256", "string"), ("status", "string")):
        frame = frame.withColumn(name, F.lit(None).cast(kind))
    with pytest.raises(Exception, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
        frame.withColumn("model_id", F.lit("m")).write.format("delta").mode("append").save(path)


def test_tables_can_be_read_by_readers_of_protocol_1(spark: SparkSession, fruit_lake: str) -> None:
    for table in ENCODED_TABLES:
        detail = spark.sql(f"DESCRIBE DETAIL delta.`{fruit_lake}/{table}`").first()
        assert detail is not None
        assert detail["minReaderVersion"] == 1


def test_every_table_and_column_is_described(spark: SparkSession, fruit_lake: str) -> None:
    described = spark.sql(f"DESCRIBE TABLE delta.`{fruit_lake}/vectors/splade-tiny/documents`").collect()
    assert all(row["comment"] for row in described if row["data_type"])


@pytest.fixture
def moved_model(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    shutil.copytree(resolve_checkpoint("splade-tiny").folder, folder)
    return folder


def test_a_worker_refuses_weights_that_changed_after_the_driver_looked(spark: SparkSession, moved_model: Path) -> None:
    spec = WorkerSpec(resolve_checkpoint(str(moved_model)), token_budget=None)
    weights = moved_model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    totals = spark.sparkContext.accumulator({}, Totals())
    texts = hashed(spark.createDataFrame([("a", "x")], "id string, text string"))
    with pytest.raises(Exception, match="sha256") as raised:
        encoded(texts, EncodeBatches(spec, "document", totals)).collect()
    error = known_error(raised.value)
    assert isinstance(error, SpladelakeError)
    assert error.exit_code == 2
    assert str(error).startswith(str(weights))


def test_a_worker_tells_what_transformers_refuses_as_one_message(spark: SparkSession, moved_model: Path) -> None:
    edit(moved_model / "config.json", model_type="bert-of-tomorrow")
    spec = WorkerSpec(resolve_checkpoint(str(moved_model)), token_budget=None)
    totals = spark.sparkContext.accumulator({}, Totals())
    texts = hashed(spark.createDataFrame([("a", "x")], "id string, text string"))
    with pytest.raises(Exception, match="bert-of-tomorrow") as raised:
        encoded(texts, EncodeBatches(spec, "document", totals)).collect()
    error = known_error(raised.value)
    assert isinstance(error, SpladelakeError)
    assert error.exit_code == 2
    assert str(error).startswith(str(moved_model / "config.json"))
    assert str(error).endswith("Install a newer version of transformers, or correct model_type.")


def test_a_model_without_a_head_is_refused_before_any_table_is_read(run_job: Any, lake: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=str(tmp_path / "empty")):
        run_job("encode_texts", lake=lake, model=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("rows", "slots", "given", "rate", "tasks"),
    [
        (0, 2, None, 0.0, 1),
        (1, 2, None, 0.0, 1),
        (64, 2, None, 0.0, 1),  # encoded before a second worker has loaded the model
        (65, 2, None, 0.0, 2),
        (30_005, 2, None, 0.0, 16),  # of 1,876 rows
        (30_005, 2, None, 500.0, 8),  # of 3,751 rows, 8 seconds each
        (30_005, 2, None, 3.0, 16),  # a slow model does not make them smaller
        (8_841_823, 2, None, 0.0, 540),
        (8_841_823, 2, None, 5_000.0, 540),
        (100, 4, 30, 200.0, 4),
    ],
)
def test_tasks_are_bounded_in_size_and_fill_the_slots(
    rows: int, slots: int, given: int | None, rate: float, tasks: int
) -> None:
    assert task_count(rows, slots=slots, rows_per_task=given, rate=rate) == tasks


@pytest.mark.slow
def test_a_dry_run_forecasts_rows_tokens_and_bytes_and_writes_nothing(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    texts = [f"A sentence of its own, about the number {n} and {n * n}." for n in range(300)]
    write_lines(tmp_path / "corpus.jsonl", [{"_id": f"d{n}", "text": t} for n, t in enumerate([*texts, texts[0]])])
    run_job("ingest_texts", lake=lake, documents=str(tmp_path / "corpus.jsonl"))
    options = EncodeTexts(lake=lake, model="splade-tiny", side="documents")
    forecast = run_step("encode_texts", options.model_copy(update={"dry_run": True}), {})
    assert forecast["status"] == "forecast"
    assert not Path(lake, "vectors").exists()
    said = forecast["documents"]
    made = run_step("encode_texts", options, {})["documents"]
    assert (said["rows"], said["distinct_texts"]) == (made["rows"], made["distinct_texts"]) == (301, 300)
    assert said["tokens"] == sum(
        row["tokens"] for row in table_rows(f"{lake}/vectors/splade-tiny/documents") if row["id"] != "d300"
    )
    logged = [row for row in table_rows(f"{lake}/run_log") if row["forecast_seconds"] is not None]
    dry, real = sorted(logged, key=lambda row: row["started"])
    assert (dry["status"], dry["forecast_error"]) == ("forecast", None)
    assert real["forecast_seconds"] == dry["forecast_seconds"] == said["seconds"]
    assert real["forecast_error"] == pytest.approx(said["seconds"] / made["seconds"] - 1, abs=2e-3)
    table = sum(f.stat().st_size for f in Path(lake, "vectors/splade-tiny/documents").glob("*.parquet"))
    assert 0.5 < said["bytes"] / table < 2
