"""Measures go by names that say whose definition they are."""

from __future__ import annotations

import pickle

import pytest

from spladelake.errors import UsageError
from spladelake.measures import CARD_MEASURES, TREC_MEASURES, parse_measure


def test_a_name_tells_convention_and_depth() -> None:
    parsed = {name: parse_measure(name) for name in ("ndcg@10", "ndcg_cut_10", "map", "map_cut_7", "recip_rank", "P_5")}
    assert all(measure.name == name for name, measure in parsed.items())
    assert [m.convention for m in parsed.values()] == ["sentence-transformers", *["trec_eval"] * 5]
    assert [m.depth for m in parsed.values()] == [10, 10, None, 7, None, 5]


def test_the_card_holds_the_fifteen_measures_of_a_model_card() -> None:
    assert len(CARD_MEASURES) == len(set(CARD_MEASURES)) == 15
    assert CARD_MEASURES[0] == "accuracy@1"
    assert CARD_MEASURES[-4:] == ("recall@10", "ndcg@10", "mrr@10", "map@100")
    assert {parse_measure(name).convention for name in CARD_MEASURES} == {"sentence-transformers"}
    assert {parse_measure(name).convention for name in TREC_MEASURES} == {"trec_eval"}


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("ndcg10", r"Write ndcg@10\.$"),
        ("ndgc@10", r"Write ndcg@10\.$"),
        ("RR@x", "RR@10|mrr@10"),
        ("map@k", "map@10"),
        ("mrr", "Write RR or mrr@10"),
        ("recall@-1", "recall@1"),
        ("map_5", "map@5"),
        ("p_20", "P_20"),
        ("ndcg@10\n", "ndcg@10"),
        ("recall@" + "9" * 5000, "Write|Choose"),
        ("", "Write a name such as ndcg@10"),
        ("wer", "Write a name such as ndcg@10"),
    ],
)
def test_an_unknown_name_is_refused_with_close_matches(name: str, fix: str) -> None:
    with pytest.raises(UsageError, match=fix):
        parse_measure(name)


def test_a_name_of_ir_measures_is_the_measure_of_trec_eval_under_our_name() -> None:
    theirs = ("nDCG@10", "RR@10", "RR", "AP", "AP@5", "R@1000", "P@10", "Success@1", "Judged@10")
    ours = ("ndcg_cut_10", "recip_rank_cut_10", "recip_rank", "map", "map_cut_5", "recall_1000", "P_10", "success_1")
    assert [parse_measure(name).name for name in theirs] == [*ours, "Judged@10"]
    assert [parse_measure(name).convention for name in theirs] == [*["trec_eval"] * 8, "ir_measures"]
    assert parse_measure("ndcg@10").convention == "sentence-transformers"


@pytest.mark.parametrize("name", ["recall@0", "ndcg_cut_0", "P_00", "recall_010", "nDCG@0"])
def test_a_depth_must_be_a_plain_integer_of_at_least_1(name: str) -> None:
    with pytest.raises(UsageError, match="wanted a cutoff of 1 or more"):
        parse_measure(name)


def test_measures_survive_pickling_as_spark_ships_them() -> None:
    measures = [parse_measure(name) for name in (*CARD_MEASURES, *TREC_MEASURES)]
    assert pickle.loads(pickle.dumps(measures)) == measures
