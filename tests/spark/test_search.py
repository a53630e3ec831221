"""A question in free text finds what the retrieval job finds for the same words, with titles and terms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from sentence_transformers import SparseEncoder

from spladelake.cli import main
from spladelake.display.results import hits_table
from spladelake.encoder import resolve_checkpoint
from spladelake.errors import DataError, UsageError
from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.texts import encoded, hashed, spread
from spladelake.spark.encode.vectorisers import vectoriser_of
from spladelake.spark.encode.worker import EncodeBatches
from spladelake.spark.retrieve import driver_search
from spladelake.spark.retrieve.indexed_search import indexed_collection
from spladelake.spark.retrieve.search import encoded_beside, search_documents, search_folder
from spladelake.spark.session.totals import Totals
from spladelake.spark.sql import install
from support.cases import mostly_slow
from support.checkpoints import edit
from support.collections import FRUIT, QUESTIONS
from support.documents import write_documents, write_queries
from support.families import bert
from support.tables import table_rows


def test_search_ranks_as_the_job_does_and_its_terms_add_up(spark: SparkSession, run_job: Any, fruit_lake: str) -> None:
    run_job("retrieve_run", lake=fruit_lake, model="splade-tiny", run_id="searched", k=3)
    rows = table_rows(f"{fruit_lake}/runs", run_id="searched", query_id="q1")
    rows.sort(key=lambda row: row["rank"])
    hits = search_documents(spark, QUESTIONS["q1"], lake=fruit_lake, model="splade-tiny", k=3, terms=100)
    assert [(hit["doc_id"], hit["rank"]) for hit in hits] == [(row["doc_id"], row["rank"]) for row in rows]
    job_scores = [row["score"] for row in rows]
    assert [hit["score"] for hit in hits] == pytest.approx(job_scores, abs=1e-4)  # of texts encoded in other batches
    for hit in hits:
        assert sum(hit["terms"].values()) == pytest.approx(hit["score"], rel=1e-9)
        assert list(hit["terms"].values()) == sorted(hit["terms"].values(), reverse=True)
    assert {"fruit", "juice", "pressed"} <= set(hits[0]["terms"])


@pytest.fixture
def by_workers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have workers rank from now on, as they do large collections."""
    return lambda: monkeypatch.setattr(driver_search, "MOST_BYTES", -1)


@pytest.mark.parametrize("model", mostly_slow(["splade-tiny", "bm25"], 0))
def test_the_driver_answers_with_and_without_spark_what_workers_answer_to_the_last_bit(
    spark: SparkSession, run_job: Any, fruit_lake: str, by_workers: Callable[[], None], model: str
) -> None:
    run_job("encode_texts", lake=fruit_lake, model=model)
    asked = [
        {"text": "which fruit is pressed for juice by the river", "k": 50, "terms": 100},
        {"text": QUESTIONS["q1"], "k": 2, "terms": 2},
        {"text": "zebras", "k": 1, "terms": 0},
        {"text": "", "k": 1, "terms": 1},
    ]
    folder = [search_folder(lake=fruit_lake, model=model, **one) for one in asked]
    driver = [search_documents(spark, lake=fruit_lake, model=model, **one) for one in asked]
    by_workers()
    assert search_folder("fruit", lake=fruit_lake, model=model) is None
    workers = [search_documents(spark, lake=fruit_lake, model=model, **one) for one in asked]
    assert folder == driver == workers
    assert any(len(hits) > 1 for hits in workers)


def test_the_index_answers_as_the_vectors_do_and_never_when_it_is_behind_them(
    spark: SparkSession, run_job: Any, own_fruit_lake: str
) -> None:
    lake, question = own_fruit_lake, "which fruit is pressed for juice by the river"
    sessions = {"joined": spark.newSession(), "indexed": spark.newSession()}
    by_folder = search_folder(question, lake=lake, model="splade-tiny", k=4)

    def check(*, current: bool) -> list[dict[str, Any]]:
        assert (indexed_collection(lake, "splade-tiny") is not None) == current
        hits = search_documents(spark, question, lake=lake, model="splade-tiny", k=4)
        assert search_folder(question, lake=lake, model="splade-tiny", k=4) == hits
        return hits

    def check_sql(hits: list[dict[str, Any]]) -> None:
        rows = {}
        for name, session in sessions.items():
            found = [session.sql(f"SELECT * FROM {call}").collect() for call in (f"search('{question}', 4)", similar)]
            rows[name] = [[row.asDict() for row in one] for one in found]
        assert rows["indexed"] == rows["joined"]
        found = [(hit["rank"], hit["doc_id"], hit["score"]) for hit in hits]
        assert found == [(row["rank"], row["doc_id"], row["score"]) for row in rows["joined"][0]] != []

    similar = "similar('apple', 3)"
    install(sessions["joined"], lake=lake, model="splade-tiny")
    run_job("index_vectors", lake=lake, model="splade-tiny")
    install(sessions["indexed"], lake=lake, model="splade-tiny")
    plans = {name: session.sql(f"SELECT * FROM {similar}") for name, session in sessions.items()}
    shown = {name: plan._jdf.queryExecution().toString() for name, plan in plans.items()}
    assert ["similar_index" in shown[name] for name in ("joined", "indexed")] == [False, True]
    assert check(current=True) == by_folder
    check_sql(by_folder)
    texts = {**FRUIT, "mouse": "A mouse drinks juice.", "pear": "Pears are pressed into juice, too."}
    write_documents(spark, lake, {name: text for name, text in texts.items() if name != "river"})
    run_job("encode_texts", lake=lake, model="splade-tiny", side="documents")
    changed = check(current=False)
    check_sql(changed)
    assert {hit["doc_id"] for hit in changed} & {"pear", "river"} == {"pear"}
    run_job("index_vectors", lake=lake, model="splade-tiny")
    assert check(current=True) == changed
    run_job("maintain_tables", lake=lake, cluster=True)
    assert check(current=False) == changed
    run_job("index_vectors", lake=lake, model="splade-tiny")
    assert check(current=True) == changed


@pytest.mark.slow
def test_the_drivers_vector_of_a_question_is_the_workers(spark: SparkSession) -> None:
    totals = spark.sparkContext.accumulator({}, Totals())
    in_worker = EncodeBatches(WorkerSpec(resolve_checkpoint("splade-tiny"), None), "query", totals)
    for text in ("which fruit is pressed for juice", "", "straße"):
        rows = spark.createDataFrame([("q", text)], "id string, text string")
        row = encoded(spread(hashed(rows), 1), in_worker).first()
        found = vectoriser_of("splade-tiny").question(text)
        assert row is not None
        assert (row["indices"], row["values"]) == (found.vector.indices.tolist(), found.vector.values.tolist())
        assert row["model_id"] == found.model_id


def test_a_condition_is_met_by_what_the_driver_ranks_as_by_what_workers_rank(
    spark: SparkSession, fruit_lake: str, by_workers: Callable[[], None]
) -> None:
    asked = {"lake": fruit_lake, "model": "splade-tiny", "where": "doc_id <> 'apple'"}
    driver = search_documents(spark, "which fruit", **asked)
    by_workers()
    assert driver == search_documents(spark, "which fruit", **asked) != []


def test_a_condition_searches_only_the_documents_that_meet_it(spark: SparkSession, fruit_lake: str) -> None:
    every = search_documents(spark, "which fruit", lake=fruit_lake, model="splade-tiny")
    some = search_documents(spark, "which fruit", lake=fruit_lake, model="splade-tiny", where="doc_id <> 'apple'")
    assert [hit["doc_id"] for hit in some] == [hit["doc_id"] for hit in every if hit["doc_id"] != "apple"]
    assert len(some) == len(every) - 1
    with pytest.raises(UsageError, match="the table has no column 'nothing'; wanted doc_id, title or text"):
        search_documents(spark, "x", lake=fruit_lake, model="splade-tiny", where="nothing here")


def test_the_command_prints_scores_ids_and_terms_and_returns_all_as_json(
    spark: SparkSession, fruit_lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", QUESTIONS["q1"], "--lake", fruit_lake, "--model", "splade-tiny", "-k", "2"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out.splitlines()[-1])
    hits = search_documents(spark, QUESTIONS["q1"], lake=fruit_lake, model="splade-tiny", k=2)
    assert result["hits"] == hits
    assert len(hits) == 2
    for hit in hits:
        assert f"{hit['score']:.2f}" in printed.err
        assert hit["doc_id"] in printed.err
        assert next(iter(hit["terms"])) in printed.err


def test_a_question_without_terms_finds_nothing_and_says_so(spark: SparkSession, fruit_lake: str) -> None:
    assert search_documents(spark, "", lake=fruit_lake, model="splade-tiny") == []
    assert "no document shares a term" in str(hits_table("[b]x", []).title)


def test_a_lake_without_the_models_vectors_is_refused(spark: SparkSession, fruit_lake: str) -> None:
    with pytest.raises(DataError, match="there is no vectors table"):
        search_documents(spark, "x", lake=fruit_lake, model="splade-tiny", vectors="other")


def test_bm25_is_searched_by_its_own_words(spark: SparkSession, run_job: Any, fruit_lake: str) -> None:
    run_job("encode_texts", lake=fruit_lake, model="bm25")
    (first, *_) = search_documents(spark, "Baked BREAD and zebras", lake=fruit_lake, model="bm25")
    assert first["doc_id"] == "bread"
    assert set(first["terms"]) == {"bake", "bread"}


def scores_by_sentence_transformers(folder: Path, documents: dict[str, str], question: str) -> dict[str, float]:
    """Scores above 0 of a question by the model in `queries`, and of documents by the one in `documents`."""
    asked = SparseEncoder(str(folder / "queries"), device="cpu").encode_query(
        [question], convert_to_sparse_tensor=False
    )
    texts = list(documents.values())
    rows = SparseEncoder(str(folder / "documents"), device="cpu").encode_document(texts, convert_to_sparse_tensor=False)
    scores = (asked @ rows.T)[0].tolist()
    return {i: score for i, score in zip(documents, scores, strict=True) if score > 0}


def found(hits: list[dict[str, Any]] | None) -> dict[str, float]:
    assert hits is not None
    return {hit["doc_id"]: hit["score"] for hit in hits}


TEXTS = {"a": "common law warranty", "b": "the terms of a text"}


@pytest.fixture
def pair(spark: SparkSession, run_job: Any, lake: str, tmp_path: Path) -> dict[str, Any]:
    """Options of jobs on a lake whose vectors `pair` were made by the models in two folders of tmp_path."""
    model, queries = bert(tmp_path / "documents"), bert(tmp_path / "queries", hidden_size=16, num_hidden_layers=1)
    pair: dict[str, Any] = {"lake": lake, "model": str(model), "vectors": "pair"}
    write_documents(spark, lake, TEXTS)
    write_queries(spark, lake, {"q": "sparse vectors"})
    run_job("encode_texts", **pair, query_model=str(queries))
    return pair


def test_questions_use_the_query_model_that_the_vectors_were_made_with(
    spark: SparkSession, pair: dict[str, Any], tmp_path: Path
) -> None:
    model, queries = Path(pair["model"]), tmp_path / "queries"
    by_folder = search_folder("law", **pair)
    assert found(by_folder) == pytest.approx(scores_by_sentence_transformers(tmp_path, TEXTS, "law"), rel=1e-4)
    beside = encoded_beside("law", **pair)
    # As if the lake were out of the reach of what encodes while Spark starts.
    plain = encoded_beside("law", str(model), lake="schema:elsewhere")
    for encoded_before in (None, beside, plain):
        assert search_documents(spark, "law", **pair, encoded=encoded_before) == by_folder
    with pytest.raises(UsageError, match="bm25 is not a SPLADE model"):
        search_folder("law", **pair, query_model="bm25")
    said = r"the model_id of .*/documents for documents and .*/documents for queries, both with default settings"
    with pytest.raises(DataError, match=said):
        search_folder("law", **pair, query_model=str(model))
    queries.rename(tmp_path / "elsewhere")
    said = r"vectors/pair/documents: this table names the query model .*, which cannot be used: .* set --query-model to"
    with pytest.raises(UsageError, match=said):
        search_folder("law", **pair)
    assert search_folder("law", **pair, query_model=str(tmp_path / "elsewhere")) == by_folder


@pytest.mark.slow
def test_updates_runs_and_exports_use_the_query_model_that_the_vectors_were_made_with(
    spark: SparkSession, run_job: Any, lake: str, pair: dict[str, Any], tmp_path: Path
) -> None:
    texts, before = TEXTS | {"c": "numbers and symbols"}, table_rows(f"{lake}/vectors/pair/documents")
    write_documents(spark, lake, texts)
    updated = run_job("encode_texts", **pair)
    assert (updated["query_model"], updated["model_id"]) == (str(tmp_path / "queries"), before[0]["model_id"])
    assert (updated["documents"]["rows"], updated["documents"]["kept"]) == (1, 2)
    assert updated["queries"]["status"] == "skipped"
    run_job("retrieve_run", lake=lake, vectors="pair")
    rows = table_rows(f"{lake}/runs")
    wanted = scores_by_sentence_transformers(tmp_path, texts, "sparse vectors")
    assert {row["doc_id"]: row["score"] for row in rows} == pytest.approx(wanted, rel=1e-4)
    exported = {"output": str(tmp_path / "out"), "output_format": "seismic"}
    run_job("export_vectors", lake=lake, vectors="pair", **exported)
    read = {"input": str(tmp_path / "out"), "input_format": "seismic", "like": "pair"}
    run_job("import_vectors", lake=lake, vectors="back", **read)
    assert search_folder("law", **{**pair, "vectors": "back"}) == search_folder("law", **pair) != []


@pytest.mark.slow
def test_sql_encodes_questions_by_the_query_model_and_terms_by_the_document_model(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    model, queries = bert(tmp_path / "documents"), bert(tmp_path / "queries", hidden_size=16, num_hidden_layers=1)
    edit(tmp_path / "queries" / "tokenizer_config.json", model_max_length=5)
    write_documents(spark, lake, {"a": "common law warranty"})
    run_job("encode_texts", lake=lake, model=str(model), query_model=str(queries), side="documents")
    session, text = spark.newSession(), "sparse vectors name the terms of a text"
    assert {"encode_query", "text_terms"} <= set(install(session, lake=lake, model=str(model)).names)
    row = session.sql(f"SELECT encode_query('{text}') AS v, size(text_terms('{text}')) AS terms").first()
    assert row is not None
    wanted = SparseEncoder(str(queries), device="cpu").encode_query([text], convert_to_sparse_tensor=False)[0]
    found = dict(zip(row["v"]["indices"], row["v"]["values"], strict=True))
    assert found == pytest.approx({i: w for i, w in enumerate(wanted.tolist()) if w > 0}, abs=1e-4)
    assert row["terms"] > 5


@pytest.mark.slow
def test_vectors_of_one_name_have_one_query_model_unless_the_user_names_the_vectors(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    model, queries = str(bert(tmp_path / "m")), str(bert(tmp_path / "q", hidden_size=16, num_hidden_layers=1))
    write_queries(spark, lake, {"q": "sparse vectors"})
    of_queries = {"lake": lake, "model": model, "side": "queries"}
    alone = run_job("encode_texts", **of_queries)
    with pytest.raises(UsageError, match=r"go with queries encoded by .*/m; .* --vectors, or correct --query"):
        run_job("encode_texts", **of_queries, query_model=queries)
    pair = run_job("encode_texts", **of_queries, query_model=queries, vectors="m")
    assert pair["model_id"] not in (alone["model_id"], resolve_checkpoint(queries).model_id)
    again = run_job("encode_texts", **of_queries, query_model=model, vectors="m")
    assert (again["model_id"], again.get("query_model")) == (alone["model_id"], None)
    assert run_job("encode_texts", **of_queries)["status"] == "skipped"
