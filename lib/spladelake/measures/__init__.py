"""Measures of rankings against judgements, by the definitions of sentence-transformers and trec_eval."""

from spladelake.measures.named import (
    CARD_MEASURES,
    DEFAULT_MEASURES,
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
    "DEFAULT_MEASURES",
    "MEASURE_SETS",
    "TREC_MEASURES",
    "Convention",
    "Measure",
    "counts",
    "expanded",
    "parse_measure",
    "rank_order",
]
