"""Inputs of unusual sizes: equal texts, one-word texts, a text of megabytes, a query of 20,000 words, the largest k."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from spladelake.vectors import SparseVectors
from support.documents import WORDS, write_documents, write_queries
from support.exact import exact_top_k
from support.tables import table_rows

EQUAL, SHORT = 200, 200


def rows_of(lake: str, model: str, side: str) -> tuple[list[str], SparseVectors]:
    rows = sorted(table_rows(f"{lake}/vectors/{model}/{side}"), key=lambda row: row["id"])
    sizes = np.cumsum([0, *(len(row["indices"]) for row in rows)])
    indices = np.concatenate([row["indices"] for row in rows]).astype(np.int32)
    values = np.concatenate([row["values"] for row in rows]).astype(np.float32)
    return [row["id"] for row in rows], SparseVectors(sizes, indices, values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "given", "rejected"),
    [("bm25", {}, []), ("splade-tiny", {"max_text_bytes": 1_000_000, "max_rejected": 0.01}, ['"long"'])],
)
def test_a_ranking_of_everything_is_brute_force_and_only_a_text_above_the_limit_is_in_quarantine(
    spark: SparkSession, run_job: Any, lake: str, model: str, given: dict[str, Any], rejected: list[str]
) -> None:
    texts: dict[str, str | None] = {f"equal{n:03}": "the boundary layer of a flat plate" for n in range(EQUAL)}
    texts |= {f"short{n:03}": WORDS[n % 10] for n in range(SHORT)}
    texts |= {"long": "flat bread " * 300_000, "empty": ""}
    write_documents(spark, lake, texts)
    asked = " ".join(f"{WORDS[n % 10]} {n}" for n in range(10_000))
    write_queries(spark, lake, {"q0": "flat plate", "q1": asked, "q2": "nothing of it zzz"})
    run_job("encode_texts", lake=lake, model=model, **given)
    found = table_rows(f"{lake}/quarantine") if rejected else []
    assert [row["reason"].split(":")[0] for row in found] == rejected
    run_job("retrieve_run", lake=lake, model=model, k=10_000)
    ids, documents = rows_of(lake, model, "documents")
    assert set(ids) | {row["reason"].split('"')[1] for row in found} == set(texts)
    _, queries = rows_of(lake, model, "queries")
    wanted = exact_top_k(queries, documents, ids, k=len(ids), vocabulary_size=int(documents.indices.max()) + 1)
    order = sorted((row["query_id"], row["rank"], row["doc_id"]) for row in table_rows(f"{lake}/runs"))
    assert [(query, doc_id) for query, _, doc_id in order] == [(f"q{q}", doc_id) for q, doc_id, _ in wanted]
    assert len(wanted) >= EQUAL + SHORT
