"""Options of the jobs that measure runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spladelake.config.base import DEFAULT_MODEL, JobOptions, Measures


class EvaluateRun(JobOptions):
    """Measure a run against the judgements, by sentence-transformers' and trec_eval's definitions."""

    run_id: str | None = Field(None, min_length=1, description="Run to measure (default: that of the vectors).")
    model: str = Field(DEFAULT_MODEL, description="Model of the run: its vectors give active dims and the default run.")
    vectors: str | None = Field(None, min_length=1, description="Name of the vectors' folder (default: the model's).")
    measures: Measures = Field(
        (),
        description="Measures, comma separated; card, trec_eval and all are sets (default: card and ndcg_cut_10).",
    )
    part: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/(train|dev|test)$",
        description="Measure only the queries of a part that mine_pairs made: TRAINING_SET/test.",
    )
    answered_only: bool = Field(
        False, description="Leave out judged queries for which the run has nothing, as trec_eval without -c does."
    )
    trec_scores: Literal["float32", "float64"] = Field(
        "float32",
        description="What trec_eval's measures compare: float32 up to 9.0.8 and in pytrec_eval, float64 from 10 on.",
    )
    relevance_level: int = Field(1, ge=1, description="Smallest grade that counts as relevant in binary measures.")
    force: bool = Field(False, description="Evaluate again even if the measures are current.")
