"""Training and re-ranking read the passages that runs name: texts, scores and places are those of brute force."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from sentence_transformers import CrossEncoder

from spladelake.config.training import TrainModel
from spladelake.errors import UsageError
from spladelake.passages import document_of, passage_id
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import DOCUMENTS, JUDGEMENTS, PASSAGE_RUNS, QUERIES
from spladelake.spark.train.data import Sources, write_training_data
from spladelake.training import TrainingData
from support.cross_encoders import write_cross_encoder
from support.tables import table_rows, write_rows

WORDS = [
    "rail",
    "bread",
    "apple",
    "river",
    "mouse",
    "Straße",
    "東京",
    "flour",
    "yeast",
    "juice",
    "sea",
    "ball",
    "\U0001f9c0",
]
# Degree of likeness from which texts are near duplicates: of passages, which share few words, and of whole texts.
LIMITS = {False: 0.4, True: 0.8}
Place = tuple[int, int, int]


@dataclass
class Collection:
    """Twelve documents of five passages, three judged queries, a run of documents and a run of passages."""

    texts: dict[str, str] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    judged: dict[str, list[str]] = field(default_factory=dict)
    run: dict[str, dict[str, tuple[float, Place]]] = field(default_factory=dict)
    parts: dict[str, list[str]] = field(default_factory=dict)

    def of(self, doc_id: str, place: Place | None) -> str:
        """The text that models read: the passage or the whole text, with the title."""
        text = self.texts[doc_id]
        return f"Title {doc_id} " + (text if place is None else text[place[1] : place[2]])

    def trained(self, query_id: str, doc_id: str) -> str:
        return self.of(doc_id, self.run[query_id][doc_id][1] if doc_id in self.run[query_id] else None)


def made(seed: int = 5) -> Collection:
    draw = random.Random(seed)
    found = Collection()
    for n in range(12):
        parts = [" ".join(draw.choices(WORDS, k=6)) for _ in range(5)]
        starts = [sum(len(part) + 1 for part in parts[:p]) for p in range(5)]
        found.texts[f"d{n:02}"] = " ".join(parts)
        found.places[f"d{n:02}"] = [(p, starts[p], starts[p] + len(parts[p])) for p in range(5)]
    for n in range(3):
        query = f"q{n}"
        found.queries[query] = f"question {n} {draw.choice(WORDS)}"
        found.judged[query] = draw.sample(list(found.texts), 2)
        scores = draw.sample(range(1, 60), 12)
        ranked = zip(found.texts, scores, strict=True)
        found.run[query] = {d: (score / 4, draw.choice(found.places[d])) for d, score in ranked}
        found.parts[query] = draw.sample([passage_id(d, p) for d in found.texts for p in range(5)], 25)
    del found.run["q0"][found.judged["q0"][0]]  # the run does not list one of the positives
    return found


@pytest.fixture(scope="module")
def collection() -> Collection:
    return made()


def ranking(scores: Mapping[str, tuple[float, Place]]) -> list[str]:
    return sorted(scores, key=lambda d: (-scores[d][0], d))


@pytest.fixture(scope="module")
def lake(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("passages") / "lake")
    c = collection
    rows = [
        ("run", query, d, rank, *scores[d][:1], *scores[d][1])
        for query, scores in c.run.items()
        for rank, d in enumerate(ranking(scores), start=1)
    ]
    rows += [(f"whole{row[0]}", *row[1:5], None, None, None) for row in rows]
    for query, listed in c.parts.items():
        for rank, passage in enumerate(listed, start=1):
            d, p = document_of(passage)
            rows.append(("parts", query, passage, rank, 99.0 - rank, *c.places[d][p]))
    write_rows(f"{root}/runs", rows, PASSAGE_RUNS)
    write_rows(f"{root}/documents", [(d, f"Title {d}", text) for d, text in c.texts.items()], DOCUMENTS)
    write_rows(f"{root}/queries", list(c.queries.items()), QUERIES)
    write_rows(f"{root}/judgements", [(q, d, 1) for q, listed in c.judged.items() for d in listed], JUDGEMENTS)
    return root


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_cross_encoder(tmp_path_factory.mktemp("teacher") / "teacher"))


def scores_of(model: str, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], float]:
    predicted = CrossEncoder(model, device="cpu").predict(pairs, show_progress_bar=False).tolist()
    return dict(zip(pairs, predicted, strict=True))


def words(text: str) -> set[str]:
    return {word for word in text.lower().split() if word != "\U0001f9c0"}


def near(one: str, other: str, limit: float) -> bool:
    a, b = words(one), words(other)
    return len(a & b) / len(a | b) >= limit


def brute_force(c: Collection, query: str, *, whole: bool) -> list[str]:
    """The negatives of a query: by rank, without relevant documents and near duplicates of the texts to train on."""
    text, limit = {d: c.of(d, None) if whole else c.trained(query, d) for d in c.texts}, LIMITS[whole]
    chosen: list[str] = []
    for d in ranking(c.run[query]):
        if d in c.judged[query]:
            continue
        if not any(near(text[d], text[other], limit) for other in [*c.judged[query], *chosen]):
            chosen.append(d)
    return chosen[:3]


MINE = {"run": "run", "negatives": 3, "near_duplicate": LIMITS[False], "dev_share": 0.0, "test_share": 0.0}


def test_pairs_name_the_best_passages_and_are_mined_scored_and_trained_on_by_their_texts(
    spark: SparkSession, run_job: Any, lake: str, collection: Collection, cross_encoder: str, tmp_path: Path
) -> None:
    c = collection
    run_job("mine_pairs", lake=lake, **MINE)
    pairs = table_rows(f"{lake}/training/default/pairs")
    wanted = {(q, d): brute_force(c, q, whole=False) for q, listed in c.judged.items() for d in listed}
    assert {(r["query_id"], r["pos_id"]): r["neg_ids"] for r in pairs} == {k: v for k, v in wanted.items() if v}
    run_job("score_pairs", lake=lake, teachers=cross_encoder)
    scored = {(r["query_id"], r["pos_id"]): r for r in table_rows(f"{lake}/training/default/scored_pairs")}
    expected = scores_of(
        cross_encoder, [(c.queries[q], c.trained(q, d)) for (q, pos), listed in wanted.items() for d in [pos, *listed]]
    )
    unlisted = ("q0", c.judged["q0"][0])
    assert unlisted in scored
    for row in pairs:
        query, pos, listed = row["query_id"], row["pos_id"], row["neg_ids"]
        places = [c.run[query][d][1] for d in listed]
        assert (row["neg_starts"], row["neg_ends"]) == ([p[1] for p in places], [p[2] for p in places])
        place = None if (query, pos) == unlisted else c.run[query][pos][1]
        assert (row["pos_start"], row["pos_end"]) == ((None, None) if place is None else place[1:])
        found = scored[query, pos]
        for column in ("neg_ids", "pos_start", "pos_end", "neg_starts", "neg_ends"):
            assert found[column] == row[column]
        given = [expected[c.queries[query], c.trained(query, d)] for d in [pos, *listed]]
        assert [found["pos_score"], *found["neg_scores"]] == pytest.approx(given, abs=1e-4)
    read = {name: Lake(lake).table(name).read(spark) for name in ("queries", "documents")}
    place = Lake(lake).training("default", "scored_pairs")
    sources = Sources(place.read(spark), place, read["queries"], read["documents"], None, None, None, level=1)
    counts = write_training_data(sources, tmp_path, TrainModel(lake=lake, output="unused", negatives=2))
    listed = {(query, text) for (query, pos), n in wanted.items() if len(n) > 1 for text in [pos, *n[:2]]}
    assert counts["documents"] == len({c.trained(q, d) for q, d in listed})
    trained = TrainingData(tmp_path).pairs(labels=True)
    rows = [trained[i] for i in range(counts["pairs"])]
    assert sorted((r["query"], r["positive"], r["negative_1"], r["negative_2"]) for r in rows) == sorted(
        (c.queries[q], *(c.trained(q, d) for d in [pos, *n[:2]])) for (q, pos), n in wanted.items() if len(n) > 1
    )


def test_whole_texts_are_trained_on_by_choice_and_if_the_run_is_made_of_them(
    run_job: Any, lake: str, collection: Collection
) -> None:
    wanted = {(q, d): brute_force(collection, q, whole=True) for q, ds in collection.judged.items() for d in ds}
    assert any(wanted.values())
    assert wanted != {(q, d): brute_force(collection, q, whole=False) for q, d in wanted}
    for given in ({"passages": "whole"}, {"run": "wholerun"}):
        run_job(
            "mine_pairs",
            lake=lake,
            training_set=given.get("run", "whole"),
            **{**MINE, "near_duplicate": LIMITS[True], **given},
        )
        pairs = table_rows(f"{lake}/training/{given.get('run', 'whole')}/pairs")
        assert {(r["query_id"], r["pos_id"]): r["neg_ids"] for r in pairs} == {k: v for k, v in wanted.items() if v}
        assert len(pairs[0]) == 3
    with pytest.raises(UsageError, match="the run 'parts' lists passages; wanted a run of documents"):
        run_job("mine_pairs", lake=lake, **{**MINE, "run": "parts"})


def test_a_document_gets_the_best_score_of_its_retrieved_passages_and_the_place_of_that_passage(
    run_job: Any, lake: str, collection: Collection, cross_encoder: str
) -> None:
    c = collection
    given = {"lake": lake, "run": "parts", "cross_encoder": cross_encoder, "passages": "all"}
    done = run_job("rerank_run", **given, depth=6, ranking="by-all")
    pairs = [(q, *document_of(passage)) for q, listed in c.parts.items() for passage in listed]
    expected = scores_of(cross_encoder, list({(c.queries[q], c.of(d, c.places[d][p])) for q, d, p in pairs}))
    rows = {}
    count = 0
    for query in c.queries:
        order = list(dict.fromkeys(d for q, d, _ in pairs if q == query))  # documents by their first passages
        listed = {d: [c.places[d][p] for q, other, p in pairs if (q, other) == (query, d)] for d in order}
        best = {d: max(listed[d], key=lambda at: expected[c.queries[query], c.of(d, at)]) for d in order[:6]}
        score = {d: expected[c.queries[query], c.of(d, best[d])] for d in best}
        for rank, d in enumerate([*sorted(best, key=lambda d: (-score[d], d)), *order[6:]], start=1):
            value = score[d] if d in score else min(score.values()) - (rank - 6)
            rows[query, rank] = (d, pytest.approx(value, abs=1e-4), *(best[d] if d in best else listed[d][0]))
        count += sum(len(listed[d]) for d in best)
    columns = ("doc_id", "score", "passage", "passage_start", "passage_end")
    found = table_rows(f"{lake}/runs", run_id="by-all")
    assert {(r["query_id"], r["rank"]): tuple(r[column] for column in columns) for r in found} == rows
    assert (done["pairs"], done["rows"]) == (count, len(rows))
    assert run_job("rerank_run", **given, depth=6, ranking="by-all")["status"] == "skipped"


def test_a_run_of_another_kind_than_asked_is_refused(run_job: Any, lake: str, cross_encoder: str) -> None:
    given = {"lake": lake, "cross_encoder": cross_encoder}
    for run, passages, said in (
        ("parts", "best", "the run 'parts' lists passages, but --passages best needs"),
        ("parts", "whole", "the run 'parts' lists passages, but --passages whole needs"),
        ("run", "all", "the run 'run' lists documents, each with only its best passage"),
        ("wholerun", "all", "the run 'wholerun' lists documents, but --passages all needs a run of passages"),
    ):
        with pytest.raises(UsageError) as error:
            run_job("rerank_run", **given, run=run, passages=passages)
        assert said in str(error.value)
