"""Rankings with ties, unjudged and missing parts score as sentence-transformers, pytrec_eval and ir_measures say."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ir_measures
import numpy as np
import pytest
import pytrec_eval
import torch
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from spladelake.files import read_judgements, read_run
from spladelake.measures import CARD_MEASURES, TREC_MEASURES, counts, parse_measure, rank_order
from support.collections import collection

Judgements = dict[str, dict[str, int]]  # query_id: doc_id: relevance
Run = dict[str, dict[str, float]]  # query_id: doc_id: score

# Ids whose order as strings is neither numeric nor that of their UTF-16 code units.
DOC_IDS = [f"d{i}" for i in range(36)] + ["D1", "é", "\uffee", "\U0001f600"]
TREC_NAMES = (*TREC_MEASURES, "ndcg_cut_3", "map_cut_5", "recall_5", "P_5", "success_1", "success_5")


def random_judgements(rng: np.random.Generator, queries: int) -> Judgements:
    """Grades -1 to 3; about one query in four has no grade above 0."""

    def of_query() -> dict[str, int]:
        grades = [-1, 0] if rng.random() < 0.25 else [-1, 0, 1, 2, 3]
        judged = rng.choice(DOC_IDS, size=rng.integers(1, 15), replace=False)
        return {str(doc_id): int(rng.choice(grades)) for doc_id in judged}

    return {f"q{i}": of_query() for i in range(queries)}


def random_run(rng: np.random.Generator, queries: int) -> Run:
    """Eight different scores over up to 40 documents: most ranks are decided by the tie rule."""

    def of_query() -> dict[str, float]:
        found = rng.choice(DOC_IDS, size=rng.integers(1, len(DOC_IDS) + 1), replace=False)
        return {str(doc_id): float(rng.integers(8)) / 4 for doc_id in found}

    return {f"q{i}": of_query() for i in range(queries)}


def value(name: str, judged: dict[str, int], found: dict[str, float], *, level: int = 1) -> float:
    measure = parse_measure(name)
    doc_ids = list(found)
    # pytrec_eval carries trec_eval 9.0.8, whose scores are float32.
    scores = np.array(list(found.values()), dtype=np.float32).astype(np.float64)
    order = rank_order(scores, doc_ids, measure.convention)
    relevance = np.array([judged.get(doc_ids[i], 0) for i in order], dtype=np.int32)
    return measure(relevance, np.array(list(judged.values()), dtype=np.int32), level=level)


def mean(name: str, judgements: Judgements, run: Run, *, level: int = 1) -> float:
    convention = parse_measure(name).convention
    counted = [
        query_id
        for query_id, judged in judgements.items()
        if counts(np.array(list(judged.values()), dtype=np.int32), convention, level)
    ]
    return float(np.mean([value(name, judgements[q], run.get(q, {}), level=level) for q in counted]))


def evaluator_of(judgements: Judgements, *, level: int) -> InformationRetrievalEvaluator:
    """sentence-transformers' evaluator of these judgements; it takes the relevant documents only."""
    relevant = {q: {d for d, grade in judged.items() if grade >= level} for q, judged in judgements.items()}
    texts = {q: q for q in judgements}
    return InformationRetrievalEvaluator(texts, dict.fromkeys(DOC_IDS, ""), relevant, score_functions={"dot": None})


@pytest.mark.parametrize("level", [1, 2])
def test_card_measures_equal_the_evaluator_given_its_results(level: int) -> None:
    rng = np.random.default_rng(level)
    judgements, run = random_judgements(rng, 60), random_run(rng, 40)  # nothing was found for the last 20
    evaluator = evaluator_of(judgements, level=level)
    assert 20 < len(evaluator.queries_ids) < 60
    expected = evaluator.compute_metrics(
        [[{"corpus_id": d, "score": s} for d, s in run.get(q, {}).items()] for q in evaluator.queries_ids]
    )
    for name in CARD_MEASURES:
        measure, k = name.split("@")
        assert mean(name, judgements, run, level=level) == pytest.approx(expected[f"{measure}@k"][int(k)], abs=1e-12)


@pytest.mark.parametrize("chunk", [7, 1000])
def test_card_measures_equal_the_evaluator_from_scores_on_with_ties_at_every_cut(chunk: int) -> None:
    rng = np.random.default_rng(chunk)
    judgements = random_judgements(rng, 30)
    evaluator = evaluator_of(judgements, level=1)
    evaluator.corpus_chunk_size = chunk
    scores = torch.tensor(rng.integers(4, size=(len(evaluator.queries_ids), len(DOC_IDS))) / 4.0)
    evaluator.score_functions = {"dot": lambda queries, documents: queries @ documents.T}
    model = SimpleNamespace(encode_query=lambda *_, **__: scores)
    # Documents are unit vectors, so a query's embedding is its row of scores.
    expected = evaluator.compute_all_metrics(model, corpus_embeddings=torch.eye(len(DOC_IDS), dtype=scores.dtype))[
        "dot"
    ]
    run = {
        q: dict(zip(DOC_IDS, row.tolist(), strict=True)) for q, row in zip(evaluator.queries_ids, scores, strict=True)
    }
    for name in CARD_MEASURES:
        measure, k = name.split("@")
        assert mean(name, judgements, run) == pytest.approx(expected[f"{measure}@k"][int(k)], abs=1e-12)


@pytest.mark.parametrize("level", [1, 2])
def test_trec_measures_equal_pytrec_eval_query_by_query(level: int) -> None:
    rng = np.random.default_rng(level)
    judgements, run = random_judgements(rng, 60), random_run(rng, 60)
    # pytrec_eval asks for ndcg_cut.10 and answers with ndcg_cut_10.
    wanted = {re.sub(r"_(?=[0-9])", ".", name) for name in TREC_NAMES}
    expected = pytrec_eval.RelevanceEvaluator(judgements, wanted, relevance_level=level).evaluate(run)
    assert len(expected) == 60
    for query_id, values in expected.items():
        for name in TREC_NAMES:
            found = value(name, judgements[query_id], run[query_id], level=level)
            assert found == pytest.approx(values[name], abs=1e-9), (query_id, name)


def test_trec_means_equal_ir_measures_where_queries_are_missing() -> None:
    rng = np.random.default_rng(3)
    judgements, run = random_judgements(rng, 50), random_run(rng, 60)
    del run["q1"], run["q2"]  # judged but not answered: 0; q50 to q59 are answered but not judged: left out
    names = {
        "ndcg_cut_10": "nDCG@10",
        "map": "AP",
        "map_cut_5": "AP@5",
        "recip_rank": "RR",
        "recall_5": "R@5",
        "P_10": "P@10",
    }
    measures = {name: ir_measures.parse_measure(other) for name, other in names.items()}
    expected = ir_measures.calc_aggregate(measures.values(), judgements, run)
    for name, measure in measures.items():
        assert mean(name, judgements, run) == pytest.approx(expected[measure], abs=1e-9), name


def test_recip_rank_cut_is_ir_measures_reciprocal_rank_at_k_where_no_scores_tie() -> None:
    rng = np.random.default_rng(4)
    judgements = random_judgements(rng, 40)
    run = {q: {d: float(s) for d, s in zip(DOC_IDS, rng.permutation(len(DOC_IDS)), strict=True)} for q in judgements}
    expected = ir_measures.calc_aggregate([ir_measures.RR @ 5], judgements, run)[ir_measures.RR @ 5]
    assert mean("recip_rank_cut_5", judgements, run) == pytest.approx(expected, abs=1e-9)


# nDCG@10 by the official judgements, as its folder's SOURCE.md lists it.
OFFICIAL = {
    "dl19.bm25": 0.5058,
    "dl19.bm25-rm3": 0.5216,
    "dl19.distilbert-kd-tasb": 0.7210,
    "dl19.openai-ada2": 0.7035,
    "dl19.splade-pp-ed": 0.7308,
    "dl19.repllama": 0.7439,
    "dl20.bm25": 0.4796,
    "dl20.bm25-rm3": 0.4896,
    "dl20.distilbert-kd-tasb": 0.6854,
    "dl20.openai-ada2": 0.6759,
    "dl20.splade-pp-ed": 0.7197,
    "dl20.repllama": 0.7205,
}


@pytest.fixture(scope="module")
def msmarco() -> Path:
    return collection("msmarco-dl1920")


def nested(rows: Iterable[tuple[str, str, Any]]) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for query_id, doc_id, number in rows:
        table.setdefault(query_id, {})[doc_id] = number
    return table


@pytest.mark.collection
@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_run_scores_as_published_and_as_pytrec_eval_says(msmarco: Path, name: str) -> None:
    path = msmarco / f"runs/{name}.top.trec"
    rows = list(read_run(path))
    by_score: Run = nested((query_id, doc_id, score) for _, query_id, doc_id, _, score in rows)
    assert by_score == pytrec_eval.parse_run(io.StringIO(path.read_text()))
    judged = nested(read_judgements(msmarco / "qrels/official_full.tsv"))
    judgements: Judgements = {query_id: judged[query_id] for query_id in by_score}

    # The published values follow the ranks in the file. RepLLaMA's scores have three digits, so that many of them tie
    # and trec_eval, which goes by scores, gives it 0.7384 and 0.7195.
    by_rank: Run = nested((query_id, doc_id, -float(rank)) for _, query_id, doc_id, rank, _ in rows)
    assert mean("ndcg_cut_10", judgements, by_rank) == pytest.approx(OFFICIAL[name], abs=1e-4)
    if "repllama" not in name:
        assert mean("ndcg_cut_10", judgements, by_score) == pytest.approx(OFFICIAL[name], abs=1e-4)

    wanted = {"ndcg_cut.10", "recip_rank", "map", "recall.100,1000", "P.10"}
    expected = pytrec_eval.RelevanceEvaluator(judgements, wanted, relevance_level=2).evaluate(by_score)
    for measure in TREC_MEASURES:
        reference = np.mean([values[measure] for values in expected.values()])
        assert mean(measure, judgements, by_score, level=2) == pytest.approx(reference, abs=1e-6), measure
