"""Ranks of the judged documents of a run that is in memory: the run is sorted, then the ranks are looked up."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TrecScores = Literal["float32", "float64"]
Numbers = NDArray[Any]


def judged_ranks(run: pa.Table, judgements: pa.Table, *, trec_scores: TrecScores) -> pa.Table:
    """Return the ranks of the judged documents of a run, by its scores alone; its stated ranks are not used.

    - run: (query_id, doc_id, rank, score), each document once per query, no null and no NaN.
    - judgements: (query_id, doc_id, relevance), each pair once.
    - trec_scores: the precision in which trec_eval compares scores; trec_eval up to 9.0.8 holds them as float32.

    Returns (query_id, relevance, stated_rank, above, level, ascending_rank, descending_rank), one row per document:

    - above, level: how many documents of its query have a higher score, and how many the same (itself included).
    - ascending_rank: rank from 1 if equal scores go by ascending id, as in sentence-transformers.
    - descending_rank: rank from 1 if equal scores go by descending id, as in trec_eval.
    """
    queries, ids = _codes(run.column("query_id"), judgements.column("query_id")), _order_of_ids(run, judgements)
    size = run.num_rows
    scores = run.column("score").to_numpy()
    where, hits = _hits(queries, ids, size)
    by_id = ids[:size]
    asked = queries[:size]
    ascending = _positions(asked, scores, by_id)
    rounded = scores.astype(np.float32) if trec_scores == "float32" else scores
    descending = _positions(asked, rounded, -by_id)
    first, level = _ties(asked, scores)
    return pa.table(
        {
            "query_id": run.column("query_id").take(pa.array(where)),
            "relevance": judgements.column("relevance").take(pa.array(hits)),
            "stated_rank": run.column("rank").take(pa.array(where)),
            "above": first[where],
            "level": level[where],
            "ascending_rank": ascending[where] + 1,
            "descending_rank": descending[where] + 1,
        }
    )


def _codes(first: pa.ChunkedArray, second: pa.ChunkedArray) -> Numbers:
    """Return a number for each string of both columns; equal strings have equal numbers."""
    both = pa.chunked_array([*first.chunks, *second.chunks], pa.string()).combine_chunks()
    codes: Numbers = pc.dictionary_encode(both).indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _order_of_ids(run: pa.Table, judgements: pa.Table) -> Numbers:
    """Return a number for each doc_id of both tables, in the order of their UTF-8 bytes, which is Python's order."""
    both = pa.chunked_array([*run.column("doc_id").chunks, *judgements.column("doc_id").chunks], pa.string())
    encoded = pc.dictionary_encode(both.combine_chunks())
    order = pc.array_sort_indices(encoded.dictionary.cast(pa.binary())).to_numpy()
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    found: Numbers = place[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def _hits(queries: Numbers, ids: Numbers, size: int) -> tuple[Numbers, Numbers]:
    """Return the judged rows of the run, and the row of each one's judgement.

    The first `size` numbers belong to the run, the others to the judgements.
    """
    pairs = queries * (int(ids.max(initial=0)) + 1) + ids
    order = np.argsort(pairs[size:], kind="stable")
    judged = pairs[size:][order]
    at = np.searchsorted(judged, pairs[:size])
    found = np.flatnonzero((at < len(judged)) & (judged[np.minimum(at, len(judged) - 1)] == pairs[:size]))
    return found, order[at[found]]


def _positions(queries: Numbers, scores: Numbers, by_id: Numbers) -> Numbers:
    """Return the position of every row in its query's ranking, from 0: score descending, then by_id ascending."""
    order = np.lexsort((by_id, -scores, queries))
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.arange(len(order)) - _starts(queries[order])
    return found


def _ties(queries: Numbers, scores: Numbers) -> tuple[Numbers, Numbers]:
    """Return how many rows of each row's query have a higher score, and how many the same (itself included)."""
    order = np.lexsort((-scores, queries))
    asked, sorted_scores = queries[order], scores[order]
    new = np.r_[True, (asked[1:] != asked[:-1]) | (sorted_scores[1:] != sorted_scores[:-1])]
    starts = np.flatnonzero(new)
    lengths = np.diff(starts, append=len(order))
    above, level = np.empty(len(order), dtype=np.int64), np.empty(len(order), dtype=np.int64)
    above[order] = np.repeat(starts, lengths) - _starts(asked)
    level[order] = np.repeat(lengths, lengths)
    return above, level


def _starts(queries: Numbers) -> Numbers:
    """Return the first row of each row's query. Rows of a query must be adjacent."""
    new = np.flatnonzero(np.r_[True, queries[1:] != queries[:-1]])
    return np.repeat(new, np.diff(new, append=len(queries)))
