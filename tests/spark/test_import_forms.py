"""Runs and judgements mean the same in every form that people have them in; what is not plain is refused."""

from __future__ import annotations

import decimal
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ranx
from pyspark.sql import SparkSession

from spladelake.errors import DataError
from spladelake.survey.plan import plan
from support.cases import mostly_slow
from support.tables import table_rows

RUN = {"q1": {"d1": 2.5, "d2": 1.25}, "q2": {"d2": 0.5, "d3": 0.25}}
# Rank and score of the same, as `runs` has them.
SCORED = [("q1", "d1", 1, 2.5), ("q1", "d2", 2, 1.25), ("q2", "d2", 1, 0.5), ("q2", "d3", 2, 0.25)]
RANKED = [(query, doc, rank, -float(rank)) for query, doc, rank, _ in SCORED]


def lines(form: str) -> Callable[[Path], object]:
    """Writer of a line for each row of SCORED."""

    def write(path: Path) -> object:
        rows = [form.format(q=q, d=d, r=r, s=s) for q, d, r, s in SCORED]
        return path.write_text("\n".join(rows) + "\n", encoding="utf-8")

    return write


def headed(header: str, form: str) -> Callable[[Path], object]:
    def write(path: Path) -> object:
        lines(form)(path)
        return path.write_text(f"{header}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")

    return write


def as_json(value: object, **options: Any) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(value, **options), encoding="utf-8")


def pyterrier(path: Path) -> None:
    frame = pd.DataFrame(SCORED, columns=["qid", "docno", "rank", "score"]).assign(docid=range(4), query="some text")
    frame.to_csv(path)


def beside(path: Path) -> None:
    """Columns of which Spark reads none by itself, and names that it takes for others."""
    table = pa.table(list(zip(*SCORED, strict=True)), names=["query_id", "doc_id", "rank", "score"])
    other = {"nanoseconds": pa.array(range(4), pa.timestamp("ns")), "half": pa.array(range(4), pa.float16())}
    for name, values in {**other, **{name: pa.array("wxyz") for name in ("Score", "_metadata", "__file")}}.items():
        table = table.append_column(name, values)
    pq.write_table(table, path)


def shards(folder: Path) -> None:
    folder.mkdir()
    queries, docs, ranks, scores = map(list, zip(*SCORED, strict=True))
    first, last = slice(2), slice(2, 4)
    left = {"query_id": queries[first], "doc_id": docs[first], "rank": ranks[first], "score": scores[first]}
    right = {"Score": [str(s) for s in scores[last]], "docno": docs[last], "qid": queries[last], "rank": [1.0, 2.0]}
    pq.write_table(pa.table(left), folder / "0.parquet")
    pq.write_table(pa.table(right), folder / "1.parquet")


def predictions(folder: Path) -> None:
    folder.mkdir()
    found = [
        {"query_id": q, "results": [{"corpus_id": d, "score": s} for d, s in docs.items()]} for q, docs in RUN.items()
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    (folder / "README.md").write_text("# about\n", encoding="utf-8")


RUN_FORMS: dict[str, tuple[str, Callable[[Path], object], list[Any]]] = {
    "ranx json": ("r.json", lambda path: ranx.Run(RUN, name="r").save(str(path)), SCORED),
    "ranx parquet": ("r.parquet", lambda path: ranx.Run(RUN, name="r").save(str(path)), SCORED),
    "MTEB": ("r.json", as_json({"mteb_model_metadata": {"name": "m"}, "default": {"test": RUN}}), SCORED),
    "lists of documents": ("r.json", as_json({q: list(d) for q, d in RUN.items()}), RANKED),
    "rows of JSON": ("r.jsonl", lines('{{"qid": "{q}", "docid": "{d}", "score": {s}}}'), SCORED),
    "MS MARCO": ("r.tsv", lines("{q}\t{d}\t{r}"), RANKED),
    "a name of two words": ("r.trec", lines("{q} Q0 {d} {r} {s} my run"), SCORED),
    "no ranks": ("r.trec", lines("{q} Q0 {d} - {s} r"), SCORED),
    "PyTerrier's csv": ("r.csv", pyterrier, SCORED),
    "Parquet with columns that nobody asks for": ("r.parquet", beside, SCORED),
    "Parquet whose files differ": ("r", shards, SCORED),
    "predictions in a folder with a README": ("r", predictions, SCORED),
    "ranks alone in Parquet": (
        "r.parquet",
        lambda path: pd.DataFrame([row[:3] for row in SCORED], columns=["qid", "pid", "rank"]).to_parquet(path),
        RANKED,
    ),
}  # fmt: skip
# One of each reader by default; the others are read by the same code.
USUAL = {"ranx json", "Parquet with columns that nobody asks for", "csv", "MTEB, decimals"}
# Forms of which the job says how it understood them.
UNUSUAL = {"lists of documents", "MS MARCO", "a name of two words", "PyTerrier's csv", "ranx parquet",
           "ranks alone in Parquet", "Parquet whose files differ"}  # fmt: skip


@pytest.mark.parametrize(
    "form", [form if form in USUAL else pytest.param(form, marks=pytest.mark.slow) for form in RUN_FORMS]
)
def test_every_form_of_a_run_gives_the_same_rows(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, form: str
) -> None:
    name, write, wanted = RUN_FORMS[form]
    write(tmp_path / name)
    result = run_job("import_run", lake=lake, run=str(tmp_path / name))
    rows = table_rows(f"{lake}/runs")
    assert {row["run_id"] for row in rows} == {"my run" if form == "a name of two words" else "r"}
    assert sorted((row["query_id"], row["doc_id"], row["rank"], row["score"]) for row in rows) == wanted
    assert ("read_as" in result) == (form in UNUSUAL)


def predicted(doc_id: str, score: str) -> str:
    return f'{{"query_id": "q1", "results": [{{"corpus_id": "{doc_id}", "score": {score}}}]}}\n'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("qrels.tsv", "q1\t0\td1\t1\nq2\t0\td1\t1\n", "4 columns, and the values do not show"),
        ("r.tsv", "qid\tdocno\nq1\td1\n", "the first line names the columns qid and docno"),
        ("r.json", '{"q1": {"d1": 1.0, "d1": 2.0}}', "the key 'd1' occurs twice"),
        ("r.json", '{"q1": {"d1": "high"}}', "score is 'high'; it must be a finite number"),
        ("r.csv", "qid,docno,score\nq1,d1,\n", "score is ''; it must be a finite number"),
        ("r.jsonl", predicted("d1", "Infinity"), "a score is missing or not a finite number"),
        ("r.jsonl", predicted(" ", "1.5"), "an id is empty"),
        ("r.trec", "PK\x03\x04 a b", "the file is a zip archive"),
        ("r/_1.trec", "q1 Q0 d1 1 2.5 r\n", "the name of '_1.trec' begins with '_'"),
    ],
)
def test_a_run_that_is_not_plain_is_refused_and_leaves_no_table(
    run_job: Any, lake: str, tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content, encoding="utf-8")
    name = name.split("/")[0]
    with pytest.raises(DataError, match=message):
        run_job("import_run", lake=lake, run=str(tmp_path / name))
    assert not Path(lake, "runs").exists()


JUDGED = [("q1", "d1", 1), ("q1", "d2", 0), ("q2", "d3", 1)]


def judged(form: str, header: str = "") -> Callable[[Path], object]:
    rows = "".join(form.format(q=q, d=d, r=r, f=float(r), t=bool(r), j=str(bool(r)).lower()) for q, d, r in JUDGED)
    return lambda path: path.write_text(header + rows, encoding="utf-8")


def table_of(*columns: str, grades: Callable[[int], Any] = int) -> pd.DataFrame:
    return pd.DataFrame([(q, d, grades(r)) for q, d, r in JUDGED], columns=list(columns))


JUDGEMENT_FORMS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "MTEB, decimals": ("j.jsonl", judged('{{"query-id": "{q}", "corpus-id": "{d}", "score": {f}}}\n')),
    "ranx": (
        "j.json",
        lambda path: ranx.Qrels({"q1": {"d1": 1, "d2": 0}, "q2": {"d3": 1}}).save(str(path)),
    ),
    "a header of other names": ("j.tsv", judged("{d}\t{r}\t{q}\n", "passage_id\tgold\tQUERY\n")),
    "csv": ("j.csv", lambda path: table_of("Topic", "DocNo", "Label", grades=float).to_csv(path, index=False)),
    "csv without header": ("j.csv", judged("{q},{d},{r}\n")),
    "Parquet, decimals": ("j.parquet", lambda path: table_of("QID", "PID", "Grade", grades=float).to_parquet(path)),
    "Parquet, booleans": ("j.parquet", lambda path: table_of("q_id", "pid", "relevant", grades=bool).to_parquet(path)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"query_id": ["q"], "doc_id": ["d"], "score": pa.array([1], pa.float16())},
            "column 'score' has the type halffloat",
        ),
        ({"query_id": ["q"], "doc_id": [b"d"], "score": [1.5]}, "column 'doc_id' has the type binary"),
        ({"query_id": ["q"], "doc_id": ["d"], "note": ["x"]}, r"r\.parquet: no column holds scores or ranks \(columns"),
        ({"query_id": ["q"], "note": ["x"], "score": [1.5]}, "Rename the column that holds the document ids to doc_id"),
    ],
)
def test_a_run_in_parquet_whose_columns_cannot_be_used_names_the_column(
    run_job: Any, lake: str, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "r.parquet")
    with pytest.raises(DataError, match=message):
        run_job("import_run", lake=lake, run=str(tmp_path / "r.parquet"))


def test_the_file_of_a_run_that_lacks_a_column_is_named(run_job: Any, lake: str, tmp_path: Path) -> None:
    ids = {"query_id": ["q"], "doc_id": ["d"]}
    folder = tmp_path / "r"
    folder.mkdir()
    pq.write_table(pa.table({**ids, "score": [1.5]}), folder / "1.parquet")
    common = {"lake": lake, "run": str(folder), "ranking": "r"}
    with pytest.raises(DataError, match=r"1\.parquet: no column holds ranks \(columns: query_id, doc_id, score"):
        run_job("import_run", **common, order="ranks")
    pq.write_table(pa.table({**ids, "text": ["x"]}), folder / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: no column holds scores or ranks \(columns: query_id, doc"):
        run_job("import_run", **common)
    pq.write_table(pa.table({**ids, "rank": [1]}), folder / "2.parquet")
    with pytest.raises(DataError, match=r"/1\.parquet has scores, but .*/2\.parquet has only ranks; wanted the same"):
        run_job("import_run", **common)


def test_scores_of_any_type_of_number_are_those_of_pandas(run_job: Any, lake: str, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    types = (pa.float32(), pa.float64(), pa.decimal128(38, 4), pa.int64(), pa.string())
    for number, kind in enumerate(types):
        value: Any = {pa.decimal128(38, 4): decimal.Decimal("2.7"), pa.int64(): 2, pa.string(): "0.1"}.get(kind, 0.1)
        columns = {"query_id": [f"q{number}"], "doc_id": ["d"], "score": pa.array([value], kind)}
        pq.write_table(pa.table(columns), folder / f"{number}.parquet")
    run_job("import_run", lake=lake, run=str(folder), ranking="r")
    found = {row["query_id"]: row["score"] for row in table_rows(f"{lake}/runs")}
    frames = [pd.read_parquet(folder / f"{number}.parquet") for number in range(len(types))]
    assert found == {frame["query_id"][0]: float(frame["score"][0]) for frame in frames}


def judgements(spark: SparkSession, lake: str) -> list[Any]:
    rows = table_rows(f"{lake}/judgements")
    return sorted((row["query_id"], row["doc_id"], row["relevance"]) for row in rows)


@pytest.mark.parametrize(
    "form", [form if form in USUAL else pytest.param(form, marks=pytest.mark.slow) for form in JUDGEMENT_FORMS]
)
def test_every_form_of_judgements_gives_the_same_rows(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, form: str
) -> None:
    name, write = JUDGEMENT_FORMS[form]
    write(tmp_path / name)
    assert run_job("ingest_texts", lake=lake, judgements=str(tmp_path / name))["judgements"]["rejected"] == 0
    assert judgements(spark, lake) == JUDGED


@pytest.mark.parametrize(
    ("name", "content"),
    mostly_slow(
        [
            ("j.tsv", "q1\td1\nq2\td3\n"),
            ("j.csv", "query_id,doc_id\nq1,d1\nq2,d3\n"),
            ("j.json", '{"q1": ["d1"],\n "q2": ["d3"]}'),
        ],
        0,
    ),
)
def test_pairs_without_grades_are_of_grade_1_and_the_result_says_so(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    result = run_job("ingest_texts", lake=lake, judgements=str(tmp_path / name))
    assert "of grade 1" in result["judgements"]["read_as"]
    assert judgements(spark, lake) == [("q1", "d1", 1), ("q2", "d3", 1)]


@pytest.mark.parametrize("half", mostly_slow([0.5, decimal.Decimal("0.5")], 1))
def test_a_grade_with_a_fraction_is_quarantined_and_a_table_without_grades_is_refused(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, half: Any
) -> None:
    table_of("qid", "pid", "rel", grades=lambda r: r * half).to_parquet(tmp_path / "j.parquet")
    run_job("ingest_texts", lake=lake, judgements=str(tmp_path / "j.parquet"), max_rejected=1)
    assert judgements(spark, lake) == [("q1", "d2", 0)]
    reasons = {row["reason"] for row in table_rows(f"{lake}/quarantine")}
    assert reasons == {'"rel" is 0.5; it must be an integer'}
    pd.DataFrame({"qid": ["q"], "pid": ["d"], "stars": ["x"], "note": ["y"]}).to_parquet(tmp_path / "n.parquet")
    with pytest.raises(DataError, match="no column is called relevance"):
        run_job("ingest_texts", lake=lake, judgements=str(tmp_path / "n.parquet"))


@pytest.mark.parametrize("form", mostly_slow(["csv", "parquet"], 1))
def test_files_of_judgements_of_which_some_have_no_grades_are_refused(
    run_job: Any, lake: str, tmp_path: Path, form: str
) -> None:
    folder = tmp_path / "qrels"
    folder.mkdir()
    graded = table_of("qid", "pid", "label")
    for name, frame in (("0", graded[["qid", "pid"]]), ("1", graded)):
        path = folder / f"{name}.{form}"
        frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    for look in (
        lambda: run_job("ingest_texts", lake=lake, judgements=str(folder)),
        lambda: plan("unused", {"judgements": str(folder)}),
    ):
        with pytest.raises(DataError, match="some files have grades, and others have none"):
            look()


def test_a_beir_folder_may_have_mtebs_jsonl_judgements(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d1", "text": "x"}\n', encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "x"}\n', encoding="utf-8")
    judged('{{"query-id": "{q}", "corpus-id": "{d}", "score": {r}}}\n')(tmp_path / "qrels" / "test.jsonl")
    run_job("ingest_texts", lake=lake, source=str(tmp_path))
    assert judgements(spark, lake) == JUDGED
    with pytest.raises(DataError, match=r"the folder has no file dev\.tsv, .*wanted a split of this folder: test"):
        run_job("ingest_texts", lake=lake, source=str(tmp_path), split="dev")


def documents(spark: SparkSession, lake: str) -> dict[str, str]:
    return {row["doc_id"]: row["text"] for row in table_rows(f"{lake}/documents")}


IDS = {
    "whole decimals": pa.array([decimal.Decimal("1.00"), decimal.Decimal("20.00")], pa.decimal128(10, 2)),
    "pandas' numbers": pa.array([1.0, 20.0]),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_numbers_without_fraction_are_their_digits_whatever_the_columns_are_called(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, kind: str
) -> None:
    pq.write_table(pa.table({"ID": IDS[kind], "Page_Content": ["a", "b"], "n": [1, 2]}), tmp_path / "d.parquet")
    run_job("ingest_texts", lake=lake, documents=str(tmp_path / "d.parquet"))
    assert documents(spark, lake) == {"1": "a", "20": "b"}


def test_an_id_with_a_fraction_and_one_too_large_to_be_exact_are_quarantined(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"id": [1.0, 1.5, 2.0**53, None], "text": list("abcd")}), tmp_path / "d.parquet")
    run_job("ingest_texts", lake=lake, documents=str(tmp_path / "d.parquet"), max_rejected=1)
    assert documents(spark, lake) == {"1": "a"}
    assert len(table_rows(f"{lake}/quarantine")) == 3


@pytest.mark.parametrize("form", mostly_slow(["jsonl", "parquet", "delta"], 1))
def test_a_field_within_an_object_can_be_named(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, form: str
) -> None:
    rows = [{"meta": {"key": "1", "text": "a"}, "text": "no"}, {"meta": {"key": "2", "text": "b"}, "text": "no"}]
    path = tmp_path / f"d.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    if form == "delta":
        spark.read.parquet(str(tmp_path / "d.parquet")).write.format("delta").save(str(path))
    run_job("ingest_texts", lake=lake, documents=str(path), document_id="meta.key", document_text="meta.text")
    assert documents(spark, lake) == {"1": "a", "2": "b"}


def test_keys_of_json_lines_are_guessed_as_columns_are(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    (tmp_path / "d.jsonl").write_text('{"docno": "1", "Contents": "a"}\n{"docno": "2", "Contents": "b"}\n')
    (tmp_path / "q.jsonl").write_text('{"qid": "1", "question": "a"}\n')
    run_job("ingest_texts", lake=lake, documents=str(tmp_path / "d.jsonl"), queries=str(tmp_path / "q.jsonl"))
    assert documents(spark, lake) == {"1": "a", "2": "b"}
    assert [tuple(row) for row in table_rows(f"{lake}/queries")] == [("1", "a")]


def test_ids_of_a_char_column_are_without_its_padding(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    path = tmp_path / "docs"
    spark.sql(f"CREATE TABLE delta.`{path}` (id CHAR(5), text STRING) USING delta")
    spark.sql(f"INSERT INTO delta.`{path}` VALUES ('a', 'x'), ('bcdef', 'y ')")
    run_job("ingest_texts", lake=lake, documents=str(path))
    assert documents(spark, lake) == {"a": "x", "bcdef": "y "}


@pytest.mark.parametrize("name", mostly_slow(["r[1].trec", "{a,b}.trec", "my run*.trec", "a\\b.trec"], 0))
def test_every_character_of_a_files_name_means_itself(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, name: str
) -> None:
    for other in ("r1.trec", "rx.trec", "my run 2.trec"):
        lines("{q} Q0 {d} {r} {s} other")(tmp_path / other)
    lines("{q} Q0 {d} {r} {s} mine")(tmp_path / name)
    assert run_job("import_run", lake=lake, run=str(tmp_path / name))["run_ids"] == ["mine"]
    judged("{q} 0 {d} {r}\n")(tmp_path / name)
    run_job("ingest_texts", lake=lake, judgements=str(tmp_path / name))
    assert judgements(spark, lake) == JUDGED
