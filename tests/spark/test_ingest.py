"""What is read is kept: every record of an input is a row of a table or a row of quarantine with its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from spladelake.errors import DataError, UsageError
from spladelake.spark.session.failures import known_error
from support.cases import mostly_slow
from support.collections import FRUIT, QUESTIONS, RELEVANT, write_fruit, write_lines
from support.tables import table_rows


def table(spark: SparkSession, lake: str, name: str) -> list[dict[str, Any]]:
    return [row.asDict() for row in table_rows(f"{lake}/{name}")]


def texts(spark: SparkSession, lake: str) -> dict[str, str]:
    return {row["doc_id"]: row["text"] for row in table(spark, lake, "documents")}


def history(spark: SparkSession, path: str) -> int:
    return spark.sql(f"DESCRIBE HISTORY delta.`{path}`").count()


def test_a_beir_folder_becomes_three_tables(spark: SparkSession, run_job: Any, lake: str, tmp_path: Path) -> None:
    result = run_job("ingest_texts", lake=lake, source=str(write_fruit(tmp_path / "fruit")))
    assert texts(spark, lake) == FRUIT
    assert {r["query_id"]: r["text"] for r in table(spark, lake, "queries")} == QUESTIONS
    judged = {(r["query_id"], r["doc_id"]): r["relevance"] for r in table(spark, lake, "judgements")}
    assert judged == RELEVANT
    assert [result[kind]["rejected"] for kind in ("documents", "queries", "judgements")] == [0, 0, 0]


def test_a_second_run_writes_nothing_and_a_changed_file_is_read_again(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    source = write_fruit(tmp_path / "fruit")
    run_job("ingest_texts", lake=lake, source=str(source))
    commits = history(spark, f"{lake}/documents")
    assert run_job("ingest_texts", lake=lake, source=str(source))["status"] == "skipped"
    assert history(spark, f"{lake}/documents") == commits
    write_lines(source / "corpus.jsonl", [{"_id": "apple", "title": "", "text": "Only apples now."}])
    again = run_job("ingest_texts", lake=lake, source=str(source))
    assert [again[kind]["status"] for kind in ("documents", "queries")] == ["written", "skipped"]
    assert texts(spark, lake) == {"apple": "Only apples now."}


BAD_LINES = {
    3: ('{"_id": "broken", "text": "no end', "JSON"),
    5: ('{"title": "no id", "text": "x"}', '"_id" is missing'),
    6: ('{"_id": 1.5, "text": "x"}', "number"),
    8: ('{"_id": "surrogate", "text": "\\ud800"}', "surrogate"),
    9: ('{"_id": "listed", "text": ["x"]}', "array"),
    11: ('{"_id": "d1", "text": "the id of line 1 again"}', "occurs earlier in the input"),
}


@pytest.mark.parametrize("block_bytes", mostly_slow([64, 1 << 20], 0), ids=["many blocks", "one block"])
def test_malformed_lines_are_quarantined_with_their_line_and_bytes(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, block_bytes: int
) -> None:
    lines = [json.dumps({"_id": f"d{n}", "text": f"text {n}"}) for n in range(1, 13)]
    for number, (line, _) in BAD_LINES.items():
        lines[number - 1] = line
    lines[6] = ""  # a blank line is no record, but it has a number
    source = tmp_path / "corpus.jsonl"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    # Small blocks make Spark read one file in many pieces: line numbers must not depend on that.
    spark.conf.set("spark.sql.files.maxPartitionBytes", str(block_bytes))
    try:
        result = run_job("ingest_texts", lake=lake, documents=str(source), max_rejected=1)
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert set(texts(spark, lake)) == {"d1", "d2", "d4", "d10", "d12"}
    kept = {row["line"]: row for row in table(spark, lake, "quarantine")}
    assert set(kept) == set(BAD_LINES)
    assert result["documents"]["rejected"] == len(BAD_LINES)
    for number, (line, reason) in BAD_LINES.items():
        assert reason in kept[number]["reason"]
        assert kept[number]["source"] == str(source)
        if number != 11:
            assert bytes(kept[number]["raw"]).decode() == line


def test_too_many_malformed_lines_fail_after_writing_quarantine_and_leave_the_table(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "corpus.jsonl", [{"_id": "a", "text": "fine"}])
    run_job("ingest_texts", lake=lake, documents=str(source))
    write_lines(source, [{"_id": "a", "text": "new"}, {"text": "no id"}])
    with pytest.raises(
        DataError, match=r'1 of 2 records are malformed; .*quarantine lists .*: corpus\.jsonl line 2: "_id" is missing'
    ):
        run_job("ingest_texts", lake=lake, documents=str(source))
    assert texts(spark, lake) == {"a": "fine"}
    assert [row["line"] for row in table(spark, lake, "quarantine")] == [2]
    write_lines(source, [{"_id": "a", "text": "mended"}])
    run_job("ingest_texts", lake=lake, documents=str(source))
    assert table(spark, lake, "quarantine") == []


BLANK = {"null": None, "empty": "", "blank": " \t "}
SEPARATED = "one\u0085two\u2028three\x0bfour\rfive"
NOT_UTF8 = b'{"_id": "b", "text": "caf\xe9"}'


@pytest.fixture(scope="module")
def unusual(run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake of documents that one file holds: no content, a text with line separators, bytes that are not UTF-8."""
    folder = tmp_path_factory.mktemp("unusual")
    given = {**BLANK, "separated": SEPARATED}
    lines = [json.dumps({"_id": i, "text": text}, ensure_ascii=False).encode() for i, text in given.items()]
    (folder / "corpus.jsonl").write_bytes(b"\n".join([*lines, NOT_UTF8, b""]))
    run_job("ingest_texts", lake=str(folder / "lake"), documents=str(folder / "corpus.jsonl"), max_rejected=1)
    return str(folder / "lake")


def test_null_empty_and_blank_texts_keep_their_row(spark: SparkSession, unusual: str) -> None:
    assert {i: text for i, text in texts(spark, unusual).items() if i in BLANK} == BLANK


def test_a_text_with_unicode_line_separators_is_one_record(spark: SparkSession, unusual: str) -> None:
    assert {i: text for i, text in texts(spark, unusual).items() if i not in BLANK} == {"separated": SEPARATED}


def test_invalid_utf8_is_quarantined_byte_for_byte(spark: SparkSession, unusual: str) -> None:
    (row,) = table(spark, unusual, "quarantine")
    assert (row["line"], bytes(row["raw"])) == (5, NOT_UTF8)
    assert "not UTF-8" in row["reason"]


def write_as(spark: SparkSession, form: str, folder: Path) -> dict[str, str]:
    """FRUIT in one of the formats, and the options that read it."""
    path = folder / f"fruit.{form}"
    rows = [{"key": i, "head": f"about {i}", "body": t} for i, t in FRUIT.items()]
    mapping = {"document_id": "key", "document_title": "head", "document_text": "body"}
    if form == "jsonl":
        write_lines(path, rows)
    elif form == "jsonl.gz":
        path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))
    elif form == "tsv":
        write_lines(path, [f"{row['key']}\t{row['body']}" for row in rows])
        return {"documents": str(path)}
    elif form == "csv":
        quoted = [f'"{row["key"]}","{row["head"]}","{row["body"]}"' for row in rows]
        write_lines(path, ["key,head,body", *quoted])
    else:
        spark.createDataFrame(rows).write.format(form).save(str(path))
    return {"documents": str(path), **mapping}


@pytest.mark.parametrize("form", mostly_slow(["jsonl", "jsonl.gz", "tsv", "csv", "parquet", "delta"], 1, 2, 3, 4))
def test_every_format_gives_the_same_documents(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, form: str
) -> None:
    run_job("ingest_texts", lake=lake, **write_as(spark, form, tmp_path))
    assert texts(spark, lake) == FRUIT
    titles = {row["doc_id"]: row["title"] for row in table(spark, lake, "documents")}
    assert titles == {i: None if form == "tsv" else f"about {i}" for i in FRUIT}


def test_csv_fields_may_hold_line_breaks_quotes_and_commas(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    source = tmp_path / "d.csv"
    source.write_text('id,text\na,"two\nlines, and a ""quote"""\nb,plain\nc,too,many\n', encoding="utf-8")
    run_job("ingest_texts", lake=lake, documents=str(source), max_rejected=1)
    assert texts(spark, lake) == {"a": 'two\nlines, and a "quote"', "b": "plain"}
    (row,) = table(spark, lake, "quarantine")
    assert "the header has" in row["reason"]
    assert bytes(row["raw"]).decode() == "c,too,many"


@pytest.mark.parametrize(
    "lines",
    [
        ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{r}" for (q, d), r in RELEVANT.items())],
        [f"{q} 0 {d} {r}" for (q, d), r in RELEVANT.items()],
        [f"{q}\t0\t{d}\t{r}" for (q, d), r in RELEVANT.items()],
    ],
    ids=["BEIR", "TREC", "MS MARCO"],
)
def test_every_form_of_judgements_gives_the_same_table(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, lines: list[str]
) -> None:
    run_job("ingest_texts", lake=lake, judgements=str(write_lines(tmp_path / "qrels.txt", lines)))
    found = {(r["query_id"], r["doc_id"]): r["relevance"] for r in table(spark, lake, "judgements")}
    assert found == RELEVANT


def test_whole_number_ids_of_typed_columns_become_strings(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "d.parquet")
    spark.createDataFrame([(7, "seven")], "id bigint, text string").write.parquet(path)
    run_job("ingest_texts", lake=lake, documents=path)
    assert texts(spark, lake) == {"7": "seven"}


def test_an_ir_datasets_id_is_a_source(spark: SparkSession, run_job: Any, lake: str, tmp_path: Path) -> None:
    import ir_datasets

    fruit = write_fruit(tmp_path / "fruit")
    write_lines(tmp_path / "docs.tsv", [f"{i}\t{t}" for i, t in FRUIT.items()])
    write_lines(tmp_path / "queries.tsv", [f"{i}\t{t}" for i, t in QUESTIONS.items()])
    write_lines(tmp_path / "qrels", [f"{q} 0 {d} {r}" for (q, d), r in RELEVANT.items()])
    dataset = ir_datasets.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"),
        queries_tsv=str(tmp_path / "queries.tsv"),
        qrels_trec=str(tmp_path / "qrels"),
    )
    ir_datasets.registry.register("fruit", dataset)
    run_job("ingest_texts", lake=lake, source="ir_datasets:fruit")
    named = {name: table(spark, lake, name) for name in ("documents", "queries", "judgements")}
    plain = str(tmp_path / "plain")
    run_job("ingest_texts", lake=plain, source=str(fruit))
    assert {r["doc_id"]: r["text"] for r in named["documents"]} == texts(spark, plain)
    assert sorted(map(repr, named["queries"])) == sorted(map(repr, table(spark, plain, "queries")))
    assert sorted(map(repr, named["judgements"])) == sorted(map(repr, table(spark, plain, "judgements")))
    assert run_job("ingest_texts", lake=lake, source="ir_datasets:fruit")["status"] == "skipped"


def test_inputs_that_cannot_be_used_are_refused_by_name(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"absent\.jsonl: there is no such file .* wanted an existing path for --documents"
    ):
        run_job("ingest_texts", lake=lake, documents=str(tmp_path / "absent.jsonl"))
    path = str(tmp_path / "d.parquet")
    spark.createDataFrame([("a", 1.5, "x")], "doc_id string, text double, body string").write.parquet(path)
    with pytest.raises(DataError, match=r"column 'text' has the type double; wanted a string for text"):
        run_job("ingest_texts", lake=lake, documents=path)
    with pytest.raises(
        DataError, match=r"no column is called 'abstract' \(columns: doc_id, text, body\).*--document-text"
    ):
        run_job("ingest_texts", lake=lake, documents=path, document_text="abstract")
    fruit = write_fruit(tmp_path / "fruit")
    with pytest.raises(DataError, match=r"the folder has no file dev\.tsv, .*wanted a split of this folder: test"):
        run_job("ingest_texts", lake=lake, source=str(fruit), split="dev")
    (fruit / "corpus.jsonl").unlink()
    with pytest.raises(DataError, match=r"the folder has no corpus\.jsonl"):
        run_job("ingest_texts", lake=lake, source=str(fruit))
    (tmp_path / "d.docx").write_text("x")
    with pytest.raises(UsageError, match=r"the name of d\.docx does not show the format"):
        run_job("ingest_texts", lake=lake, documents=str(tmp_path / "d.docx"))
    with pytest.raises(UsageError, match="ir_datasets does not know this id"):
        run_job("ingest_texts", lake=lake, source="ir_datasets:no/such/thing")


def test_quarantine_names_files_as_a_person_writes_them_whatever_their_path(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    folder = tmp_path / "my data+100%"
    source = write_lines(folder / "corpus.jsonl", [{"_id": "a", "text": "x"}, {"text": "no id"}])
    for given in (f"{folder}/../{folder.name}/corpus.jsonl", f"file://{source}"):
        run_job("ingest_texts", lake=lake, documents=given, max_rejected=1, force=True)
        assert [(row["source"], row["line"]) for row in table(spark, lake, "quarantine")] == [(str(source), 2)]


def test_inputs_do_not_clear_each_others_quarantine(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    source = tmp_path / "faq.csv"
    source.write_text("id,question,answer\n1,why,because\n,how,so\n", encoding="utf-8")
    both = {"documents": str(source), "document_text": "answer", "queries": str(source), "query_text": "question"}
    run_job("ingest_texts", lake=lake, max_rejected=1, **both)
    found = sorted((row["input"], row["line"]) for row in table(spark, lake, "quarantine"))
    assert found == [(f"documents: {source}", 3), (f"queries: {source}", 3)]


def test_csv_in_another_encoding_is_quarantined_not_mangled(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    source = tmp_path / "d.csv"
    source.write_bytes("id,text\na,plain\nb,café\n".encode("latin-1"))
    run_job("ingest_texts", lake=lake, documents=str(source), max_rejected=1)
    assert texts(spark, lake) == {"a": "plain"}
    (row,) = table(spark, lake, "quarantine")
    assert "not UTF-8" in row["reason"]


def test_of_repeated_ids_in_a_delta_table_one_is_kept_and_the_others_are_quarantined(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "delta")
    for text in ("first", "second"):
        rows = spark.createDataFrame([("a", text, "f")], "doc_id string, text string, file string")
        rows.write.format("delta").mode("append").save(path)
    run_job("ingest_texts", lake=lake, documents=path, max_rejected=1)
    (row,) = table(spark, lake, "quarantine")
    kept = texts(spark, lake)["a"]
    assert {kept, json.loads(bytes(row["raw"]))["text"]} == {"first", "second"}
    assert (row["source"], row["line"]) == (path, None)


def test_files_below_subfolders_are_read(spark: SparkSession, run_job: Any, lake: str, tmp_path: Path) -> None:
    for name in ("0.jsonl", "part/1.jsonl"):
        write_lines(tmp_path / "corpus" / name, [{"_id": name, "text": "x"}])
    run_job("ingest_texts", lake=lake, documents=str(tmp_path / "corpus"), documents_format="jsonl")
    assert set(texts(spark, lake)) == {"0.jsonl", "part/1.jsonl"}


def test_an_empty_input_leaves_the_table_as_it_was(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "corpus.jsonl", [{"_id": "a", "text": "x"}])
    run_job("ingest_texts", lake=lake, documents=str(source))
    source.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="the input has no records"):
        run_job("ingest_texts", lake=lake, documents=str(source))
    assert texts(spark, lake) == {"a": "x"}


def test_a_truncated_gzip_fails_with_its_reason(run_job: Any, lake: str, tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"_id": "%d", "text": "x"}\n' % n for n in range(5_000)))
    (tmp_path / "corpus.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Exception, match=r"(?i)exception") as raised:
        run_job("ingest_texts", lake=lake, documents=str(tmp_path / "corpus.jsonl.gz"))
    error = known_error(raised.value)
    assert isinstance(error, DataError)
    assert "complete file" in str(error)


def test_csv_files_of_one_folder_are_read_each_by_its_own_header(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    for name, text in (("a.csv", "id,text\n1,one\n"), ("b.csv", "text,id\ntwo,2\n,\n")):
        (tmp_path / "d" / name).write_text(text, encoding="utf-8")
    run_job("ingest_texts", lake=lake, documents=str(tmp_path / "d"), max_rejected=1)
    assert texts(spark, lake) == {"1": "one", "2": "two"}
    (row,) = table(spark, lake, "quarantine")
    assert (row["source"], row["line"]) == (str(tmp_path / "d" / "b.csv"), 3)


def test_parquet_shards_of_other_columns_and_types_lose_nothing(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    shards: list[dict[str, list[Any]]] = [
        {"id": ["a", None], "text": ["one", "x"], "Text": ["A", "B"]},
        {"contents": ["two"], "id": [2], "title": ["T"]},
    ]
    for number, shard in enumerate(shards):
        (tmp_path / "d" / f"lang={number}").mkdir(parents=True)
        pq.write_table(pa.table(shard), tmp_path / "d" / f"lang={number}" / "part-0.parquet")
    run_job("ingest_texts", lake=lake, documents=str(tmp_path / "d"), max_rejected=1)
    found = {(row["doc_id"], row["title"], row["text"]) for row in table(spark, lake, "documents")}
    assert found == {("a", None, "one"), ("2", "T", "two")}
    (row,) = table(spark, lake, "quarantine")
    assert (row["source"], row["line"]) == (str(tmp_path / "d" / "lang=0" / "part-0.parquet"), 2)
    assert '"id" is missing' in row["reason"]
    assert spark.conf.get("spark.sql.caseSensitive") == "false"


def test_columns_cannot_be_named_where_a_format_has_none(run_job: Any, lake: str, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "d.qrels", ["1 0 2 1"])
    with pytest.raises(UsageError, match="the format qrels has no column names"):
        run_job("ingest_texts", lake=lake, documents=str(source), document_id="pid")


@pytest.mark.faults
@pytest.mark.slow
def test_a_folder_of_very_many_tiny_files_is_read_whole(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    for n in range(2_000):
        write_lines(tmp_path / "corpus" / f"{n % 20}" / f"{n}.jsonl", [{"_id": f"d{n}", "text": f"text {n}"}])
    run_job("ingest_texts", lake=lake, documents=str(tmp_path / "corpus"), documents_format="jsonl")
    assert texts(spark, lake) == {f"d{n}": f"text {n}" for n in range(2_000)}
