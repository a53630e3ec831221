"""Runs, judgements and measures pass to the files of other tools and back without a change."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from pyspark.sql import SparkSession
from sentence_transformers.sparse_encoder import SparseEncoderModelCardData
from sentence_transformers.sparse_encoder.evaluation import SparseInformationRetrievalEvaluator

from spladelake.errors import DataError
from spladelake.files import read_judgements, read_run
from spladelake.spark.tables.schemas import RUNS
from support.cases import mostly_slow
from support.random_lake import TERMS, RandomLake, write_judgements, write_random_lake
from support.reference import GivenVectors
from support.tables import table_rows, write_rows


@pytest.fixture(scope="module")
def measured(spark: SparkSession, run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RandomLake]:
    """A lake with the run m, measured; read it, write only runs of other names."""
    lake = str(tmp_path_factory.mktemp("exchange") / "lake")
    made = write_random_lake(spark, lake, seed=8)
    spark.createDataFrame([(q, f"text of {q}") for q in made.queries], "query_id string, text string").write.format(
        "delta"
    ).save(f"{lake}/queries")
    run_job("retrieve_run", lake=lake, model="m", k=120)
    run_job("evaluate_run", lake=lake, model="m")
    return lake, made


def rows_of_run(spark: SparkSession, lake: str, run_id: str) -> list[tuple[Any, ...]]:
    rows = table_rows(f"{lake}/runs", run_id=run_id)
    return sorted((row["query_id"], row["doc_id"], row["rank"], row["score"]) for row in rows)


@pytest.fixture(scope="module")
def evaluated(measured: tuple[str, RandomLake], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """sentence-transformers' evaluator on the same vectors: the files it wrote and its model card's metrics."""
    made, folder = measured[1], tmp_path_factory.mktemp("evaluator")
    evaluator = SparseInformationRetrievalEvaluator(
        queries={i: i for i in made.queries}, corpus={i: i for i in made.documents}, relevant_docs=made.relevant,
        name="random_lake", write_predictions=True,
    )  # fmt: skip
    model: Any = GivenVectors(made.queries, made.documents, TERMS)
    metrics = evaluator(model, output_path=str(folder))
    card = SparseEncoderModelCardData(model_name="m")
    card.set_evaluation_metrics(evaluator, metrics)
    (index,) = card.format_eval_metrics()["model-index"]
    return SimpleNamespace(folder=folder, metrics=metrics, index=index)


def test_a_run_and_the_judgements_survive_a_trip_through_trec_files(
    spark: SparkSession, run_job: Any, measured: tuple[str, RandomLake], tmp_path: Path
) -> None:
    lake, made = measured
    run, qrels = tmp_path / "m.trec", tmp_path / "qrels.txt"
    result = run_job("export_run", lake=lake, run_id="m", output=str(run), judgements=str(qrels))
    assert result["run"]["rows"] == len(list(read_run(run))) == 30 * 120
    assert sorted(read_judgements(qrels)) == sorted(made.judged)
    other = str(tmp_path / "other")
    run_job("import_run", lake=other, run=str(run))
    run_job("ingest_texts", lake=other, judgements=str(qrels))
    assert rows_of_run(spark, other, "m") == rows_of_run(spark, lake, "m")
    assert run_job("import_run", lake=other, run=str(run))["status"] == "skipped"
    run_job("import_run", lake=other, run=f"{lake}/runs", run_id="m")  # straight from the other lake's table
    assert rows_of_run(spark, other, "m") == rows_of_run(spark, lake, "m")


def test_the_evaluators_predictions_measure_as_the_evaluator_says(
    spark: SparkSession, run_job: Any, measured: tuple[str, RandomLake], evaluated: SimpleNamespace, tmp_path: Path
) -> None:
    (predictions,) = evaluated.folder.glob("*predictions*.jsonl")
    lake = str(tmp_path / "lake")
    write_judgements(spark, lake, measured[1].judged)
    run_job("import_run", lake=lake, run=str(predictions), run_id="theirs")
    result = run_job("evaluate_run", lake=lake, run_id="theirs", measures=["card"])
    for name, value in result["measures"].items():
        assert value == pytest.approx(evaluated.metrics[f"random_lake_dot_{name}"], abs=1e-6), name


def test_exported_predictions_are_the_evaluators(
    run_job: Any, measured: tuple[str, RandomLake], evaluated: SimpleNamespace, tmp_path: Path
) -> None:
    ours = tmp_path / "ours.jsonl"
    run_job("export_run", lake=measured[0], run_id="m", output=str(ours), output_format="predictions")
    (theirs,) = evaluated.folder.glob("*predictions*.jsonl")
    wanted = {p["query_id"]: p for p in map(json.loads, theirs.read_text().splitlines())}
    found = {p["query_id"]: p for p in map(json.loads, ours.read_text().splitlines())}
    assert found["q5"]["query"] == "text of q5"
    for query_id, prediction in wanted.items():
        results = found[query_id]["results"][:100]  # the evaluator keeps the deepest measure's 100
        assert [r["corpus_id"] for r in results] == [r["corpus_id"] for r in prediction["results"]], query_id
        assert [r["score"] for r in results] == pytest.approx([r["score"] for r in prediction["results"]], rel=1e-6)


def test_the_csv_is_the_evaluators_to_the_header(
    run_job: Any, measured: tuple[str, RandomLake], evaluated: SimpleNamespace, tmp_path: Path
) -> None:
    ours = tmp_path / "ours.csv"
    run_job("export_measures", lake=measured[0], run_id="m", output=str(ours))
    (theirs,) = evaluated.folder.glob("*.csv")
    found, wanted = ([line.split(",") for line in path.read_text().splitlines()] for path in (ours, theirs))
    assert (len(found), found[0], found[1][:2]) == (2, wanted[0], ["-1", "-1"])
    assert list(map(float, found[1])) == pytest.approx(list(map(float, wanted[1])), abs=1e-5)  # float32 sizes


def test_the_model_card_block_has_the_metrics_that_sentence_transformers_puts_there(
    run_job: Any, measured: tuple[str, RandomLake], evaluated: SimpleNamespace, tmp_path: Path
) -> None:
    file = tmp_path / "README.md"
    run_job("export_measures", lake=measured[0], run_id="m", output=str(file), output_format="model-card",
            dataset="random_lake")  # fmt: skip
    card = ModelCard(file.read_text() + "\n# m\n")  # as the hub reads it
    assert card.data.model_name == "m"
    (index,) = yaml.safe_load(file.read_text().strip("-\n"))["model-index"]
    (ours,), (theirs,) = index["results"], evaluated.index["results"]
    assert ours["task"] == theirs["task"]
    assert ours["dataset"] == {k: v for k, v in theirs["dataset"].items() if v is not None}
    found = {m["type"]: (m["name"], m["value"]) for m in ours["metrics"]}
    found.pop("ndcg_cut_10")  # trec_eval's, under its own name
    wanted = {m["type"]: (m["name"], m["value"]) for m in theirs["metrics"]}
    assert {t: name for t, (name, _) in found.items()} == {t: name for t, (name, _) in wanted.items()}
    assert {t: v for t, (_, v) in found.items()} == pytest.approx({t: v for t, (_, v) in wanted.items()}, abs=1e-5)


def test_per_query_measures_are_lines_as_trec_eval_prints_them(
    run_job: Any, measured: tuple[str, RandomLake], tmp_path: Path
) -> None:
    file = tmp_path / "m.eval"
    run_job("export_measures", lake=measured[0], run_id="m", output=str(file), output_format="trec_eval")
    lines = [line.split("\t") for line in file.read_text().splitlines()]
    assert {len(line) for line in lines} == {3}
    means = {measure.strip(): float(value) for measure, query_id, value in lines if query_id == "all"}
    values = [
        float(value) for measure, query_id, value in lines if measure.strip() == "ndcg_cut_10" and query_id != "all"
    ]
    assert len(values) == 25
    assert sum(values) / 25 == pytest.approx(means["ndcg_cut_10"], abs=1e-4)  # both are rounded to four digits


@pytest.mark.parametrize("doc_id", mostly_slow(["two words", "line\nbreak", "no\u00a0break", "tab\t"], 1))
def test_an_id_that_would_break_a_line_is_refused_and_leaves_no_file(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path, doc_id: str
) -> None:
    rows = [("r", "q1", "fine", 1, 2.0), ("r", "q1", doc_id, 2, 1.0)]
    write_rows(f"{lake}/runs", rows, RUNS)
    write_judgements(spark, lake, [("q1", doc_id, 1)])
    with pytest.raises(DataError, match=r"line 2: the doc_id is '.*without white space"):
        run_job("export_run", lake=lake, run_id="r", output=str(tmp_path / "r.trec"))
    with pytest.raises(DataError, match="line 1: the doc_id is"):
        run_job("export_run", lake=lake, judgements=str(tmp_path / "qrels.txt"))
    assert not list(tmp_path.glob("*.trec*")) + list(tmp_path.glob("qrels*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "q1 Q0 a 1 2.0 r\nq1 Q0 b 2 r\n",
            r"1 of 2 rows cannot be used; .* Correct or remove these rows: run\.trec line 2: the line has 5 columns",
        ),
        ("q1 Q0 a 1 nan r\n", "line 1: score is 'nan'"),
        (
            "q1 Q0 a 1 2.0 r\n\nq1 Q0 a 2 1.0 r\n",
            r"than once \(1 case\), such as run\.trec line 3: document a is listed 2 times for query q1",
        ),
        ("\n", "the input has no rows"),
    ],
)
def test_a_run_file_with_a_bad_line_is_refused_naming_it(
    run_job: Any, lake: str, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "run.trec"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        run_job("import_run", lake=lake, run=str(file))
    assert not Path(lake).exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"query_id": "q1", "results": [{"corpus_id": "a", "score": NaN}]}',
            "a score is missing or not a finite number",
        ),
        ('{"query_id": "q1", "hits": []}', "no corpus_id"),
        ("not json", "no query_id"),
    ],
)
def test_a_prediction_that_is_none_is_refused(run_job: Any, lake: str, tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "theirs.jsonl"
    file.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"remove these rows: theirs\.jsonl line 2: .*{message}"):
        run_job("import_run", lake=lake, run=str(file))


def test_ranks_that_contradict_the_scores_lose_and_are_counted_or_win_by_choice(
    spark: SparkSession, run_job: Any, lake: str, tmp_path: Path
) -> None:
    file = tmp_path / "r.trec"
    # Ranked from 0; b stands below a although its score is higher, and c ties with b.
    file.write_text("q1 Q0 a 0 1.0 r\nq1 Q0 b 1 2.0 r\nq1 Q0 c 2 2.0 r\n", encoding="utf-8")
    result = run_job("import_run", lake=lake, run=str(file))
    assert result["ranks_against_scores"] == 2  # b and c stand below a
    assert rows_of_run(spark, lake, "r") == [("q1", "a", 3, 1.0), ("q1", "b", 1, 2.0), ("q1", "c", 2, 2.0)]
    run_job("import_run", lake=lake, run=str(file), run_id="ranks", order="ranks")
    assert rows_of_run(spark, lake, "ranks") == [("q1", "a", 1, 0.0), ("q1", "b", 2, -1.0), ("q1", "c", 3, -2.0)]
