"""Where judged documents stand is what sorting each query's documents in plain Python gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spladelake.measures.judged import judged_ranks

# Few ids and scores, so that documents tie and the same id stands in several queries; some scores are equal as float32
# only. Bytes and UTF-16 would sort the last two ids the other way round.
IDS = ["a", "B", "a\0", "é", "\uffee", "\U0001f600"]
SCORES = [1.0, 1.0 + 1e-12, 0.5, -0.0, 0.0, -2.0]


@st.composite
def runs(draw: st.DrawFn) -> tuple[dict[tuple[str, str], tuple[int, float]], dict[tuple[str, str], int]]:
    pairs = st.tuples(st.sampled_from(["q", "r", ""]), st.sampled_from(IDS))
    run = draw(st.dictionaries(pairs, st.tuples(st.integers(1, 9), st.sampled_from(SCORES)), min_size=1))
    return run, draw(st.dictionaries(pairs, st.integers(-1, 3), min_size=1))


@given(runs())
def test_ranks_are_those_of_a_sorted_list(
    made: tuple[dict[tuple[str, str], tuple[int, float]], dict[tuple[str, str], int]],
) -> None:
    run, judged = made
    table = pa.table(
        {
            "query_id": [query for query, _ in run],
            "doc_id": [doc_id for _, doc_id in run],
            "rank": pa.array([rank for rank, _ in run.values()], pa.int32()),
            "score": [score for _, score in run.values()],
        }
    )
    judgements = pa.table(
        {
            "query_id": [query for query, _ in judged],
            "doc_id": [doc_id for _, doc_id in judged],
            "relevance": pa.array(judged.values(), pa.int32()),
        }
    )
    for precision, rounded in (("float32", np.float32), ("float64", np.float64)):
        wanted = []
        for (query, doc_id), (stated, score) in run.items():
            if (query, doc_id) not in judged:
                continue
            others = {d: s for (q, d), (_, s) in run.items() if q == query}
            up = sorted(others, key=lambda d: (-others[d], d))
            down = sorted(sorted(others, reverse=True), key=lambda d: -rounded(others[d]))
            above = sum(s > score for s in others.values())
            level = sum(s == score for s in others.values())
            ranks = (up.index(doc_id) + 1, down.index(doc_id) + 1)
            wanted.append((query, judged[query, doc_id], stated, above, level, *ranks))
        found = judged_ranks(table, judgements, trec_scores=precision)
        assert sorted(zip(*found.to_pydict().values(), strict=True)) == sorted(wanted)
