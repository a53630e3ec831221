"""Options of the job that scores the top of a run anew."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spladelake.config.base import JobOptions
from spladelake.names import short_name

DEFAULT_CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L6-v2"


class RerankRun(JobOptions):
    """Score the best documents of every query of a run with a cross-encoder, and write them as a new run."""

    run: str = Field(min_length=1, description="Run to re-rank.")
    cross_encoder: str = Field(
        DEFAULT_CROSS_ENCODER, description="Hugging Face id (optionally id@revision), local folder, or package:NAME/…"
    )
    depth: int = Field(100, ge=1, description="Documents of each query that are scored anew.")
    rest: Literal["keep", "drop"] = Field(
        "keep", description="Documents below depth: keep them in their order after the others, or drop them."
    )
    run_id: str | None = Field(None, min_length=1, description="Name of the new run (default: from run and model).")
    max_length: int | None = Field(None, ge=8, description="Tokens read of a pair (default: the model's own).")
    token_budget: int | None = Field(None, ge=16, description="Padded tokens in one forward pass.")
    rows_per_task: int | None = Field(None, ge=1, description="Pairs in one Spark task (default: by pairs and slots).")
    force: bool = Field(False, description="Re-rank again even if the run is current.")

    @model_validator(mode="after")
    def _is_a_new_run(self) -> RerankRun:
        if self.target == self.run:
            raise ValueError(f"run_id {self.target!r} is the run that is re-ranked")
        return self

    @property
    def target(self) -> str:
        """Name of the new run."""
        return self.run_id or self.dated(f"{self.run}-{short_name(self.cross_encoder)}")
