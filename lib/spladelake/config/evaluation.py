"""Options of the jobs that measure runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spladelake.config.base import DEFAULT_MODEL, Measures, RankingOptions, VectorsName
from spladelake.config.refusals import PART_PATTERN


class EvaluateRun(RankingOptions):
    """Measure a run against the relevance judgements.

    The measures follow the definitions of sentence-transformers and of trec_eval.
    """

    ranking: str | None = Field(
        None, min_length=1, description="Run to measure (default: the run with the name of the vectors)."
    )
    model: str = Field(
        DEFAULT_MODEL,
        description="Model of the run. Its short name is the default of --ranking and of --vectors.",
    )
    vectors: VectorsName = None
    measures: Measures = Field(
        (),
        description="Measures, comma separated. card, trec_eval and all name sets of measures (default: "
        "ndcg_cut_10 and card). Names of ir_measures, such as nDCG@10, are taken too.",
    )
    part: str | None = Field(
        None,
        pattern=PART_PATTERN,
        description="Measure only the queries of one part of a training set: SET/train, SET/dev or SET/test.",
    )
    answered_only: bool = Field(
        False, description="Leave out judged queries without a document in the run, as trec_eval without -c does."
    )
    trec_scores: Literal["float32", "float64"] = Field(
        "float32",
        description="Precision in which the measures of trec_eval compare scores. float32: as trec_eval 9 and "
        "pytrec_eval. float64: as trec_eval 10.",
    )
    relevance_level: int = Field(1, ge=1, description="Lowest grade that counts as relevant in binary measures.")
    force: bool = Field(False, description="Evaluate again even if the measures are current.")
