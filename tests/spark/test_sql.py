"""The tables in SQL answer as the jobs do, and what they cannot answer is an error that says what to do."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
from click.testing import CliRunner
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spladelake.cli import cli, main
from spladelake.encoder import SpladeEncoder
from spladelake.errors import DataError
from spladelake.spark.retrieve.search import search_documents
from spladelake.spark.session.delta_classes import SETTINGS as DELTA_SETTINGS
from spladelake.spark.session.jars import delta_jars
from spladelake.spark.session.settings import session_settings
from spladelake.spark.sql import install, script
from spladelake.spark.sql.failures import statement_error
from support.cases import mostly_slow
from support.collections import FRUIT, QUESTIONS
from support.pages import blocks

# In plans that are wholly interpreted, as tests have them, Spark cannot list a catalog, and wraps an error once more.
PLANS_OF_USERS = {"spark.sql.adaptive.enabled": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}


@pytest.fixture(scope="module", autouse=True)
def plans_of_users(spark: SparkSession) -> Iterator[None]:
    with session_settings(spark, PLANS_OF_USERS):
        yield


@pytest.fixture(scope="module")
def asked(spark: SparkSession, run_job: Any, fruit_lake: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The fruit lake with a measured run, its views and functions defined."""
    lake = str(tmp_path_factory.mktemp("sql") / "lake")
    shutil.copytree(fruit_lake, lake)
    run_job("retrieve_run", lake=lake, model="splade-tiny", k=5)
    run_job("evaluate_run", lake=lake, model="splade-tiny")
    installed = install(spark, lake=lake, model="splade-tiny")
    return lake, installed


def rows(spark: SparkSession, statement: str) -> list[dict[str, Any]]:
    return [row.asDict(recursive=True) for row in spark.sql(statement).collect()]


def test_everything_is_defined_and_documented(spark: SparkSession, asked: Any) -> None:
    _, installed = asked
    assert installed.missing == {}
    views = [table.name for table in spark.catalog.listTables() if table.name in installed.names]
    assert len(views) == 15
    for name in views:
        described = [row for row in rows(spark, f"DESCRIBE {name}") if not row["col_name"].startswith("#")]
        assert described
        assert all(row["comment"] for row in described), name
    for name in ("sparse_dot", "sparse_decode", "explain", "search", "similar"):
        shown = "\n".join(row["function_desc"] for row in rows(spark, f"DESCRIBE FUNCTION {name}"))
        assert name in shown


def test_search_ranks_as_the_command_and_the_vectors_of_the_worker_do(spark: SparkSession, asked: Any) -> None:
    lake, _ = asked
    found = rows(spark, f"SELECT * FROM search('{QUESTIONS['q1']}', 3)")
    hits = search_documents(spark, QUESTIONS["q1"], lake=lake, model="splade-tiny", k=3)
    assert [(row["rank"], row["doc_id"], row["score"]) for row in found] == [
        (hit["rank"], hit["doc_id"], hit["score"]) for hit in hits
    ]
    assert found[0]["text"] == FRUIT["apple"]
    plan = spark.sql("SELECT * FROM search('which fruit', 3)")._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("ArrowEvalPython") == 1  # the question is encoded once


def test_similar_leaves_out_the_document_itself_and_scores_by_dot_product(spark: SparkSession, asked: Any) -> None:
    found = rows(spark, "SELECT * FROM similar('bread', 10)")
    wanted = rows(
        spark,
        "SELECT d.id AS doc_id, sparse_dot(b.indices, b.`values`, d.indices, d.`values`) AS score "
        "FROM document_vectors b JOIN document_vectors d ON d.id <> b.id "
        "WHERE b.id = 'bread' ORDER BY score DESC, d.id",
    )
    assert [(row["doc_id"], row["score"]) for row in found] == [(r["doc_id"], r["score"]) for r in wanted if r["score"]]
    assert "bread" not in {row["doc_id"] for row in found}


def test_sparse_dot_is_the_score_of_the_run_to_the_last_bit(spark: SparkSession, asked: Any) -> None:
    both = rows(
        spark,
        "SELECT score, sparse_dot(q.indices, q.`values`, d.indices, d.`values`) AS dot FROM runs "
        "JOIN query_vectors q ON q.id = query_id JOIN document_vectors d ON d.id = doc_id",
    )
    assert len(both) >= 6
    assert all(row["score"] == row["dot"] for row in both)


def test_an_explanation_adds_up_to_the_score(spark: SparkSession, asked: Any) -> None:
    (run,) = rows(spark, "SELECT score FROM runs WHERE query_id = 'q1' AND doc_id = 'apple'")
    terms = rows(spark, "SELECT * FROM explain('q1', 'apple')")
    assert sum(term["contribution"] for term in terms) == pytest.approx(run["score"], rel=1e-12)
    assert sum(term["share"] for term in terms) == pytest.approx(1)
    assert {"fruit", "juice"} <= {term["token"] for term in terms}


def test_decoded_vectors_and_term_views_are_the_encoders(spark: SparkSession, asked: Any) -> None:
    encoder = SpladeEncoder.load("splade-tiny", device="cpu")
    (wanted,) = encoder.decode(encoder.encode_documents([FRUIT["river"]]), top_k=8)
    (found,) = rows(spark, "SELECT sparse_decode(indices, `values`, 8) AS t FROM document_vectors WHERE id = 'river'")
    ranked = rows(spark, "SELECT token, weight FROM document_terms WHERE doc_id = 'river' AND rank <= 8 ORDER BY rank")
    assert [term["token"] for term in found["t"]] == [token for token, _ in wanted] == [row["token"] for row in ranked]
    assert [term["weight"] for term in found["t"]] == pytest.approx([weight for _, weight in wanted], abs=1e-5)


def test_term_statistics_count_the_postings(spark: SparkSession, asked: Any) -> None:
    vectors = rows(spark, "SELECT indices, `values` FROM document_vectors")
    weights: dict[int, list[float]] = {}
    for row in vectors:
        for term, weight in zip(row["indices"], row["values"], strict=True):
            weights.setdefault(term, []).append(weight)
    found = {row["term_id"]: row for row in rows(spark, "SELECT * FROM term_statistics")}
    assert found.keys() == weights.keys()
    for term, of_term in weights.items():
        assert found[term]["df"] == len(of_term)
        assert found[term]["max_weight"] == max(of_term)
        assert found[term]["mean_weight"] == pytest.approx(sum(of_term) / len(of_term))


def test_expansions_are_the_terms_that_the_tokenizer_does_not_find_in_the_text(spark: SparkSession, asked: Any) -> None:
    from transformers import AutoTokenizer

    from spladelake.encoder import resolve_checkpoint

    tokenizer = AutoTokenizer.from_pretrained(resolve_checkpoint("splade-tiny").folder)
    own = set(tokenizer.tokenize(FRUIT["apple"])) | {tokenizer.cls_token, tokenizer.sep_token}
    all_terms = {row["token"] for row in rows(spark, "SELECT token FROM document_terms WHERE doc_id = 'apple'")}
    found = {row["token"] for row in rows(spark, "SELECT token FROM expansions WHERE doc_id = 'apple'")}
    assert found == all_terms - own
    assert found


def test_runs_are_shown_with_their_texts_and_measures_as_columns(spark: SparkSession, asked: Any) -> None:
    (first, *_) = rows(spark, "SELECT * FROM runs_with_text WHERE query_id = 'q1' ORDER BY rank")
    assert (first["query"], first["doc_id"], first["relevance"]) == (QUESTIONS["q1"], "apple", 2)
    (wide,) = rows(spark, "SELECT * FROM measures_wide")
    long = {r["measure"]: r["value"] for r in rows(spark, "SELECT measure, value FROM measures WHERE query_id IS NULL")}
    assert {name: value for name, value in wide.items() if name != "run_id"} == long


@pytest.mark.parametrize(
    ("statement", "said"),
    mostly_slow([
        ("SELECT sparse_dot(array(1, 2), array(1F), array(1), array(1F))", "first vector has 2 indices and 1 values"),
        ("SELECT sparse_dot(array(1), array(1F), null, array(1F))", "an array is null"),
        (
            "SELECT sparse_dot(array(1), array(CAST(null AS FLOAT)), array(1), array(1F))",
            "a weight or an index is null",
        ),
        ("SELECT sparse_dot(array(1, 2), array(1F, null), array(1), array(1F))", "a weight or an index is null"),
        ("SELECT sparse_dot(array(1, null), array(1F, 1F), array(1), array(1F))", "a weight or an index is null"),
        ("SELECT sparse_decode(array(1, 2), array(1F, null), 3)", "a weight is null"),
        ("SELECT * FROM search(' ', 3)", "search: the question is blank"),
        ("SELECT sparse_dot(array(1, 1), array(1F, 1F), array(1), array(1F))", "a term occurs twice"),
        ("SELECT sparse_dot('a', array(1F), array(1), array(1F))", 'cannot cast "STRING" to "ARRAY<INT>"'),
        ("SELECT sparse_dot(array(1), array(1F))", "sparse_dot"),
        ("SELECT sparse_decode(array(1), array(1F, 2F), 3)", "1 indices and 2 values"),
        ("SELECT sparse_decode(array(99999999), array(1F), 3)", "the vocabulary has no term id 99999999"),
        ("SELECT sparse_decode(array(1), array(1F), 0)", "k is 0"),
        ("SELECT * FROM explain('q1', 'nothing')", "no vector of a document with the id 'nothing'"),
        ("SELECT * FROM explain('q9', 'apple')", "no vector of a query with the id 'q9'"),
        ("SELECT * FROM similar('nothing', 3)", "no vector of a document with the id 'nothing'"),
        ("SELECT * FROM similar('apple', 0)", "similar: k is 0; wanted 1 to 10000"),
        ("SELECT * FROM search('fruit', null)", "search: k is null"),
        ("SELECT * FROM search(null, 3)", "search: the question is null"),
        ("SELECT * FROM search('fruit', 'many')", "many"),
        ("SELECT * FROM serch('fruit', 3)", "serch"),
        ("SELEKT 1", "SELEKT"),
        ("SELECT nothing FROM postings", "nothing"),
    ], 0, 2, 6, 10, 13, 15, 17, 20, 21),
)  # fmt: skip
def test_what_cannot_be_answered_is_an_error_that_names_it(
    spark: SparkSession, asked: Any, statement: str, said: str
) -> None:
    with pytest.raises(PySparkException) as raised:
        spark.sql(statement).collect()
    told = statement_error(raised.value, missing={})
    assert said in str(told)
    assert told.exit_code == 2
    assert len(str(told)) < 600
    assert "Project" not in str(told)


def test_a_lake_without_runs_or_with_another_model_says_what_is_missing(
    spark: SparkSession, asked: Any, fruit_lake: str, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(f"{asked[0]}/documents", lake / "documents")
    session = spark.newSession()
    installed = install(session, lake=str(lake), model="splade-tiny")
    assert "encode_texts" in installed.missing["search"].fix
    assert "retrieve_run" in installed.missing["runs_with_text"].fix
    assert {"documents", "sparse_dot"} <= set(installed.names)
    with pytest.raises(PySparkException) as raised:
        session.sql("SELECT * FROM search('fruit', 3)")
    told = str(statement_error(raised.value, missing=installed.missing))
    assert told.startswith("search: spladelake sql could not define this name, because it needs encode_query, and ")
    assert "Run `spladelake encode_texts" in told
    with pytest.raises(DataError, match="no table of spladelake"):
        install(session, lake=str(tmp_path / "absent"), model="splade-tiny")


@pytest.mark.slow
def test_questions_and_documents_of_two_models_are_refused_also_where_the_vectors_changed_since(
    spark: SparkSession, asked: Any, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(asked[0], lake)
    session = spark.newSession()
    install(session, lake=str(lake), model="splade-tiny")
    vectors = f"delta.`{lake}/vectors/splade-tiny/documents`"
    session.sql(f"UPDATE {vectors} SET model_id = 'another' WHERE id = 'river'")
    with pytest.raises(PySparkException) as raised:
        session.sql("SELECT * FROM search('water', 3)").collect()
    assert "the document 'river' was encoded by the model another" in str(statement_error(raised.value, missing={}))


def test_what_does_not_fit_is_an_error_in_a_session_without_ansi_too(spark: SparkSession, asked: Any) -> None:
    session = spark.newSession()
    session.conf.set("spark.sql.ansi.enabled", "false")
    install(session, lake=asked[0], model="splade-tiny")
    assert session.conf.get("spark.sql.ansi.enabled") == "false"
    for weight in ("float('NaN')", "float('Infinity')", "3e30F"):
        with pytest.raises(PySparkException):
            session.sql(f"SELECT sparse_dot(array(1), array({weight}), array(1), array(1F))").collect()


@pytest.mark.slow
def test_the_command_writes_csv_and_json_and_ends_with_2_for_a_wrong_statement(
    asked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sql", "--lake", asked[0], "--model", "splade-tiny"]
    statement = "SELECT doc_id, text, array(1, 2) AS both FROM documents WHERE doc_id = 'bread'"
    assert main([*arguments, "-e", statement, "--output", "csv"]) == 0
    header, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert (header, row) == (["doc_id", "text", "both"], ["bread", FRUIT["bread"], "[1, 2]"])
    assert main([*arguments, "-e", statement + ";", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"doc_id": "bread", "text": FRUIT["bread"], "both": [1, 2]}
    assert main([*arguments, "-e", "SELECT * FROM explain('q1', 'nothing')"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["exit_code"] == 2
    assert "no vector of a document with the id 'nothing'" in captured.err
    assert main([*arguments, "-e", "SELECT 1 AS n, 2 AS n, struct(3 AS n, 4 AS n) AS s", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"n": 1, "n_2": 2, "s": {"n": 3, "n_2": 4}}
    quiet = [*arguments, "-e", "CREATE OR REPLACE TEMPORARY VIEW one AS SELECT 1 AS n", "--output", "csv"]
    assert main([*quiet, "-e", "SELECT n FROM one WHERE n > 1"]) == 0
    assert capsys.readouterr().out == "n\n"  # a statement without columns writes nothing, one without rows its header
    piped = CliRunner().invoke(cli, arguments, input="SELECT 1 AS one;\nSELECT\n2 AS two\n;\n;\n-- the end /* */\n")
    assert piped.exit_code == 0, piped.output
    assert "one" in piped.output
    assert "two" in piped.output


def test_the_sql_file_defines_the_same_without_python(spark: SparkSession, asked: Any) -> None:
    text = script(spark, lake=asked[0], model="splade-tiny")
    assert "encode_query" not in text
    session = spark.newSession()
    for statement in text.split(";\n"):
        if "CREATE" in statement:
            session.sql(statement)
    assert session.sql("SELECT * FROM explain('q1', 'apple')").count() >= 2
    assert session.sql("SELECT * FROM similar('apple', 2)").count() == 2
    others = f"SELECT * EXCEPT (model_id), 'other' AS model_id FROM delta.`{asked[0]}/vectors/splade-tiny/queries`"
    session.sql(f"CREATE OR REPLACE TEMPORARY VIEW query_vectors AS {others}")
    with pytest.raises(PySparkException, match="explain: the query is encoded by the model other"):
        session.sql("SELECT * FROM explain('q1', 'apple')").collect()


@pytest.mark.slow
def test_spark_sql_runs_the_file(spark: SparkSession, asked: Any, tmp_path: Path) -> None:
    file = tmp_path / "explore.sql"
    question = "SELECT concat('found ', doc_id) FROM similar('apple', 1);\n"
    file.write_text(script(spark, lake=asked[0], model="splade-tiny") + question, encoding="utf-8")
    settings = {**DELTA_SETTINGS, "spark.sql.catalogImplementation": "in-memory", "spark.ui.enabled": "false"}
    home = Path(pyspark.__file__).parent
    command = [str(home / "bin" / "spark-sql"), "--master", "local[1]"]
    command += ["--jars", ",".join(map(str, delta_jars())), "-f", str(file)]
    for key, value in settings.items():
        command += ["--conf", f"{key}={value}"]
    env = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (wanted,) = rows(spark, "SELECT doc_id FROM similar('apple', 1)")
    assert f"found {wanted['doc_id']}" in done.stdout


# Ids of the page's examples, and what stands for them in the lake of this test.
EXAMPLES = {"shutil.copytree": "bread", "shutil.copy2": "apple", "q:shutil.copytree": "q3"}
ASKED = [s.strip() for block in blocks("sql") if block.language == "sql" for s in block.code.split(";\n")]


@pytest.mark.parametrize(
    "statement", mostly_slow(ASKED, *range(0, 99, 5)), ids=lambda text: re.sub(r"\W+", "-", text)[:50]
)
def test_every_question_of_the_page_has_an_answer(spark: SparkSession, asked: Any, statement: str) -> None:
    for name, instead in EXAMPLES.items():
        statement = statement.replace(f"'{name}'", f"'{instead}'")
    found = spark.sql(statement)
    assert found.columns
    assert found.count() >= 1
