"""`spladelake init` finds what is in a user's files and writes a pipeline file that ingests exactly that."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spladelake.cli import main
from spladelake.config import IngestTexts, Pipeline, load_pipeline

Init = Callable[..., dict[str, Any]]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    """Run `spladelake init` in an empty folder; its JSON line, and what it said under "said"."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> dict[str, Any]:
        code = main(["init", *arguments])
        out, err = capsys.readouterr()
        result: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        assert result["exit_code"] == code
        return {**result, "said": err}

    return call


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def ingest_options(file: str) -> tuple[Pipeline, IngestTexts]:
    loaded = load_pipeline(file)
    options = loaded.options(place=file)[0][1]
    assert isinstance(options, IngestTexts)
    return loaded, options


def test_a_folder_of_csv_parquet_and_qrels_becomes_three_tables_with_their_columns(init: Init, tmp_path: Path) -> None:
    papers = {
        "year": [2001, 2001, 2003],
        "paper_id": [11, 12, 13],
        "name": ["On rails", "On bread", None],
        "abstract": ["Trains run on rails.", "Bread is baked from flour.", ""],
    }
    (tmp_path / "mine").mkdir()
    pq.write_table(pa.table(papers), tmp_path / "mine" / "papers.parquet")
    write(tmp_path / "mine" / "questions.csv", 'nr,id,question\n1,q1,"how, or\nwhy?"\n2,q2,what\n')
    write(tmp_path / "mine" / "qrels.txt", "q1 0 11 1\nq2 0 12 2\n")
    result = init("mine")
    loaded, options = ingest_options("mine.yaml")
    assert (options.documents, options.document_id, options.document_title, options.document_text) == (
        "mine/papers.parquet", "paper_id", "name", "abstract",
    )  # fmt: skip
    assert (options.queries, options.query_id, options.query_text) == ("mine/questions.csv", "id", "question")
    assert options.judgements == "mine/qrels.txt"
    assert loaded.lake == "mine-lake"
    assert loaded.labels == ["ingest_texts", "encode_texts", "retrieve_run", "evaluate_run"]
    assert [result[kind]["rows"] for kind in ("documents", "queries", "judgements")] == [3, 2, 2]
    assert result["documents"]["characters"] == {"median": 20, "p95": 26, "longest": 26}
    assert result["documents"]["empty"] == 1
    assert result["next"] == "spladelake pipeline run mine.yaml"
    assert "paper_id (integer)" in Path("mine.yaml").read_text(encoding="utf-8")


def test_a_beir_folder_is_read_whole_and_other_splits_are_named_as_unused(init: Init, tmp_path: Path) -> None:
    folder = tmp_path / "scifact"
    write(folder / "queries.jsonl", '{"_id": "q", "text": "bread"}\n')
    write(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\nq\td\t1\n")
    write(folder / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore\nq\td\t1\n")
    with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write('{"_id": "d", "title": "", "text": "flour and water"}\n' * 3)
    result = init("scifact")
    _, options = ingest_options("scifact.yaml")
    assert (options.source, options.split, options.documents) == ("scifact", "test", None)
    assert result["unused"] == ["scifact/qrels/train.tsv"]
    assert result["judgements"]["rows"] == 1
    assert result["documents"]["faults"] == [
        "CORRECT THIS FIRST: of the 3 records, 2 repeat an id; ingest_texts fails above 1% of such records"
    ]


def test_shards_of_one_table_are_one_input_and_a_file_alone_is_documents_without_retrieval(
    init: Init, tmp_path: Path
) -> None:
    for part in range(3):
        write(tmp_path / "texts" / f"part-0000{part}.jsonl", f'{{"_id": "{part}", "text": "x"}}\n')
    assert init("texts")["documents"]["rows"] == 3
    write(tmp_path / "collection.tsv", "1\tfirst text\n2\tsecond\n")
    result = init("collection.tsv", "--lake", "l")
    loaded, options = ingest_options("collection.yaml")
    assert (options.documents, options.document_id) == ("collection.tsv", None)
    assert loaded.labels == ["ingest_texts", "encode_texts"]
    assert result["documents"]["characters"]["longest"] == len("first text")


def test_what_the_user_names_wins_over_what_would_be_guessed(init: Init, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "id,key,text,body\n1,k1,long text here,b\n2,k2,long text there,c\n")
    init("named", "--documents", "a.csv", "--document-id", "key", "--document-text", "body", "--output", "n.yaml")
    _, options = ingest_options("n.yaml")
    assert (options.document_id, options.document_text) == ("key", "body")


def test_records_that_the_jobs_parser_refuses_are_told_before_the_job_runs(init: Init, tmp_path: Path) -> None:
    write(tmp_path / "d.jsonl", '{"id": 7.5, "text": "fractions are no ids"}\n{"id": "8", "text": "x"}\n')
    (fault,) = init("d.jsonl")["documents"]["faults"]
    assert '1 cannot be used ("id" is a number (7.5); ids must be strings or whole numbers)' in fault


@pytest.mark.parametrize(
    ("name", "text", "code", "pieces"),
    [
        ("absent", None, 3, ["no such file or folder"]),
        ("d.jsonl", "", 3, ["the input has no records"]),
        ("d.json", '[{"_id": "1"}]\n', 3, ["the file is one JSON array", "jq -c '.[]'"]),
        ("d.csv", "a,b\n1,1\n1,1\n", 3, ["no column has a short and unique value", "columns: 'a' string, 'b' string)"]),
        ("d.csv", "id,n\n1,\n", 0, []),
        ("d.csv.gz", "not compressed", 3, ["d.csv.gz", "damaged or not compressed by gzip", "ends in .gz"]),
        ("d.parquet", "no parquet", 3, ["d.parquet", "damaged, or not a Parquet file"]),
        ("d.parquet", "", 3, ["d.parquet", "the file is empty", "or remove the file"]),
        ("d.parquet", "PK\x03\x04", 3, ["a zip archive (or a spreadsheet)", "Unpack the archive"]),
        ("d.pdf", "x", 2, ["does not show the format"]),
        ("d/notes.md", "x", 3, ["it contains notes.md", "wanted jsonl, csv"]),
        ("d/${HOME}.jsonl", '{"_id": "1", "text": "x"}\n', 2, ['the name contains the characters "${"']),
    ],
)
def test_files_that_cannot_be_used_end_in_one_message_and_leave_no_file(
    init: Init, tmp_path: Path, name: str, text: str | None, code: int, pieces: list[str]
) -> None:
    if text is not None:
        write(tmp_path / name, text)
    result = init(name.split("/")[0])
    assert result["exit_code"] == code, result["said"]
    assert all(piece in result["error"] for piece in pieces), result
    assert bool(list(tmp_path.glob("*.yaml"))) == (code == 0)


def test_a_pipeline_file_that_is_there_is_not_written_over_unless_asked_for(init: Init, tmp_path: Path) -> None:
    write(tmp_path / "d.jsonl", '{"_id": "1", "text": "x"}\n')
    write(tmp_path / "d.yaml", "mine")
    assert init("d.jsonl")["exit_code"] == 2
    assert (tmp_path / "d.yaml").read_text() == "mine"
    assert init("d.jsonl", "--force")["exit_code"] == 0


def test_a_pipeline_file_without_its_folder_is_refused_with_the_command_that_makes_the_folder(
    init: Init, tmp_path: Path
) -> None:
    write(tmp_path / "docs.tsv", "d1\tbread\n")
    result = init("docs.tsv", "--output", "my conf/p.yaml")
    assert result["exit_code"] == 5
    assert "my conf/p.yaml: there is no folder my conf; wanted an existing folder" in result["error"]
    assert "mkdir -p 'my conf'" in result["error"]
    (tmp_path / "my conf").mkdir()
    assert init("docs.tsv", "--output", "my conf/p.yaml")["exit_code"] == 0
    assert "my conf: this is a folder; wanted a file" in init("docs.tsv", "--output", "my conf", "--force")["error"]


def test_names_with_quotes_hashes_and_line_feeds_are_written_so_that_yaml_reads_them_back(
    init: Init, tmp_path: Path
) -> None:
    name = "a: 'b' # c\nd.jsonl"
    write(tmp_path / name, json.dumps({"_id": "1", "text": "x", "e\nlake: f": 1}) + "\n")
    init(name, "--output", "p.yaml")
    loaded, options = ingest_options("p.yaml")
    assert options.documents == name
    assert loaded.lake == "a-b-c-d-lake"


def test_the_folder_that_one_is_in_gives_the_file_its_name(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "v1.2 texts" / "d.jsonl", '{"_id": "1", "text": "x"}\n')
    monkeypatch.chdir(tmp_path / "v1.2 texts")
    assert init(".")["file"] == "v1.2-texts.yaml"
    assert ingest_options("v1.2-texts.yaml")[1].documents == "d.jsonl"


def test_a_column_of_lists_named_as_the_id_is_told_as_unusable(init: Init, tmp_path: Path) -> None:
    write(tmp_path / "d.jsonl", '{"_id": ["1"], "text": "x"}\n')
    assert "ids must be strings" in init("d.jsonl", "--document-id", "_id", "--documents", "d.jsonl")["said"]


def test_a_large_file_is_counted_by_proportion_and_says_so(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spladelake.survey import samples

    monkeypatch.setattr(samples, "COUNTED_BYTES", 1_000_000)
    line = json.dumps({"_id": "12345", "text": "x" * 975}) + "\n"
    write(tmp_path / "d.jsonl", line * 5_000)
    found = init("d.jsonl")["documents"]
    assert found["rows_counted"] is False
    # Lines of one length: off by what the reader had taken from the file beyond the lines it gave.
    assert found["rows"] == pytest.approx(5_000, rel=0.02)
    assert "about" in Path("d.yaml").read_text(encoding="utf-8")


def test_of_a_delta_table_only_the_files_of_its_newest_version_are_looked_at(init: Init, tmp_path: Path) -> None:
    for name, ids in (("old", ["1", "2"]), ("new", ["1", "2", "3"])):
        (tmp_path / "docs").mkdir(exist_ok=True)
        pq.write_table(pa.table({"id": ids, "text": ids}), tmp_path / "docs" / f"{name}.parquet")
    write(tmp_path / "docs" / "_delta_log" / f"{0:020}.json", '{"add": {"path": "old.parquet"}}\n')
    actions = '{"remove": {"path": "old.parquet"}}\n{"add": {"path": "new.parquet"}}\n'
    write(tmp_path / "docs" / "_delta_log" / f"{1:020}.json", actions)
    found = init("docs")["documents"]
    assert (found["format"], found["rows"]) == ("delta", 3)


JUDGED = {"q1": {"d1": 1, "d2": 0}, "q2": {"d1": 2}}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("name", "text", "rows", "faults"),
    [
        ("qrels.json", json.dumps(JUDGED), 3, 0),
        ("answers.json", json.dumps(JUDGED, indent=2), 3, 0),  # its name says nothing
        ("qrels.json", json.dumps({"default": {"test": JUDGED}}, indent=1), 3, 0),
        ("qrels.json", json.dumps({q: list(d) for q, d in JUDGED.items()}, indent=1), 3, 0),
        ("qrels.jsonl", '{"q1": {"d1": 1}}\n{"q2": {"d1": 2}}\n', 2, 0),
        ("qrels.json", json.dumps([{"qid": "q1", "docid": "d1", "relevance": 1}], indent=1), 1, 0),
        ("qrels.json", json.dumps({"q1": {"d1": "much", "d2": 1}}, indent=1), 2, 1),
        ("qrels.json", '{\n"q1": {\n"d1": 1,\n}}', 1, 1),  # broken JSON
        ("qrels/test.json", json.dumps(JUDGED, indent=2), 3, 0),
        ("qrels.csv", "q1,d1,1\nq2,d1,2\n", 2, 0),
    ],
)
def test_judgements_are_read_in_the_forms_that_ingest_texts_reads(
    init: Init, tmp_path: Path, named: bool, name: str, text: str, rows: int, faults: int
) -> None:
    write(tmp_path / "mine" / "texts.jsonl", '{"_id": "d1", "text": "x"}\n{"_id": "d2", "text": "y"}\n')
    write(tmp_path / "mine" / "queries.jsonl", '{"_id": "q1", "text": "x"}\n{"_id": "q2", "text": "y"}\n')
    write(tmp_path / "mine" / name, text)
    given = ["--documents", "mine/texts.jsonl", "--queries", "mine/queries.jsonl", "--judgements", f"mine/{name}"]
    result = init("mine", *(given if named else []))
    found = result["judgements"]
    assert (found["location"], found["rows"], len(found["faults"])) == (f"mine/{name}", rows, faults), result["said"]
    _, options = ingest_options("mine.yaml")
    assert (options.documents, options.judgements) == ("mine/texts.jsonl", f"mine/{name}")
    # Lists of documents have no grades.
    assert ("of grade 1" in result["said"]) == bool(re.search(r'\[\s*"d1"', text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("texts.json", '{"data": [{"_id": "1", "text": "x"}]}'),
        ("texts.json", '{"authors": ["a"], "_id": "1", "text": "x"}'),
    ],
)
def test_texts_are_never_taken_for_judgements(init: Init, tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path / "mine" / name, text)
    write(tmp_path / "mine" / "queries.jsonl", '{"_id": "q1", "text": "x"}\n')
    result = init("mine")
    assert result["exit_code"] or "judgements" not in result, result


def test_settings_of_tools_beside_the_texts_are_not_used_but_texts_that_cannot_be_read_are_told(
    init: Init, tmp_path: Path
) -> None:
    write(tmp_path / "mine" / "data.jsonl", '{"_id": "1", "text": "x"}\n')
    write(tmp_path / "mine" / "dataset_info.json", '{\n  "splits": {}\n}\n')
    result = init("mine")
    assert (result["documents"]["rows"], result["unused"]) == (1, ["mine/dataset_info.json"])
    write(tmp_path / "mine" / "queries.json", '[{"_id": "q1", "text": "x"}]')
    assert "the file is one JSON array" in init("mine", "--force")["error"]


@pytest.mark.parametrize(
    "names",
    [
        ("lang=en/a.jsonl", "lang=de/b.jsonl"),
        ("lang=en/part-0.jsonl", "lang=de/texts.jsonl", "README.md"),
        ("_lang=en/x=1/a.jsonl", "_lang=de/b.jsonl"),
        ("part-0.jsonl", "part-1.jsonl", "README.md", "LICENSE", "_SUCCESS"),
        ("2023/texts.jsonl", "2024/texts.jsonl"),
    ],
)
def test_no_partition_or_shard_is_left_out(init: Init, tmp_path: Path, names: tuple[str, ...]) -> None:
    data = [name for name in names if name.endswith(".jsonl")]
    for number, name in enumerate(names):
        write(tmp_path / "mine" / name, f'{{"_id": "{number}", "text": "x"}}\n' if name in data else "")
    found = init("mine")["documents"]
    assert (found["location"], found["rows"]) == ("mine", len(data))


def test_a_part_of_the_documents_is_not_left_out_for_its_name(init: Init, tmp_path: Path) -> None:
    for name in ("en", "de"):
        write(tmp_path / "mine" / f"{name}.csv", f"id,text\n{name},x\n")
    result = init("mine")
    assert (result["exit_code"], "several files have the same columns (de.csv and en.csv)" in result["error"]) == (
        3,
        True,
    )
    assert init("mine", "--documents", "mine")["documents"]["rows"] == 2
    write(tmp_path / "other" / "lang=en" / "a.csv", "id,text\n1,x\n")
    write(tmp_path / "other" / "lang=de" / "b.jsonl", '{"_id": "1", "text": "x"}\n')
    assert "files of several formats" in init("other")["error"]


def test_documents_cannot_be_one_json_value(init: Init, tmp_path: Path) -> None:
    write(tmp_path / "d.json", '[{"_id": "1", "text": "x"}]')
    result = init("d.json", "--documents", "d.json", "--documents-format", "json")
    assert (result["exit_code"], "documents cannot be read as json" in result["error"]) == (2, True)
