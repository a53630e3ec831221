"""Each formula gives the value worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spladelake.errors import UsageError
from spladelake.measures import CARD_MEASURES, TREC_MEASURES, counts, expanded, parse_measure


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


# Relevant documents (R = 3) at ranks 2 and 3 of 4; log2(3) = 1.5849625, log2(4) = 2.
RANKING, JUDGED = ints(0, 1, 1, 0), ints(1, 0, 1, 1, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy@1", 0),
        ("accuracy@2", 1),
        ("success_1", 0),
        ("success_5", 1),
        ("precision@3", 2 / 3),
        ("precision@5", 2 / 5),  # one rank is empty, and empty is not relevant
        ("P_3", 2 / 3),
        ("P_5", 2 / 5),
        ("recall@2", 1 / 3),
        ("recall@10", 2 / 3),
        ("recall_2", 1 / 3),
        ("recall_1000", 2 / 3),
        ("mrr@1", 0),
        ("mrr@10", 1 / 2),
        ("recip_rank", 1 / 2),
        ("recip_rank_cut_1", 0),
        ("recip_rank_cut_2", 1 / 2),
        ("map", (1 / 2 + 2 / 3) / 3),
        ("map_cut_2", (1 / 2) / 3),
        ("map_cut_100", (1 / 2 + 2 / 3) / 3),
        ("map@2", (1 / 2) / 2),  # two ranks hold at most two of the three
        ("map@100", (1 / 2 + 2 / 3) / 3),
        ("ndcg@1", 0),
        ("ndcg@3", (0.63092975 + 0.5) / (1 + 0.63092975 + 0.5)),
        ("ndcg@10", (0.63092975 + 0.5) / (1 + 0.63092975 + 0.5)),
        ("ndcg_cut_2", 0.63092975 / (1 + 0.63092975)),
    ],
)
def test_a_ranking_has_the_value_worked_by_hand(name: str, value: float) -> None:
    assert parse_measure(name)(RANKING, JUDGED) == pytest.approx(value, abs=1e-8)


def test_graded_gain_is_the_grade_and_negative_grades_gain_nothing() -> None:
    ndcg = parse_measure("ndcg_cut_2")
    assert ndcg(ints(0, 3, 1), ints(2, 0, 3, 1)) == pytest.approx((3 / 1.5849625) / (3 + 2 / 1.5849625), abs=1e-7)
    assert ndcg(ints(-2, 3, 1), ints(2, -2, 3, 1)) == ndcg(ints(0, 3, 1), ints(2, 0, 3, 1))
    assert ndcg(ints(3, 2), ints(3, 2, 1)) == 1


def test_the_level_decides_what_binary_measures_count_and_graded_ones_ignore_it() -> None:
    relevance, judged = ints(1, 2, 3), ints(1, 2, 3, 0)
    assert [parse_measure("recip_rank")(relevance, judged, level=level) for level in (1, 2, 3)] == [1, 1 / 2, 1 / 3]
    assert parse_measure("recall@2")(relevance, judged, level=2) == 1 / 2
    assert parse_measure("ndcg@3")(relevance, judged, level=3) == pytest.approx(1 / 2, abs=1e-12)
    assert parse_measure("ndcg_cut_3")(relevance, judged, level=3) == parse_measure("ndcg_cut_3")(relevance, judged)


def test_a_level_below_one_is_refused_since_unjudged_documents_are_zero() -> None:
    with pytest.raises(UsageError, match="a level of 1 or more"):
        parse_measure("recall@2")(RANKING, JUDGED, level=0)
    with pytest.raises(UsageError, match="a level of 1 or more"):
        counts(JUDGED, "sentence-transformers", 0)


@pytest.mark.parametrize("name", [*CARD_MEASURES, *TREC_MEASURES])
def test_a_query_for_which_nothing_was_found_has_the_value_0(name: str) -> None:
    assert parse_measure(name)(ints(), JUDGED) == 0


@pytest.mark.parametrize("judged", [ints(), ints(0, 0), ints(1)])
def test_a_query_without_relevant_documents_is_nan_or_0_by_convention(judged: np.ndarray) -> None:
    for name in CARD_MEASURES:
        assert math.isnan(parse_measure(name)(RANKING, judged, level=2))
    for name in ("recip_rank", "map", "map_cut_5", "recall_100", "P_10", "success_1", "recip_rank_cut_10"):
        assert parse_measure(name)(RANKING, judged, level=2) == 0
    assert parse_measure("ndcg_cut_10")(ints(0, 0), ints(0, -1)) == 0


def test_only_queries_with_a_relevant_document_count_for_sentence_transformers_and_every_judged_one_for_trec_eval() -> (
    None
):
    cases = [(ints(0, 1), 1), (ints(0, 1), 2), (ints(0), 1), (ints(), 1)]
    assert [counts(judged, "sentence-transformers", level) for judged, level in cases] == [True, False, False, False]
    assert [counts(judged, "trec_eval", level) for judged, level in cases] == [True, True, True, False]


@pytest.mark.parametrize("name", [*CARD_MEASURES, *TREC_MEASURES, "recip_rank_cut_10", "map_cut_5"])
@pytest.mark.parametrize("level", [1, 2])
def test_many_rankings_at_once_have_the_values_of_each_alone_to_the_last_bit(name: str, level: int) -> None:
    rng = np.random.default_rng(level)
    measure = parse_measure(name)
    rankings = [rng.integers(-1, 4, rng.integers(0, 300)).astype(np.int32) for _ in range(50)]
    judged = [np.append(ranking, rng.integers(-1, 4, rng.integers(1, 9))).astype(np.int32) for ranking in rankings]

    def filled(rows: list[np.ndarray]) -> np.ndarray:
        matrix = np.zeros((len(rows), max(map(len, rows))), dtype=np.int32)
        for row, numbers in zip(matrix, rows, strict=True):
            row[: len(numbers)] = numbers
        return matrix

    alone = [measure(r, j, level=level) for r, j in zip(rankings, judged, strict=True)]
    together = measure.of_many(filled(rankings), filled(judged), level=level)
    np.testing.assert_array_equal(together, np.array(alone))
    nothing_found = measure.of_many(np.zeros((50, 0), dtype=np.int32), filled(judged), level=level)
    assert np.nansum(nothing_found) == 0


def test_a_set_stands_for_its_measures_each_once() -> None:
    assert expanded(["ndcg@10", "card"]) == ("ndcg@10", *(name for name in CARD_MEASURES if name != "ndcg@10"))
    assert set(expanded(["all"])) == {*CARD_MEASURES, *TREC_MEASURES, "recip_rank_cut_10"}
    with pytest.raises(UsageError, match="cards"):
        expanded(["cards"])
