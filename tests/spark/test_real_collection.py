"""The whole job on a real collection gives the figures measured outside this project."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession

from support.collections import collection
from support.reference import Vector, reference_measures

# splade-tiny over these 30,005 passages and 97 queries, ranked and measured without this project.
NDCG_MEASURED_OUTSIDE = 0.644


@pytest.mark.collection
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_msmarco_dl1920_gives_the_known_ndcg_and_the_measures_of_sentence_transformers(
    spark: SparkSession, run_job: Any, lake: str
) -> None:
    run_job("ingest_texts", lake=lake, source=str(collection("msmarco-dl1920")))
    run_job("encode_texts", lake=lake, model="splade-tiny")
    run_job("retrieve_run", lake=lake, model="splade-tiny", k=100)
    result = run_job("evaluate_run", lake=lake, model="splade-tiny")
    measures = dict(result["measures"])
    assert result["queries"] == 97
    assert measures.pop("ndcg_cut_10") == pytest.approx(NDCG_MEASURED_OUTSIDE, abs=0.002)

    def vectors(side: str) -> dict[str, Vector]:
        rows = spark.read.format("delta").load(f"{lake}/vectors/splade-tiny/{side}").toLocalIterator()
        return {row["id"]: (row["indices"], row["values"]) for row in rows}

    judgements = spark.read.format("delta").load(f"{lake}/judgements").where("relevance >= 1").collect()
    relevant: dict[str, set[str]] = {}
    for row in judgements:
        relevant.setdefault(row["query_id"], set()).add(row["doc_id"])
    wanted = reference_measures(vectors("queries"), vectors("documents"), relevant)
    assert set(measures) == set(wanted)
    for name, value in wanted.items():
        assert measures[name] == pytest.approx(value, abs=1e-4), name
