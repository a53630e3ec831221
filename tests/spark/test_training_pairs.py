"""Mined pairs are those of a brute-force search over sets of words; teachers' scores those of sentence-transformers."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sentence_transformers import CrossEncoder as Reference

from spladelake.config.training import MinePairs, TrainModel
from spladelake.encoder import resolve_checkpoint
from spladelake.errors import DataError, UsageError
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import DOCUMENTS, JUDGEMENTS, QUERIES, RUNS
from spladelake.spark.tables.training_schemas import PAIRS, PARTS, SCORED_PAIRS
from spladelake.spark.tables.write import replace_rows
from spladelake.spark.train.job import sources_of
from spladelake.spark.train.margins import averaged
from spladelake.spark.train.mine import mined, query_parts, words_of
from support.cross_encoders import write_cross_encoder
from support.tables import table_rows, write_rows

WORDS = ["rail", "bread", "apple", "river", "mouse", "Straße", "東京", "flour", "yeast", "juice", "sea", "ball"]


class Collection:
    """Forty documents, some of them copies, six judged queries, and a run that ranks all documents for each."""

    def __init__(self, seed: int = 3) -> None:
        draw = random.Random(seed)
        self.texts = {f"d{i:02}": " ".join(draw.choices(WORDS, k=9)) for i in range(34)}
        self.texts |= {f"d{i}": self.texts[f"d{i - 30:02}"].upper() + "!" for i in range(34, 39)} | {"d39": " -- "}
        self.texts["copy"] = self.texts["d05"]
        self.queries = {f"q{i}": f"question {i} {draw.choice(WORDS)}" for i in range(6)}
        self.judged = {(q, d): draw.randint(1, 2) for q in self.queries for d in draw.sample(list(self.texts), 3)}
        self.judged |= {("q0", d): 0 for d in self.texts if ("q0", d) not in self.judged and draw.random() < 0.2}
        self.judged["q1", "unknown"] = 1
        self.scores = {q: {d: draw.randint(1, 60) / 4 for d in self.texts} for q in self.queries}

    def write(self, spark: SparkSession, lake: str) -> None:
        ranked = [
            ("run", query_id, doc_id, rank, score)
            for query_id, scores in self.scores.items()
            for rank, (doc_id, score) in enumerate(sorted(scores.items(), key=lambda p: (-p[1], p[0])), start=1)
        ]
        tables = {
            "documents": ([(i, None, text) for i, text in self.texts.items()], DOCUMENTS),
            "queries": (list(self.queries.items()), QUERIES),
            "judgements": ([(*ids, grade) for ids, grade in self.judged.items()], JUDGEMENTS),
            "runs": (ranked, RUNS),
        }
        for name, (rows, schema) in tables.items():
            spark.createDataFrame(rows, schema.struct).write.format("delta").save(f"{lake}/{name}")

    def words(self, doc_id: str) -> set[str]:
        return set(re.findall(r"\w+", self.texts[doc_id].lower()))

    def near(self, one: str, other: str, limit: float) -> bool:
        a, b = self.words(one), self.words(other)
        return len(a & b) / len(a | b) >= limit

    def expected(
        self, query_id: str, pos_id: str, *, negatives: int, ranks: tuple[int, int], scores: tuple[float, float],
        margin: float, limit: float,
    ) -> list[str]:  # fmt: skip
        """The rules said again, one document after the other."""
        of_query = self.scores[query_id]
        ranking = sorted(of_query, key=lambda d: (-of_query[d], d))
        positives = [d for (q, d), grade in self.judged.items() if q == query_id and grade >= 1 and d in self.texts]
        chosen: list[str] = []
        for rank, doc_id in enumerate(ranking, start=1):
            if not ranks[0] <= rank <= ranks[1] or not scores[0] <= of_query[doc_id] <= scores[1]:
                continue
            if doc_id in positives or not self.words(doc_id) or of_query[pos_id] - of_query[doc_id] < margin:
                continue
            if any(self.near(doc_id, other, limit) for other in [*filter(self.words, positives), *chosen]):
                continue
            chosen.append(doc_id)
        return chosen[:negatives]


@pytest.fixture(scope="module")
def collection() -> Collection:
    return Collection()


@pytest.fixture(scope="module")
def mining_lake(spark: SparkSession, collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("mining") / "lake")
    collection.write(spark, root)
    return root


def table(spark: SparkSession, lake: str, name: str, training_set: str) -> list[Any]:
    return table_rows(f"{lake}/training/{training_set}/{name}")


def text_pairs(rows: list[Any], collection: Collection) -> set[tuple[str, str]]:
    return {(r["query_id"], collection.texts[doc_id]) for r in rows for doc_id in [r["pos_id"], *r["neg_ids"]]}


WINDOWS: dict[str, Any] = {"min_rank": 3, "max_rank": 30, "min_score": 2.0, "max_score": 13.5, "margin": 1.25}


def test_mined_negatives_are_those_that_brute_force_finds_by_windows_margin_and_near_duplicates(
    spark: SparkSession, run_job: Any, mining_lake: str, collection: Collection
) -> None:
    options = {"lake": mining_lake, "run": "run", "training_set": "mined", "dev_share": 0.2, "test_share": 0.2}
    asked = {**options, **WINDOWS, "negatives": 4, "near_duplicate": 0.8}
    result = run_job("mine_pairs", **asked)
    parts = {row["query_id"]: row["part"] for row in table(spark, mining_lake, "parts", "mined")}
    assert set(parts) == set(collection.queries)
    assert set(parts.values()) == {"train", "dev", "test"}
    found = {(row["query_id"], row["pos_id"]): row["neg_ids"] for row in table(spark, mining_lake, "pairs", "mined")}
    wanted = {}
    for (query_id, pos_id), grade in collection.judged.items():
        if grade >= 1 and parts[query_id] == "train" and pos_id in collection.texts and collection.words(pos_id):
            wanted[query_id, pos_id] = collection.expected(
                query_id, pos_id, negatives=4, ranks=(3, 30), scores=(2.0, 13.5), margin=1.25, limit=0.8
            )
    assert found == {ids: negatives for ids, negatives in wanted.items() if negatives}
    assert any(len(negatives) == 4 for negatives in found.values())
    assert result["without_negatives"] == sum(not negatives for negatives in wanted.values())
    assert result["with_fewer_negatives"] == sum(0 < len(negatives) < 4 for negatives in wanted.values())
    lost = [
        d for (q, d), grade in collection.judged.items() if grade and parts[q] == "train" and d in ("unknown", "d39")
    ]
    assert result["positives_without_text"] == len(lost)
    assert run_job("mine_pairs", **asked)["status"] == "skipped"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"margin": 1000.0}, "run 'run' gives no negative for any positive"),
        ({"relevance_level": 3}, "no query has both a text and a document of relevance 3 or more"),
        ({"run": "absent"}, "the table has no run 'absent'"),
    ],
)
def test_tables_that_give_no_pair_are_refused(run_job: Any, mining_lake: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        run_job("mine_pairs", **{"lake": mining_lake, "run": "run", "training_set": "none", **given})


@pytest.mark.slow
def test_a_part_is_measured_on_its_own_queries_alone(
    spark: SparkSession, run_job: Any, mining_lake: str, collection: Collection
) -> None:
    shares = {"training_set": "measured", "dev_share": 0.2, "test_share": 0.4}
    run_job("mine_pairs", lake=mining_lake, run="run", **shares)
    parts = {row["query_id"]: row["part"] for row in table(spark, mining_lake, "parts", "measured")}
    result = run_job("evaluate_run", lake=mining_lake, run_id="run", measures=("mrr@10",), part="measured/test")
    wanted = []
    for query_id in [q for q, part in parts.items() if part == "test"]:
        scores = collection.scores[query_id]
        first = sorted(scores, key=lambda d: (-scores[d], d))[:10]
        relevant = [1 / rank for rank, d in enumerate(first, start=1) if collection.judged.get((query_id, d), 0) >= 1]
        wanted.append(relevant[0] if relevant else 0.0)
    assert 0 < len(wanted) < len(parts)
    assert (result["queries"], result["measures"]["mrr@10"]) == (len(wanted), pytest.approx(sum(wanted) / len(wanted)))


def test_pairs_and_parts_do_not_depend_on_how_rows_are_spread(spark: SparkSession, collection: Collection) -> None:
    options = MinePairs(lake="x", run="run", negatives=3, choose="random", relative_margin=0.1, seed=7)
    documents = spark.createDataFrame([(i, None, t) for i, t in collection.texts.items()], DOCUMENTS.struct)
    words = words_of(documents).where("size(words) > 0").persist()
    positives = [(q, d, collection.scores[q].get(d), True) for q, d in collection.judged if d in collection.texts]
    rows = spark.createDataFrame(positives, "query_id string, pos_id string, score double, wanted boolean")
    rows = rows.join(words.withColumnRenamed("doc_id", "pos_id"), "pos_id")
    listed = [(q, d, score) for q, scores in collection.scores.items() for d, score in scores.items()]
    candidates = spark.createDataFrame(listed, "query_id string, doc_id string, score double")
    place = F.xxhash64(F.lit(7), "query_id", "doc_id")
    candidates = candidates.withColumn("place", place).join(words, "doc_id")

    def result(partitions: int) -> Any:
        spread = mined(rows.repartition(partitions, F.rand(partitions)), candidates.repartition(partitions), options)
        return sorted(map(tuple, spread.collect()))

    assert result(1) == result(7)
    queries = spark.createDataFrame(
        [*collection.queries.items(), ("again", " Question  0 " + collection.queries["q0"].split()[-1].upper())],
        QUERIES.struct,
    )
    parts = [
        {r["query_id"]: r["part"] for r in query_parts(q, queries, dev=0.3, test=0.3, seed=1).collect()}
        for q in (queries, queries.repartition(5))
    ]
    assert parts[0] == parts[1]
    assert parts[0]["again"] == parts[0]["q0"], "the same question in other letters is in the same part"


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cross_encoder(tmp_path_factory.mktemp("teacher") / "teacher")


def test_each_pair_of_texts_is_scored_once_and_margins_are_the_differences_of_the_teachers_scores(
    spark: SparkSession, run_job: Any, mining_lake: str, collection: Collection, cross_encoder: Path
) -> None:
    rows = [("q0", "d00", ["d05", "copy", "d07"]), ("q0", "d04", ["d05", "d08"]), ("q1", "d00", ["d09"])]
    write_rows(f"{mining_lake}/training/scored/pairs", rows, PAIRS)
    pairs = table(spark, mining_lake, "pairs", "scored")
    distinct = {(row["query_id"], doc_id) for row in pairs for doc_id in [row["pos_id"], *row["neg_ids"]]}
    score = {"lake": mining_lake, "training_set": "scored", "teachers": str(cross_encoder)}
    result = run_job("score_pairs", **score)
    # d05 and its copy are one pair of texts with q0, in two rows of one query and twice in another's list.
    assert (result["rows"], result["pairs"], result["scored_now"]) == (3, len(distinct), len(distinct) - 1)
    assert len(table(spark, mining_lake, "teacher_scores", "scored")) == len(distinct)
    reference = Reference(str(cross_encoder), device="cpu")
    ordered = sorted(distinct)
    given = [(collection.queries[q], collection.texts[d]) for q, d in ordered]
    wanted = dict(zip(ordered, reference.predict(given, show_progress_bar=False).tolist(), strict=True))
    for row in table(spark, mining_lake, "scored_pairs", "scored"):
        query_id = row["query_id"]
        assert row["pos_score"] == pytest.approx(wanted[query_id, row["pos_id"]], abs=1e-5)
        assert row["neg_scores"] == pytest.approx([wanted[query_id, d] for d in row["neg_ids"]], abs=1e-5)
        assert row["margins"] == [row["pos_score"] - score for score in row["neg_scores"]]
    assert run_job("score_pairs", **score)["status"] == "skipped"


@pytest.mark.slow
def test_only_pairs_that_are_new_are_scored_and_teachers_are_averaged(
    spark: SparkSession, run_job: Any, mining_lake: str, collection: Collection, cross_encoder: Path
) -> None:
    mine = {"lake": mining_lake, "run": "run", "training_set": "more", "dev_share": 0.0, "test_share": 0.0}
    score = {"lake": mining_lake, "training_set": "more", "teachers": str(cross_encoder), "chunk_rows": 9}
    with pytest.raises(DataError, match="there is no training/pairs table"):
        run_job("score_pairs", **score)
    run_job("mine_pairs", **mine, negatives=3)
    before = text_pairs(table(spark, mining_lake, "pairs", "more"), collection)
    assert run_job("score_pairs", **score)["scored_now"] == len(before)
    assert run_job("score_pairs", **score, force=True)["scored_now"] == 0
    run_job("mine_pairs", **mine, negatives=5)
    after = text_pairs(table(spark, mining_lake, "pairs", "more"), collection)
    both = {**score, "teachers": f"{cross_encoder},run:run"}
    assert run_job("score_pairs", **both)["scored_now"] == len(after - before) > 0
    row = table(spark, mining_lake, "scored_pairs", "more")[0]
    query_id, doc_id = row["query_id"], row["pos_id"]
    said = Reference(str(cross_encoder), device="cpu").predict(
        [(collection.queries[query_id], collection.texts[doc_id])]
    )
    assert row["pos_score"] == pytest.approx((said[0] + collection.scores[query_id][doc_id]) / 2, abs=1e-5)
    with pytest.raises(UsageError, match="contains the teacher 'run:run' twice"):
        run_job("score_pairs", **{**score, "teachers": "run:run,run:run"})


def test_scaled_teachers_have_the_first_ones_mean_and_deviation_before_they_are_averaged(spark: SparkSession) -> None:
    first, second = {"a": 1.0, "b": 3.0, "c": 5.0}, {"a": 30.0, "b": 20.0, "c": 10.0, "d": 7.0}
    rows = [(m, "q", d, s) for m, scores in (("one", first), ("two", second)) for d, s in scores.items()]
    frame = spark.createDataFrame(rows, "model_id string, query_id string, doc_id string, score double")
    found = {r["doc_id"]: r["score"] for r in averaged(frame, ["one", "two"], scaled=True).collect()}
    # The second teacher says the opposite: scaled it is 5, 3, 1, so all means are 3; d lacks the first teacher's score.
    assert found == pytest.approx({"a": 3.0, "b": 3.0, "c": 3.0}, abs=1e-9)
    plain = {r["doc_id"]: r["score"] for r in averaged(frame, ["one", "two"], scaled=False).collect()}
    assert plain == {"a": 15.5, "b": 11.5, "c": 7.5}


@pytest.mark.parametrize(("loss", "table"), [("margin-mse", "scored_pairs"), ("ranking", "pairs")])
def test_pairs_from_before_the_queries_were_put_into_other_parts_are_not_trained_on(
    spark: SparkSession, run_job: Any, mining_lake: str, tmp_path: Path, loss: str, table: str
) -> None:
    rows = {
        "parts": ([("q0", "train"), ("q1", "test"), ("q2", "dev")], PARTS),
        "pairs": ([(query_id, "d00", ["d09"]) for query_id in ("q0", "q1", "q2")], PAIRS),
        "scored_pairs": ([(q, "d00", ["d09"], 2.0, [1.0], [1.0]) for q in ("q0", "q1", "q2")], SCORED_PAIRS),
    }
    for name in ("parts", table):
        frame = spark.createDataFrame(rows[name][0], rows[name][1].struct)
        frame.write.format("delta").save(f"{mining_lake}/training/stale-{loss}/{name}")
    asked = {"lake": mining_lake, "training_set": f"stale-{loss}", "model": "splade-tiny", "loss": loss}
    with pytest.raises(DataError, match=r"the pairs have 2 queries outside the part 'train' \(for example 'q1'\)"):
        run_job("train_model", output=str(tmp_path / "model"), **asked)
    assert not (tmp_path / "model.work").exists()


@pytest.mark.slow
def test_a_training_set_in_other_files_is_the_same_training_set_and_one_with_other_pairs_is_not(
    spark: SparkSession, mining_lake: str
) -> None:
    options = TrainModel(lake=mining_lake, output="unused", training_set="packed", loss="ranking")
    ref = Lake(mining_lake).training("packed", "pairs")

    def fingerprint() -> str:
        return sources_of(spark, options, resolve_checkpoint("splade-tiny"))[1].fingerprint

    found = []
    for seed in (1, 2):
        rows = spark.createDataFrame([(f"q{i}", "d00", ["d09"]) for i in range(4)], PAIRS.struct).repartition(2)
        replace_rows(spark, ref, PAIRS, rows, lineage=Lineage("mine_pairs", {}, {"seed": seed}))
        found.append(fingerprint())
        spark.sql(f"OPTIMIZE {ref.identifier}")
        assert fingerprint() == found[-1]
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"min_rank": 5, "max_rank": 4}, "--min-rank 5 is above --max-rank 4"),
        ({"dev_share": 0.5, "test_share": 0.5}, "--dev-share is 0.5 and --test-share is 0.5; wanted a sum below 1"),
        ({"min_score": 2, "max_score": 1}, "--min-score 2.0 is above --max-score 1.0"),
        ({"training_set": "../elsewhere"}, "training_set"),
    ],
)
def test_options_of_mining_that_make_no_sense_are_refused(run_job: Any, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        run_job("mine_pairs", lake="unused", run="run", **given)
