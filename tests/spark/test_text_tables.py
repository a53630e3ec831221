"""Texts of a table outside the lake: encoded in place like their copy, followed when they change, used by the jobs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.encoder import SpladeEncoder
from spladelake.errors import DataError, SpladelakeError, UsageError
from spladelake.spark.evaluate.report import gather
from spladelake.spark.retrieve.search import search_documents
from spladelake.spark.sql.install import install
from spladelake.spark.tables.refs import Lake
from support.collections import FRUIT, QUESTIONS, RELEVANT, write_lines
from support.tables import table_rows

TEXT = "concat_ws(' ', name, description)"
ITEMS = [
    (number, name, text.partition(" ")[2], "de" if number % 2 else "en")
    for number, (name, text) in enumerate(FRUIT.items(), start=10)
]
NUMBER = {name: str(number) for number, name, _, _ in ITEMS}


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A table of five items with numbers as ids, and one of questions."""
    folder = str(tmp_path_factory.mktemp("shop"))
    items = spark.createDataFrame(ITEMS, "sku int, name string, description string, lang string").coalesce(1)
    items.write.format("delta").option("delta.enableChangeDataFeed", "true").save(f"{folder}/items")
    asked = spark.createDataFrame(list(QUESTIONS.items()), "qid string, question string").coalesce(1)
    asked.write.format("delta").save(f"{folder}/asked")
    return folder


def options(shop: str, lake: str, **others: Any) -> dict[str, Any]:
    named = {"documents": f"table:{shop}/items", "document_id": "sku", "document_text": TEXT}
    return {"lake": lake, "model": "splade-tiny", **named, **others}


@pytest.fixture(scope="module")
def made(run_job: Any, shop: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake that holds vectors of the items and questions, judgements and a run, but no text."""
    folder = tmp_path_factory.mktemp("vectors-only")
    lake = str(folder / "lake")
    run_job("encode_texts", **options(shop, lake, queries=f"table:{shop}/asked"))
    lines = "".join(f"{query} 0 {NUMBER[name]} {grade}\n" for (query, name), grade in RELEVANT.items())
    (folder / "qrels.txt").write_text(lines)
    run_job("ingest_texts", lake=lake, judgements=str(folder / "qrels.txt"))
    run_job("retrieve_run", lake=lake, model="splade-tiny")
    return lake


def test_a_table_is_encoded_in_place_with_the_vectors_of_its_texts(made: str) -> None:
    assert not Path(f"{made}/documents").exists()
    rows = {row["id"]: row for row in table_rows(f"{made}/vectors/splade-tiny/documents")}
    texts = {str(number): f"{name} {text}" for number, name, text, _ in ITEMS}
    assert {i: row["text_sha256"] for i, row in rows.items()} == {
        i: hashlib.sha256(text.encode()).hexdigest() for i, text in texts.items()
    }
    encoder = SpladeEncoder.load("splade-tiny", device="cpu", threads=1)
    indices, values = encoder.encode_documents([texts["10"]]).row(0)
    assert (rows["10"]["indices"], rows["10"]["values"]) == (indices.tolist(), pytest.approx(values.tolist(), abs=1e-5))


def test_the_jobs_find_texts_and_columns_of_a_table_outside_the_lake(
    spark: SparkSession, run_job: Any, made: str, tmp_path: Path
) -> None:
    best = {row["query_id"]: row["doc_id"] for row in table_rows(f"{made}/runs", run_id="splade-tiny", rank=1)}
    assert best == {"q1": NUMBER["apple"], "q2": NUMBER["river"], "q3": NUMBER["bread"]}
    result = run_job("evaluate_run", lake=made, model="splade-tiny", measures=["recip_rank"])
    assert (result["measures"]["recip_rank"], result["judged_documents_unknown"]) == (1.0, 0)
    run_job("retrieve_run", lake=made, model="splade-tiny", ranking="german", where="lang = 'de'")
    german = {str(number) for number, _, _, lang in ITEMS if lang == "de"}
    assert {row["doc_id"] for row in table_rows(f"{made}/runs", run_id="german")} <= german
    with pytest.raises(UsageError, match="the table has no column 'lank'; did you mean 'lang'"):
        run_job("retrieve_run", lake=made, model="splade-tiny", ranking="g", where="lank = 'de'")
    found = search_documents(spark, QUESTIONS["q3"], lake=made, model="splade-tiny", k=1, where="lang = 'de'")
    assert [(hit["doc_id"], hit["title"]) for hit in found] == [(NUMBER["bread"], None)]
    run_job("export_vectors", lake=made, model="splade-tiny", output=str(tmp_path / "out"), output_format="seismic")
    run_job("evaluate_run", lake=made, ranking="german", measures=["recip_rank"])
    (query, *_) = gather(spark, Lake(made), measure="recip_rank").differing
    assert query.text == QUESTIONS[query.query_id]
    install(spark, lake=made, model="splade-tiny")
    rows = spark.sql("SELECT doc_id, text, sku FROM documents WHERE lang = 'de'").collect()
    assert {row["doc_id"]: row["sku"] for row in rows} == {number: int(number) for number in german}
    hit = spark.sql("SELECT * FROM search('how is bread made', 1)").first()
    assert hit["doc_id"] == NUMBER["bread"]


# test_incremental compares all texts with their vectors for a table of the lake.
@pytest.mark.parametrize("changes", [pytest.param("snapshot", marks=pytest.mark.slow), "feed"])
def test_changed_new_and_deleted_rows_take_their_vectors_along(
    spark: SparkSession, run_job: Any, shop: str, lake: str, changes: str
) -> None:
    items = f"{shop}/changing-{changes}"
    copied = spark.read.format("delta").load(f"{shop}/items").write.format("delta")
    copied.option("delta.enableChangeDataFeed", "true").save(items)
    given = options(shop, lake, changes=changes, documents=f"table:{items}", where="lang <> 'fr'")
    assert run_job("encode_texts", **given)["documents"]["rows"] == 5
    assert run_job("encode_texts", **given)["status"] == "skipped"
    spark.sql(f"DELETE FROM delta.`{items}` WHERE sku = 11")
    spark.sql(f"UPDATE delta.`{items}` SET description = 'pips and juice' WHERE sku = 10")
    spark.sql(f"UPDATE delta.`{items}` SET lang = 'fr' WHERE sku = 12")
    spark.sql(f"INSERT INTO delta.`{items}` VALUES (20, 'cheese', NULL, 'en')")
    found = run_job("encode_texts", **given)["documents"]
    assert (found["rows"], found["deleted"]) == (2, 2)
    hashes = {row["id"]: row["text_sha256"] for row in table_rows(f"{lake}/vectors/splade-tiny/documents")}
    assert hashes.keys() == {"10", "13", "14", "20"}
    assert hashes["10"] == hashlib.sha256(b"apple pips and juice").hexdigest()
    spark.sql(f"INSERT INTO delta.`{items}` VALUES (NULL, 'nothing', NULL, 'en')")
    with pytest.raises(
        DataError,
        match=r"1 row has no usable id in `sku`.*leave them out with --where, or ingest .* which puts such rows",
    ):
        run_job("encode_texts", **given)
    spark.sql(f"DELETE FROM delta.`{items}` WHERE sku IS NULL")
    spark.sql(f"INSERT INTO delta.`{items}` VALUES (20, 'again', NULL, 'en')")
    with pytest.raises(DataError, match="the id '20' is in 2 rows; wanted each id once"):
        run_job("encode_texts", **given)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown column": ({"document_text": "nme"}, "--document-text 'nme': the table has no column 'nme'.*'name'"),
    "a column in an expression": ({"document_id": "concat(skuu, 'x')"}, "--document-id .*'skuu'; did you mean 'sku'"),
    "a condition": ({"where": "land = 'de'"}, "--where .* no column 'land'; did you mean 'lang'"),
    "many rows at once": ({"document_text": "max(name)"}, r"function \(max\(name\)\); wanted an expression with one"),
    "no text": ({"document_text": "sku"}, "--document-text '`sku`': the type is int; wanted text.*CAST.`sku`"),
    "no id": ({"document_id": "array(sku)"}, "--document-id .*: the type is array<int>; wanted text or whole numbers"),
    "no syntax": ({"document_text": "concat(name"}, "--document-text 'concat.name': .*[Ss]yntax error"),
    "no table": ({"documents": "table:default.no_items"}, "default.no_items: there is no such table"),
    "no folder": ({"documents": "table:/no/such/folder"}, "/no/such/folder: there is no such table"),
    "a file": ({"documents": "items.csv"}, "--documents is 'items.csv'; wanted table:NAME or table:/FOLDER"),
    "no usual name": ({"document_id": None}, "no column is called 'doc_id'.*Name the column with --document-id"),
}  # fmt: skip


def test_what_does_not_fit_the_table_is_refused_before_anything_is_encoded(run_job: Any, shop: str, lake: str) -> None:
    for wrong, said in WRONG.values():
        with pytest.raises(SpladelakeError, match=said):
            run_job("encode_texts", **{**options(shop, lake), **wrong})
    assert not Path(f"{lake}/vectors").exists()


def test_a_table_of_the_catalog_gives_bm25_the_vectors_of_its_copy(
    spark: SparkSession, run_job: Any, shop: str, lake: str, tmp_path: Path
) -> None:
    spark.sql(f"CREATE TABLE default.shop_items USING delta LOCATION '{shop}/items'")
    try:
        run_job("encode_texts", **options(shop, lake, model="bm25", documents="table:default.shop_items"))
        with pytest.raises(DataError, match=r"did you mean table:default\.shop_items"):
            run_job("encode_texts", **options(shop, lake, documents="table:default.shop_item"))
    finally:
        spark.sql("DROP TABLE default.shop_items")
    copied = [{"_id": str(number), "text": f"{name} {text}"} for number, name, text, _ in ITEMS]
    other = str(tmp_path / "copy")
    run_job("ingest_texts", lake=other, documents=str(write_lines(tmp_path / "items.jsonl", copied)))
    run_job("encode_texts", lake=other, model="bm25", side="documents")
    mine, theirs = (
        sorted((row["id"], row["indices"], row["values"]) for row in table_rows(f"{root}/vectors/bm25/documents"))
        for root in (lake, other)
    )
    assert mine == theirs
