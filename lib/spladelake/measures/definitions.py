"""The formulas of the measures. Each takes one ranking or, with a leading axis, many at once.

- hits: bool (…, ranks), whether the document at each rank is relevant, already cut at the measure's depth.
- relevant: int64 (…), number of relevant documents of the query, found or not; at least 1. The examples call it R.
- k: the measure's depth; a ranking may be shorter.

The values are float64 (…).

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
    """Return 1 if a relevant document is among the first k, else 0. Also named accuracy@k.

    Example: success at 1 is 0, at 2 it is 1. Source: trec_eval `success`.
    """
    return _values(hits.any(axis=-1))


def precision(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return the share of the first k ranks that hold a relevant document; empty ranks count as misses.

    Example: precision at 3 is 2/3; at 5, with 4 documents returned, 2/5. Source: trec_eval `P`.
    """
    return _values(np.count_nonzero(hits, axis=-1) / np.float64(k))


def recall(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return the share of the relevant documents that are among the first k.

    Example: recall at 2 is 1/3, at 4 it is 2/3. Source: trec_eval `recall`.
    """
    return _values(np.count_nonzero(hits, axis=-1) / relevant.astype(np.float64))


def reciprocal_rank(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return 1 / rank of the first relevant document, 0 without one.

    Example: 1/2; cut at depth 1 it is 0. Source: Voorhees, TREC-8 question answering track, 1999.
    """
    found = hits.any(axis=-1)
    if not hits.shape[-1]:
        return _values(found)
    return _values(found / (hits.argmax(axis=-1) + 1.0))


def average_precision(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return the sum of the precision at each relevant document found, divided by R.

    Example: (1/2 + 2/3) / 3 = 7/18. Cut at depth 2 it is (1/2) / 3 = 1/6: the divisor stays 3, although two ranks hold
    at most 2 relevant documents. Source: trec_eval `map` and `map_cut`.
    """
    return _values(_precision_sum(hits) / relevant)


def average_precision_of_min(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return the sum of the precision at each relevant document found, divided by min(k, R): 1 is always reachable.

    Example: at 2 it is (1/2) / min(2, 3) = 1/4; at 100 it is 7/18. Source: sentence-transformers' `map@k`.
    """
    return _values(_precision_sum(hits) / np.minimum(k, relevant))


def binary_ndcg(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return the discounted gain of the hits over the gain of min(k, R) hits at the top; grades are ignored.

    Example: at 3 it is (1/log2(3) + 1/log2(4)) / (1 + 1/log2(3) + 1/log2(4)) = 1.1309 / 2.1309 = 0.5307.
    Source: sentence-transformers' `ndcg@k`.
    """
    most = np.minimum(k, relevant)
    ideal = np.cumsum(1 / _discounts(int(most.max(initial=1))))
    return _values(_discounted(hits) / ideal[most - 1])


def graded_ndcg(relevance: Relevances, judged: Relevances, k: int) -> Values:
    """Return the discounted sum of the grades over the sum of the best possible ranking; 0 without a grade above 0.

    - relevance: int32 (…, ranks), cut at k; 0 for unjudged documents.
    - judged: int32 (…, judged), every grade of the query, padded with 0.

    The gain is the grade itself, not 2^grade - 1; grades below 0 gain nothing.
    Example: grades 0 3 1 at the first ranks, judged 3 2 1 0: at 2 it is (3/log2(3)) / (3 + 2/log2(3)) = 0.4441.
    Source: trec_eval `ndcg_cut`; Järvelin and Kekäläinen, 2002.
    """
    ideal = np.flip(np.sort(np.maximum(judged, 0), axis=-1), axis=-1)[..., :k]
    best = _discounted(ideal)
    return _values(_discounted(np.maximum(relevance, 0)) / np.where(best > 0, best, 1.0))


def judged_share(hits: Hits, results: Counts, k: int) -> Values:
    """Return the share of the first k results that are judged, whatever their grade; 0 without results.

    - hits: whether the document at each rank is judged.
    - results: number of results of the query. If it is below k, all results count.

    Example: with 4 results, judged at ranks 1 and 2, Judged at 10 is 2/4. Source: ir_measures `Judged`.
    """
    return _values(np.count_nonzero(hits, axis=-1) / np.maximum(1, np.minimum(k, results)))


def _values(numbers: ArrayLike) -> Values:
    """Return a float64 array: numpy turns the sum of one row into a scalar, which callers must not see."""
    return np.asarray(numbers, dtype=np.float64)


def _precision_sum(hits: Hits) -> Values:
    precisions = np.cumsum(hits, axis=-1) / np.arange(1.0, hits.shape[-1] + 1)
    return _in_order(precisions * hits)


def _discounts(ranks: int) -> Values:
    """Return log2(rank + 1) for ranks from 1."""
    return _values(np.log2(np.arange(2.0, ranks + 2)))


def _discounted(gains: NDArray[np.bool_] | NDArray[np.int32]) -> Values:
    """Return the sum of gain / log2(rank + 1)."""
    return _in_order(gains / _discounts(gains.shape[-1]))


def _in_order(terms: Values) -> Values:
    """Return the sums over the ranks, added from the first rank on, as trec_eval does.

    So a value is the same to the last bit whatever other queries are measured with it. The order in which numpy's sum
    adds depends on the width, which is that of the longest ranking.
    """
    return _values(np.cumsum(terms, axis=-1)[..., -1] if terms.shape[-1] else terms.sum(axis=-1))
