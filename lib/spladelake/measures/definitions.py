"""The measures' formulas, each for one ranking.

hits: bool (ranks), whether the document at each rank is relevant, already cut at the measure's depth.
relevant: how many relevant documents the query has, found or not; called R in comments, at least 1.
k: the measure's depth, which a short ranking does not reach.

The examples use one ranking of a query with R = 3 relevant documents, found at ranks 2 and 3 of 4: hits = 0 1 1 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Relevances = NDArray[np.int32]


def success(hits: Hits, relevant: int, k: int) -> float:
    """1 where a relevant document is among the first k, else 0. Source: trec_eval `success`; named accuracy@k too.

    Example: success at 1 is 0, at 2 it is 1.
    """
    return float(hits.any())


def precision(hits: Hits, relevant: int, k: int) -> float:
    """Share of the first k ranks that hold a relevant document; empty ranks count as misses. Source: trec_eval `P`.

    Example: precision at 3 is 2/3; at 5, with 4 documents returned, 2/5.
    """
    return int(np.count_nonzero(hits)) / k


def recall(hits: Hits, relevant: int, k: int) -> float:
    """Share of the relevant documents that are among the first k. Source: trec_eval `recall`.

    Example: recall at 2 is 1/3, at 4 it is 2/3.
    """
    return int(np.count_nonzero(hits)) / relevant


def reciprocal_rank(hits: Hits, relevant: int, k: int) -> float:
    """1 / rank of the first relevant document, 0 without one. Source: Voorhees, TREC-8 question answering track, 1999.

    Example: 1/2; cut at depth 1 it is 0.
    """
    return 1 / (int(hits.argmax()) + 1) if hits.any() else 0.0


def average_precision(hits: Hits, relevant: int, k: int) -> float:
    """Sum of the precision at each relevant document found, divided by R. Source: trec_eval `map` and `map_cut`.

    Example: (1/2 + 2/3) / 3 = 7/18; cut at depth 2 it is (1/2) / 3 = 1/6, although 2 is the most that depth 2 can hold.
    """
    return _precision_sum(hits) / relevant


def average_precision_of_min(hits: Hits, relevant: int, k: int) -> float:
    """Sum of the precision at each relevant document found, divided by min(k, R), so that 1 can always be reached.

    Example: at 2 it is (1/2) / min(2, 3) = 1/4; at 100 it is 7/18. Source: sentence-transformers' `map@k`.
    """
    return _precision_sum(hits) / min(k, relevant)


def binary_ndcg(hits: Hits, relevant: int, k: int) -> float:
    """Discounted gain of the relevant documents over that of min(k, R) of them at the top; grades do not matter.

    Example: at 3 it is (1/log2(3) + 1/log2(4)) / (1 + 1/log2(3) + 1/log2(4)) = 1.1309 / 2.1309 = 0.5307.
    Source: sentence-transformers' `ndcg@k`.
    """
    return _discounted(hits) / _discounted(np.ones(min(k, relevant)))


def graded_ndcg(relevance: Relevances, judged: Relevances, k: int) -> float:
    """Discounted sum of the grades at the first k ranks over that of the best possible ranking, 0 without a grade > 0.

    relevance: int32 (ranks), cut at k, 0 where unjudged. judged: int32, every grade of the query. A grade is its own
    gain, not 2^grade - 1; grades below 0 gain nothing. Source: trec_eval `ndcg_cut`; Järvelin and Kekäläinen, 2002.

    Example: grades 0 3 1 at the first ranks, judged 3 2 1 0: at 2 it is (3/log2(3)) / (3 + 2/log2(3)) = 0.4441.
    """
    ideal = np.sort(np.maximum(judged, 0))[::-1][:k]
    best = _discounted(ideal)
    return _discounted(np.maximum(relevance, 0)) / best if best else 0.0


def _precision_sum(hits: Hits) -> float:
    ranks = np.flatnonzero(hits) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).sum())


def _discounted(gains: NDArray[np.bool_] | NDArray[np.int32] | NDArray[np.float64]) -> float:
    """Sum of gain / log2(rank + 1)."""
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())
