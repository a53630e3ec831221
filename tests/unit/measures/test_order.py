"""Equal scores are ordered by each convention's own tie rule."""

from __future__ import annotations

import numpy as np
import pytest

from spladelake.errors import DataError
from spladelake.measures import Convention, rank_order


def test_equal_scores_go_by_ascending_or_descending_code_points() -> None:
    doc_ids = ["b", "a\0", "10", "\U0001f600", "9", "\uffee", "a"]
    scores = np.array([1.0, 0.0, 0.0, 0.0, 0.0, -0.0, 0.0])
    ascending = [doc_ids[i] for i in rank_order(scores, doc_ids, "sentence-transformers")]
    descending = [doc_ids[i] for i in rank_order(scores, doc_ids, "trec_eval")]
    assert ascending == ["b", "10", "9", "a", "a\0", "\uffee", "\U0001f600"]
    assert descending == ["b", "\U0001f600", "\uffee", "a\0", "a", "9", "10"]


@pytest.mark.parametrize("convention", ["sentence-transformers", "trec_eval"])
def test_infinite_scores_are_ordered_and_nan_is_refused(convention: Convention) -> None:
    order = rank_order(np.array([0.0, -np.inf, np.inf]), ["a", "b", "c"], convention)
    assert order.dtype == np.int64
    assert order.tolist() == [2, 0, 1]
    assert rank_order(np.array([]), [], convention).tolist() == []
    with pytest.raises(DataError, match="document b: the score of the document is not a number"):
        rank_order(np.array([0.0, np.nan]), ["a", "b"], convention)
