"""What stands beyond the end of a model's window is found by passages, and every job shows and keeps its place."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from sentence_transformers import CrossEncoder

import spladelake.functions as sl
from spladelake.errors import ConflictError, UsageError
from spladelake.passages import document_of, passage_id
from spladelake.spark.evaluate.report import gather
from spladelake.spark.retrieve.search import search_documents, search_folder
from spladelake.spark.sql.install import install
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import DOCUMENTS, JUDGEMENTS, QUERIES
from support.cross_encoders import write_cross_encoder
from support.documents import WORDS
from support.tables import table_rows, write_rows

NEEDLE = "The zebra trumpet concert begins at midnight."
QUESTION = "zebra trumpet concert at midnight"


def filler(n: int) -> str:
    return " ".join(f"{WORDS[(n + i) % 10]} {WORDS[(n * i) % 10]}" for i in range(400))


@pytest.fixture(scope="module")
def lake(run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Documents of 800 words; one has the needle after 700 words. Vectors cut at the model's end, and of passages."""
    root = str(tmp_path_factory.mktemp("needle") / "lake")
    texts = [(f"d{n}", f"Title {n}", filler(n)) for n in range(8)]
    words = filler(8).split()
    texts.append(("needle", "Plain", " ".join([*words[:700], NEEDLE, *words[700:]])))
    write_rows(f"{root}/documents", texts, DOCUMENTS)
    write_rows(f"{root}/queries", [("q", QUESTION)], QUERIES)
    write_rows(f"{root}/judgements", [("q", "needle", 1)], JUDGEMENTS)
    run_job("encode_texts", lake=root, model="splade-tiny", vectors="cut")
    run_job("encode_texts", lake=root, model="splade-tiny", passage_tokens=64, passage_title="first")
    for name in ("cut", "splade-tiny"):
        run_job("retrieve_run", lake=root, model="splade-tiny", vectors=name, k=5)
    return root


def run_of(lake: str, run_id: str) -> list[Any]:
    return sorted((r for r in table_rows(f"{lake}/runs") if r["run_id"] == run_id), key=lambda row: row["rank"])


def test_a_needle_beyond_the_window_is_found_by_passages_and_never_by_truncation(lake: str, run_job: Any) -> None:
    first, *_ = run_of(lake, "splade-tiny")
    text = next(r["text"] for r in table_rows(f"{lake}/documents") if r["doc_id"] == "needle")
    assert first["doc_id"] == "needle"
    assert NEEDLE[:20] in text[first["passage_start"] : first["passage_end"]]
    cut = {row["id"]: row["truncated"] for row in table_rows(f"{lake}/vectors/cut/documents")}
    assert cut["needle"]
    assert first["score"] > 2 * max(row["score"] for row in run_of(lake, "cut"))
    assert not any(row["truncated"] for row in table_rows(f"{lake}/vectors/splade-tiny/documents"))
    measured = run_job("evaluate_run", lake=lake, ranking="splade-tiny", measures="ndcg@10")
    assert measured["measures"]["ndcg@10"] == 1.0


def test_search_shows_the_document_once_with_its_passage_with_and_without_spark(spark: SparkSession, lake: str) -> None:
    here = search_folder(QUESTION, lake=lake, model="splade-tiny", k=3)
    there = search_documents(spark, QUESTION, lake=lake, model="splade-tiny", k=3)
    assert here == there
    assert here is not None
    best = here[0]
    wanted = run_of(lake, "splade-tiny")[0]
    assert (best["doc_id"], best["passage"], best["start"], best["end"]) == (
        "needle", wanted["passage"], wanted["passage_start"], wanted["passage_end"],
    )  # fmt: skip
    assert best["title"] == "Plain"
    assert "zebra" in " ".join(best["terms"])
    assert len({hit["doc_id"] for hit in here}) == 3


def test_sql_shows_the_passage_and_searches_documents(spark: SparkSession, lake: str) -> None:
    install(spark, lake=lake, model="splade-tiny")
    shown = "SELECT passage, doc_id FROM runs_with_text WHERE run_id = 'splade-tiny' AND rank = 1"
    (row,) = spark.sql(shown).collect()
    assert "zebra" in row["passage"]
    (cut,) = spark.sql("SELECT passage FROM runs_with_text WHERE run_id = 'cut' AND rank = 1").collect()
    assert cut["passage"] is None
    places = spark.sql(
        "SELECT substring(text, start + 1, end - start) AS passage FROM document_vectors JOIN documents USING (doc_id) "
        "WHERE doc_id = 'needle' ORDER BY start"
    ).collect()
    assert row["passage"] in [text for (text,) in places]
    found = spark.sql(f"SELECT rank, doc_id, score FROM search('{QUESTION}', 2)").collect()
    wanted = [(r["rank"], r["doc_id"], r["score"]) for r in run_of(lake, "splade-tiny")[:2]]
    assert [tuple(r) for r in found] == wanted


def test_sql_explains_by_the_best_passage_and_finds_similar_documents(spark: SparkSession, lake: str) -> None:
    install(spark, lake=lake, model="splade-tiny")
    (first, *_) = run_of(lake, "splade-tiny")
    rows = spark.sql("SELECT token, contribution, passage_id FROM explain('q', 'needle')").collect()
    assert {row["passage_id"] for row in rows} == {passage_id("needle", first["passage"])}
    assert sum(row["contribution"] for row in rows) == pytest.approx(first["score"], rel=1e-6)
    assert rows == spark.sql(f"SELECT token, contribution, passage_id FROM explain('q', '{rows[0][2]}')").collect()
    stored = table_rows(f"{lake}/vectors/splade-tiny/documents")
    (vectors,) = spark.sql("SELECT passage_vectors('d3').id").first()
    assert vectors == sorted(row["id"] for row in stored if row["doc_id"] == "d3")
    with pytest.raises(PySparkException, match=r"the document d3 has \d+ passages, .* such as d3#000000"):
        spark.sql("SELECT document_vector('d3')").collect()
    assert spark.sql("SELECT document_vector('d3#000001')").first() is not None
    weights = {row["id"]: dict(zip(row["indices"], row["values"], strict=True)) for row in stored}
    best: dict[str, float] = {}
    for one, other in product(*[[row["id"] for row in stored if (row["doc_id"] == "d3") == own] for own in (1, 0)]):
        score = sum(weight * weights[other].get(term, 0.0) for term, weight in weights[one].items())
        doc_id, _ = document_of(other)
        best[doc_id] = max(best.get(doc_id, 0.0), score)
    found = spark.sql("SELECT doc_id, score FROM similar('d3', 4) ORDER BY rank").collect()
    assert [row["doc_id"] for row in found] == sorted(best, key=lambda d: -best[d])[:4]
    assert [row["score"] for row in found] == pytest.approx(sorted(best.values())[:-5:-1], rel=1e-6)
    (own,) = spark.sql("SELECT count(*) FROM expansions WHERE doc_id = 'needle#000000'").first()
    assert own > 0


@pytest.mark.slow
def test_compacted_vectors_keep_their_passages(run_job: Any, lake: str) -> None:
    run_job("compact_vectors", lake=lake, model="splade-tiny", mantissa_bits=22, into="small")
    columns = ("id", "doc_id", "passage", "start", "end", "doc_sha256")
    before, after = (
        sorted(tuple(row[c] for c in columns) for row in table_rows(f"{lake}/vectors/{name}/documents"))
        for name in ("splade-tiny", "small")
    )
    assert before == after
    run_job("retrieve_run", lake=lake, vectors="small", k=5)
    small, whole = ([(r["doc_id"], r["passage_start"]) for r in run_of(lake, n)] for n in ("small", "splade-tiny"))
    assert small == whole
    run_job("maintain_tables", lake=lake)


def test_the_functions_split_as_the_job_does(spark: SparkSession, lake: str) -> None:
    documents = spark.read.format("delta").load(f"{lake}/documents")
    found = sl.passages(documents, model="splade-tiny", tokens=64, title="first", title_name="title").collect()
    wanted = {r["id"]: (r["doc_id"], r["start"], r["end"]) for r in table_rows(f"{lake}/vectors/splade-tiny/documents")}
    assert {r["id"]: (r["doc_id"], r["start"], r["end"]) for r in found} == wanted
    with pytest.raises(UsageError, match="wanted at most 510"):
        sl.passages(documents, model="splade-tiny", tokens=600)
    vectors = spark.read.format("delta").load(f"{lake}/vectors/splade-tiny/documents")
    columns = ("rank", "doc_id", "score", "passage", "start", "end")
    best = [tuple(row[c] for c in columns) for row in sl.search(vectors, QUESTION, 5, model="splade-tiny").collect()]
    run = ("rank", "doc_id", "score", "passage", "passage_start", "passage_end")
    assert best == [tuple(row[c] for c in run) for row in run_of(lake, "splade-tiny")]


def test_exported_vectors_of_passages_say_where_they_are(run_job: Any, lake: str, tmp_path: Path) -> None:
    done = run_job(
        "export_vectors", lake=lake, model="splade-tiny", output=str(tmp_path / "out"), output_format="parquet"
    )
    rows = table_rows(f"{lake}/vectors/splade-tiny/documents")
    assert done["rows"] == len(rows)
    found = [row for file in (tmp_path / "out").rglob("*.parquet") for row in pq.read_table(file).to_pylist()]
    columns = ("id", "doc_id", "passage", "start", "end")
    assert sorted([r[c] for c in columns] for r in found) == sorted([r[c] for c in columns] for r in rows)
    assert json.loads((tmp_path / "out" / "export.json").read_text())["passages"]["tokens"] == 64
    given = {"lake": lake, "input_format": "parquet", "vectors": "theirs", "like": "splade-tiny"}
    assert run_job("import_vectors", **given, input=str(tmp_path / "out"))["rows"] == len(rows)
    columns = ("id", "indices", "values", "doc_id", "passage", "start", "end", "model_id")
    there = table_rows(f"{lake}/vectors/theirs/documents")
    assert sorted([r[c] for c in columns] for r in there) == sorted([r[c] for c in columns] for r in rows)
    given |= {"input": str(tmp_path / "queries"), "side": "queries"}
    run_job(
        "export_vectors", lake=lake, model="splade-tiny", output=given["input"], output_format="parquet", side="queries"
    )
    run_job("import_vectors", **given)
    run_job("retrieve_run", lake=lake, vectors="theirs", k=5)
    assert [row[2:] for row in map(list, run_of(lake, "theirs"))] == [
        row[2:] for row in map(list, run_of(lake, "splade-tiny"))
    ]
    for options, said in (
        ({"input": str(tmp_path / "out")}, "come from passages"),
        ({"side": "documents"}, "whole texts"),
    ):
        with pytest.raises((UsageError, ConflictError), match=said):
            run_job("import_vectors", **{**given, **options})


def test_a_cross_encoder_reads_the_best_passage_and_the_new_run_keeps_its_place(
    run_job: Any, lake: str, tmp_path: Path
) -> None:
    model = str(write_cross_encoder(tmp_path / "cross"))
    given = {"lake": lake, "run": "splade-tiny", "cross_encoder": model, "depth": 5}
    run_job("rerank_run", **given, ranking="by-passage")
    run_job("rerank_run", **given, ranking="by-text", passages="whole")
    texts = {r["doc_id"]: (r["title"], r["text"]) for r in table_rows(f"{lake}/documents")}
    places = {r["doc_id"]: (r["passage_start"], r["passage_end"]) for r in run_of(lake, "splade-tiny")}
    pairs = [(QUESTION, f"{title} {text[a:b]}") for d, (a, b) in places.items() for title, text in [texts[d]]]
    scores = CrossEncoder(model, device="cpu").predict(pairs)
    wanted = dict(zip(places, scores.tolist(), strict=True))
    found = run_of(lake, "by-passage")
    assert {r["doc_id"]: r["score"] for r in found} == pytest.approx(wanted, abs=1e-4)
    assert {r["doc_id"]: (r["passage_start"], r["passage_end"]) for r in found} == places
    whole = {r["doc_id"]: r["score"] for r in run_of(lake, "by-text")}
    assert whole != pytest.approx(wanted, abs=1e-4)


@pytest.mark.slow
def test_the_report_shows_the_passage_with_its_terms(spark: SparkSession, run_job: Any, lake: str) -> None:
    for name in ("cut", "splade-tiny"):
        run_job("evaluate_run", lake=lake, ranking=name, measures="ndcg@10,mrr@10")
    data = gather(spark, Lake(lake), runs=["cut", "splade-tiny"], measure="mrr@10", queries=3)
    (hit,) = [h for q in data.differing for h in q.better.hits if h.doc_id == "needle"]
    assert NEEDLE[:20] in hit.text
    assert len(hit.text) < 1_000
    assert "zebra" in dict(hit.terms)
