"""Options of the job that re-ranks a run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spladelake.config.base import JobOptions
from spladelake.names import short_name

DEFAULT_CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L6-v2"


class RerankRun(JobOptions):
    """Score the best documents of a run with a cross-encoder, and write the new order as a new run."""

    run: str = Field(min_length=1, description="Run to re-rank.")
    cross_encoder: str = Field(
        DEFAULT_CROSS_ENCODER,
        description="Hugging Face id (id@revision for a revision), local folder, or package:NAME/folder.",
    )
    depth: int = Field(100, ge=1, description="Documents of each query that the cross-encoder scores.")
    rest: Literal["keep", "drop"] = Field(
        "keep",
        description="Documents below the depth. keep: in their old order, after the scored ones. drop: leave them out.",
    )
    run_id: str | None = Field(
        None, min_length=1, description="Name of the new run (default: made of the run and the model)."
    )
    max_length: int | None = Field(
        None, ge=8, description="Tokens that the model reads of a pair (default: the model's own limit)."
    )
    token_budget: int | None = Field(None, ge=16, description="Tokens of one forward pass, padding included.")
    rows_per_task: int | None = Field(
        None, ge=1, description="Pairs of one Spark task (default: chosen from the pairs and the task slots)."
    )
    force: bool = Field(False, description="Re-rank again even if the run is current.")

    @model_validator(mode="after")
    def _is_a_new_run(self) -> RerankRun:
        if self.target == self.run:
            raise ValueError(f"--run-id {self.target!r} is the run to re-rank: choose another name")
        return self

    @property
    def target(self) -> str:
        """Name of the new run."""
        return self.run_id or self.dated(f"{self.run}-{short_name(self.cross_encoder)}")
