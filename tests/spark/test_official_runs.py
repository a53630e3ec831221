"""Official TREC runs, imported and measured in Spark, score as pytrec_eval, sentence-transformers and TREC say."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import pytrec_eval
from pyspark.sql import SparkSession
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from spladelake.measures import CARD_MEASURES, TREC_MEASURES
from support.collections import collection

# nDCG@10 by the official judgements, as the folder's SOURCE.md lists it: by the ranks in the files.
PUBLISHED = {
    "bm25": (0.5058, 0.4796),
    "bm25-rm3": (0.5216, 0.4896),
    "distilbert-kd-tasb": (0.7210, 0.6854),
    "openai-ada2": (0.7035, 0.6759),
    "splade-pp-ed": (0.7308, 0.7197),
    "repllama-ranks": (0.7439, 0.7205),
}
LEVEL = 2


@pytest.fixture(scope="module")
def official(run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A lake of all twelve runs, each system's two years as one run, and RepLLaMA's once more by its ranks."""
    folder = collection("msmarco-dl1920")
    lake = str(tmp_path_factory.mktemp("official") / "lake")
    run_job("ingest_texts", lake=lake, judgements=str(folder / "qrels/official_full.tsv"))
    result = run_job("import_run", lake=lake, run=f"{folder}/runs/*.trec")
    assert set(result["run_ids"]) == {*PUBLISHED, "repllama"} - {"repllama-ranks"}
    run_job("import_run", lake=lake, run=f"{folder}/runs/*repllama*", run_id="repllama-ranks", order="ranks")
    return lake, folder


def per_query(spark: SparkSession, lake: str, run_id: str) -> dict[str, dict[str, float]]:
    rows = spark.read.format("delta").load(f"{lake}/measures").where(f"run_id = '{run_id}' AND query_id IS NOT NULL")
    found: dict[str, dict[str, float]] = {}
    for row in rows.collect():
        found.setdefault(row["query_id"], {})[row["measure"]] = row["value"]
    return found


@pytest.mark.collection
@pytest.mark.slow
@pytest.mark.parametrize("run_id", [*PUBLISHED, "repllama"])
def test_every_measure_of_every_query_is_that_of_the_references(
    spark: SparkSession, run_job: Any, official: tuple[str, Path], run_id: str
) -> None:
    lake, folder = official
    result = run_job("evaluate_run", lake=lake, run_id=run_id, measures=["all"], relevance_level=LEVEL)
    assert (result["queries"], result["queries_without_results"], result["ranks_against_scores"]) == (97, 0, 0)
    found = per_query(spark, lake, run_id)

    files = sorted(folder.glob(f"runs/*.{run_id.removesuffix('-ranks')}.top.trec"))
    tracks = [pytrec_eval.parse_run(io.StringIO(file.read_text())) for file in files]
    if run_id in PUBLISHED:
        for track, wanted in zip(tracks, PUBLISHED[run_id], strict=True):
            mean = sum(found[query_id]["ndcg_cut_10"] for query_id in track) / len(track)
            assert mean == pytest.approx(wanted, abs=5e-5)
    if run_id == "repllama-ranks":  # its scores are no longer those of the file
        return
    run = tracks[0] | tracks[1]
    rows = [line.split() for line in (folder / "qrels/official_full.tsv").read_text().splitlines()]
    judgements: dict[str, dict[str, int]] = {}
    for query_id, doc_id, grade in (row if len(row) == 3 else (row[0], row[2], row[3]) for row in rows):
        if grade.lstrip("-").isdigit():
            judgements.setdefault(query_id, {})[doc_id] = int(grade)
    wanted_names = {re.sub(r"_(?=[0-9])", ".", name) for name in TREC_MEASURES}
    expected = pytrec_eval.RelevanceEvaluator(judgements, wanted_names, relevance_level=LEVEL).evaluate(run)
    assert len(expected) == 97
    for query_id, values in expected.items():
        assert {n: found[query_id][n] for n in TREC_MEASURES} == pytest.approx(
            {n: values[n] for n in TREC_MEASURES}, abs=1e-6
        ), query_id

    relevant = {q: {d for d, grade in judged.items() if grade >= LEVEL} for q, judged in judgements.items()}
    texts = {q: q for q in judgements}
    evaluator = InformationRetrievalEvaluator(texts, {"-": ""}, relevant, score_functions={"dot": None})
    given = [[{"corpus_id": d, "score": s} for d, s in run[q].items()] for q in evaluator.queries_ids]
    means = evaluator.compute_metrics(given)
    for name in CARD_MEASURES:
        measure, k = name.split("@")
        assert result["measures"][name] == pytest.approx(means[f"{measure}@k"][int(k)], abs=1e-6), name
