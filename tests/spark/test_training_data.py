"""Training data name every text once and join back to the pairs they came from; bad pairs are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.config.training import TrainModel
from spladelake.errors import DataError, UsageError
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, JUDGEMENTS, QUERIES
from spladelake.spark.tables.training_schemas import SCORED_PAIRS
from spladelake.spark.train.data import Sources, check_here, write_training_data
from spladelake.spark.train.job import last_line
from spladelake.training import TrainingData
from support.collections import FRUIT, QUESTIONS
from support.training_data import write_data

Pair = tuple[str, str, list[str], float, list[float], list[float]]
# The first two are of one query and positive, with labels that are alike.
PAIRS: list[Pair] = [
    ("q3", "bread", ["river", "mouse"], 8.0, [3.5, 7.75], [4.5, 0.25]),
    ("q3", "bread", ["apple", "train"], 8.0, [3.5, 7.75], [4.5, 0.25]),
    ("q1", "apple", ["bread", "river", "mouse"], 9.0, [2.5, 1.0, 0.5], [6.5, 8.0, 8.5]),
    ("q2", "river", ["train"], 7.5, [4.0], [3.5]),
]


def options(**given: Any) -> TrainModel:
    return TrainModel(lake="unused", output="unused", negatives=2, **given)


@pytest.fixture(scope="module")
def sources(spark: SparkSession) -> Sources:
    documents = spark.createDataFrame([(i, f"The {i}", text) for i, text in FRUIT.items()], DOCUMENTS.struct)
    judged = [("q1", "apple", 2), ("q2", "river", 1), ("q2", "mouse", 2), ("q3", "bread", 3)]
    return Sources(
        spark.createDataFrame(PAIRS, SCORED_PAIRS.struct),
        TableRef(path="/lake/training/default/scored_pairs"),
        spark.createDataFrame(list(QUESTIONS.items()), QUERIES.struct),
        documents,
        spark.createDataFrame(judged, JUDGEMENTS.struct),
        spark.createDataFrame([("q2",)], "query_id string"),
        spark.createDataFrame([("q2", "train", 1), ("q1", "bread", 1)], "query_id string, doc_id string, rank int"),
        level=2,
    )


@pytest.mark.parametrize("loss", ["margin-mse", "kl-divergence"])
def test_shards_join_back_to_the_texts_and_scores_of_the_pairs(sources: Sources, tmp_path: Path, loss: str) -> None:
    counts = write_training_data(sources, tmp_path, options(loss=loss, margin_floor=1.0, dev_documents=2))
    assert (counts["pairs"], counts["with_fewer_negatives"], counts["queries"], counts["documents"]) == (3, 1, 2, 5)
    data = TrainingData(tmp_path)
    assert data.check(labels=0 if loss == "margin-mse" else 1) == 2
    pairs = data.pairs(labels=True)
    found = {(pairs[i]["query"], pairs[i]["negative_1"]): pairs[i] for i in range(3)}
    texts = {i: f"The {i} {text}" for i, text in FRUIT.items()}
    for query_id, pos_id, neg_ids, pos_score, neg_scores, margins in PAIRS[:3]:
        row = found[QUESTIONS[query_id], texts[neg_ids[0]]]
        assert list(row) == ["query", "positive", "negative_1", "negative_2", "label"]
        assert [row[name] for name in list(row)[1:4]] == [texts[i] for i in [pos_id, *neg_ids[:2]]]
        wanted = [max(1.0, m) for m in margins[:2]] if loss == "margin-mse" else [pos_score, *neg_scores[:2]]
        assert row["label"] == wanted
    held_out = data.held_out()
    # Only grade 2 counts; the judged documents come first, then what the run found, here cut off.
    assert held_out.judgements == {"q2": {"mouse": 1, "river": 0}}
    assert set(held_out.queries) == {"q2"}
    assert set(held_out.documents) == {"mouse", "river"}


def test_an_error_of_a_training_process_is_told_by_its_last_line_without_the_stack_of_the_jvm() -> None:
    said = "Traceback (most recent call last):\n  File x\nRuntimeError: The task output is:\nout of memory\n\n"
    jvm = "JVM stacktrace:\norg.apache.spark.SparkException: Job aborted\n\tat org.apache.spark.Task.run(Task.scala)\n"
    assert last_line(said) == last_line(said + jvm) == "out of memory"
    assert last_line("Py4JJavaError: o7.collect\n\tat org.apache.spark.Task.run\n") == "Py4JJavaError: o7.collect"
    assert last_line("") == ""


def test_rows_that_executors_wrote_to_disks_of_their_own_are_missed_at_once(tmp_path: Path) -> None:
    data = write_data(tmp_path, None)  # five documents
    check_here(data / "documents", rows=5)
    with pytest.raises(UsageError, match=r"sees only 5 of the 12 rows .*documents; .* storage that all machines share"):
        check_here(data / "documents", rows=12)
    with pytest.raises(UsageError, match=r"sees only 0 of the 5 rows that .*elsewhere"):
        check_here(data / "elsewhere", rows=5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pos_id": "nowhere"}, r"1 document of the pairs is not in the table 'documents' \('nowhere'\)"),
        ({"query_id": "q9"}, r"1 query of the pairs is not in the table 'queries' \('q9'\)"),
        ({"margins": [4.5, float("nan")]}, r"1 pair has a score or margin that is missing or not finite \(query 'q3'"),
        ({"pos_score": None}, "1 pair has a score or margin that is missing or not finite"),
        ({"margins": None}, "1 pair has a score or margin that is missing or not finite"),
        ({"neg_ids": [], "neg_scores": [], "margins": [], "all": True}, "no pair has 2 or more negatives"),
        ({"margins": [3.0, 3.0], "all": True}, "every margin is 3"),
    ],
)
def test_pairs_that_cannot_be_trained_on_are_refused(
    spark: SparkSession, sources: Sources, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    alone = change.pop("all", False)
    first = {**dict(zip(SCORED_PAIRS.column_names, PAIRS[0], strict=True)), **change}
    rows = [tuple(first[name] for name in SCORED_PAIRS.column_names), *([] if alone else PAIRS[2:])]
    broken = replace(sources, pairs=spark.createDataFrame(rows, SCORED_PAIRS.struct))
    with pytest.raises(DataError, match=says):
        write_training_data(broken, tmp_path, options())
