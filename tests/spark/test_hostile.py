"""Texts, ids and paths made to be taken for SQL, HTML or a log line are data everywhere, and no text is logged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spladelake.cli import main
from spladelake.spark.tables.sql_text import quoted, sql_string
from support.collections import write_lines
from support.ledger import LEDGER
from support.tables import table_rows

pytestmark = pytest.mark.faults
SECRET = "Zq7secretword"
HOSTILE = [
    "'; DROP TABLE documents; --",
    '"><script>alert(1)</script>',
    "`back`tick`",
    "back\\slash \\' \\u0027",
    "${jndi:ldap://127.0.0.1/x} ${spark.app.name} ${env:PATH}",
    "{{ 7 * 7 }} {% raw %}",
    "%s %n %(x)s {0}",
    "../../../etc/passwd",
    "\u202egnidaer morf thgir ot tfel",
    "[red]markup[/red] \u001b[31m",
]


@settings(max_examples=5)
@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=20))
def test_any_text_is_itself_as_a_sql_literal_and_as_an_identifier(spark: SparkSession, texts: list[str]) -> None:
    given_texts = [*HOSTILE, *texts]
    LEDGER.tried("text put into SQL", len(given_texts))
    row = spark.sql(f"SELECT {', '.join(map(sql_string, given_texts))}").first()
    assert row is not None
    assert list(row) == given_texts
    names = spark.sql(f"SELECT {', '.join(f'1 AS {quoted(name)}' for name in given_texts)}").columns
    assert names == given_texts


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_hostile_ids_texts_and_paths_go_through_every_job_as_data_and_no_text_is_logged(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    lake = str(tmp_path / 'o\'brien `x` "q"; DROP -- 100%+é')
    texts = [f"{SECRET} {hostile} bread and water" for hostile in HOSTILE]
    write_lines(tmp_path / "corpus.jsonl", [
        *({"_id": i, "title": i, "text": t} for i, t in zip(HOSTILE, texts, strict=True)),
        {"text": f"{SECRET} without an id"}, f'{{"_id": "broken", "text": "{SECRET}" "{SECRET}"}}',
        {"_id": "large", "text": f"{SECRET} " * 1000},
    ])  # fmt: skip
    LEDGER.tried("hostile ids and texts", len(HOSTILE))
    write_lines(tmp_path / "queries.jsonl", [{"_id": i, "text": t} for i, t in zip(HOSTILE, texts, strict=True)])
    write_lines(tmp_path / "qrels.txt", [f"{i} 0 {i} 1" for i in ("`back`tick`", "../../../etc/passwd")])
    files = ["--documents", "corpus.jsonl", "--queries", "queries.jsonl", "--judgements", "qrels.txt"]
    inputs = [str(tmp_path / word) if "." in word else word for word in files]
    model = ["--model", "splade-tiny"]
    for command in (
        ["ingest_texts", *inputs, "--max-rejected", "0.5"],
        ["encode_texts", *model, "--max-text-bytes", "5000", "--max-rejected", "0.5"],
        ["retrieve_run", *model, "--k", "20"],
        ["evaluate_run", *model],
        ["quarantine", "show"],
        ["report", "--out", str(tmp_path / "report.html")],
    ):
        assert main([*command, "--lake", lake]) == 0, command
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err + caplog.text
    assert "\u001b[31m" not in printed.err
    vectors = table_rows(f"{lake}/vectors/splade-tiny/documents")
    assert {row["id"] for row in vectors} == set(HOSTILE)
    LEDGER.compared([row["id"] for row in vectors], HOSTILE)
    found = table_rows(f"{lake}/runs")
    assert {row["doc_id"] for row in found} == {row["query_id"] for row in found} == set(HOSTILE)
    log = [json.dumps(row.asDict(), default=str) for row in table_rows(f"{lake}/run_log")]
    assert len(log) == 4
    assert SECRET not in "".join(log)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    export = ["export_run", "--lake", lake, "--run-id", "splade-tiny", "--output", str(tmp_path / "run.trec")]
    assert main(export) == 3, "an id with spaces would shift the columns of a TREC file"
    assert not (tmp_path / "run.trec").exists()
