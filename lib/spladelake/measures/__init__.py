"""Measures of one ranking against judgements, by sentence-transformers' and by trec_eval's definitions."""

from spladelake.measures.named import (
    CARD_MEASURES,
    MEASURE_SETS,
    TREC_MEASURES,
    Convention,
    Measure,
    counts,
    expanded,
    parse_measure,
)
from spladelake.measures.order import rank_order

__all__ = [
    "CARD_MEASURES",
    "MEASURE_SETS",
    "TREC_MEASURES",
    "Convention",
    "Measure",
    "counts",
    "expanded",
    "parse_measure",
    "rank_order",
]
