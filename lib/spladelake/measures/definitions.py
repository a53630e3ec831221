"""The measures' formulas, each for one ranking or, with a leading axis, for many at once.

hits: bool (…, ranks), whether the document at each rank is relevant, already cut at the measure's depth.
relevant: int64 (…), how many relevant documents the query has, found or not; called R in comments, at least 1.
k: the measure's depth, which a short ranking does not reach.
A value is float64 (…).

The examples use one ranking of a query with R = 3 relevant documents, found at ranks 2 and 3 of 4: hits = 0 1 1 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Hits = NDArray[np.bool_]
Relevances = NDArray[np.int32]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]


def success(hits: Hits, relevant: Counts, k: int) -> Values:
    """1 where a relevant document is among the first k, else 0. Source: trec_eval `success`; named accuracy@k too.

    Example: success at 1 is 0, at 2 it is 1.
    """
    return _values(hits.any(axis=-1))


def precision(hits: Hits, relevant: Counts, k: int) -> Values:
    """Share of the first k ranks that hold a relevant document; empty ranks count as misses. Source: trec_eval `P`.

    Example: precision at 3 is 2/3; at 5, with 4 documents returned, 2/5.
    """
    return _values(np.count_nonzero(hits, axis=-1) / np.float64(k))


def recall(hits: Hits, relevant: Counts, k: int) -> Values:
    """Share of the relevant documents that are among the first k. Source: trec_eval `recall`.

    Example: recall at 2 is 1/3, at 4 it is 2/3.
    """
    return _values(np.count_nonzero(hits, axis=-1) / relevant.astype(np.float64))


def reciprocal_rank(hits: Hits, relevant: Counts, k: int) -> Values:
    """1 / rank of the first relevant document, 0 without one. Source: Voorhees, TREC-8 question answering track, 1999.

    Example: 1/2; cut at depth 1 it is 0.
    """
    found = hits.any(axis=-1)
    if not hits.shape[-1]:
        return _values(found)
    return _values(found / (hits.argmax(axis=-1) + 1.0))


def average_precision(hits: Hits, relevant: Counts, k: int) -> Values:
    """Sum of the precision at each relevant document found, divided by R. Source: trec_eval `map` and `map_cut`.

    Example: (1/2 + 2/3) / 3 = 7/18; cut at depth 2 it is (1/2) / 3 = 1/6, although 2 is the most that depth 2 can hold.
    """
    return _values(_precision_sum(hits) / relevant)


def average_precision_of_min(hits: Hits, relevant: Counts, k: int) -> Values:
    """Sum of the precision at each relevant document found, divided by min(k, R), so that 1 can always be reached.

    Example: at 2 it is (1/2) / min(2, 3) = 1/4; at 100 it is 7/18. Source: sentence-transformers' `map@k`.
    """
    return _values(_precision_sum(hits) / np.minimum(k, relevant))


def binary_ndcg(hits: Hits, relevant: Counts, k: int) -> Values:
    """Discounted gain of the relevant documents over that of min(k, R) of them at the top; grades do not matter.

    Example: at 3 it is (1/log2(3) + 1/log2(4)) / (1 + 1/log2(3) + 1/log2(4)) = 1.1309 / 2.1309 = 0.5307.
    Source: sentence-transformers' `ndcg@k`.
    """
    most = np.minimum(k, relevant)
    ideal = np.cumsum(1 / _discounts(int(most.max(initial=1))))
    return _values(_discounted(hits) / ideal[most - 1])


def graded_ndcg(relevance: Relevances, judged: Relevances, k: int) -> Values:
    """Discounted sum of the grades at the first k ranks over that of the best possible ranking, 0 without a grade > 0.

    relevance: int32 (…, ranks), cut at k, 0 where unjudged. judged: int32 (…, judged), every grade of the query, filled
    up with 0. A grade is its own gain, not 2^grade - 1; grades below 0 gain nothing.
    Source: trec_eval `ndcg_cut`; Järvelin and Kekäläinen, 2002.

    Example: grades 0 3 1 at the first ranks, judged 3 2 1 0: at 2 it is (3/log2(3)) / (3 + 2/log2(3)) = 0.4441.
    """
    ideal = np.flip(np.sort(np.maximum(judged, 0), axis=-1), axis=-1)[..., :k]
    best = _discounted(ideal)
    return _values(_discounted(np.maximum(relevance, 0)) / np.where(best > 0, best, 1.0))


def _values(numbers: ArrayLike) -> Values:
    """numpy makes a number of a row's sum; kept an array, one ranking and many are handled alike."""
    return np.asarray(numbers, dtype=np.float64)


def _precision_sum(hits: Hits) -> Values:
    precisions = np.cumsum(hits, axis=-1) / np.arange(1.0, hits.shape[-1] + 1)
    return _values((precisions * hits).sum(axis=-1))


def _discounts(ranks: int) -> Values:
    """log2(rank + 1) of the ranks from 1 on."""
    return _values(np.log2(np.arange(2.0, ranks + 2)))


def _discounted(gains: NDArray[np.bool_] | NDArray[np.int32]) -> Values:
    """Sum of gain / log2(rank + 1)."""
    return _values((gains / _discounts(gains.shape[-1])).sum(axis=-1))
