"""Options of the job that fuses runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spladelake.config.base import CommaSeparated, JobOptions, Names


class FuseRuns(JobOptions):
    """Fuse several runs of a lake into one: by reciprocal ranks, or by a weighted sum of normalised scores."""

    runs: Names = Field(description="Runs to fuse, comma separated, two or more.")
    method: Literal["rrf", "sum"] = Field("rrf", description="rrf: 1 / (constant + rank), summed; sum: of scores.")
    rank_constant: int = Field(60, ge=0, description="rrf: added to every rank.")
    normalisation: Literal["min-max", "z-score", "none"] = Field(
        "min-max",
        description="sum: how the scores of a run for a query are made comparable. A document that a run does not list "
        "gets 0 from it; by z-score the lowest normalised score that the run has for the query.",
    )
    weights: Annotated[tuple[float, ...], CommaSeparated] = Field(
        (), description="Weight of each run, comma separated (default: 1 each)."
    )
    k: int = Field(100, ge=1, description="Documents kept for each query.")
    run_id: str | None = Field(None, min_length=1, description="Name of the new run (default: from method and runs).")
    force: bool = Field(False, description="Fuse again even if the run is current.")

    @model_validator(mode="after")
    def _fits_together(self) -> FuseRuns:
        if len(self.runs) < 2 or len(set(self.runs)) < len(self.runs):
            raise ValueError(f"runs names {', '.join(self.runs) or 'nothing'}; wanted two or more different ones")
        if self.weights and len(self.weights) != len(self.runs):
            raise ValueError(f"weights are {len(self.weights)} for {len(self.runs)} runs")
        if any(not 0 <= weight < float("inf") for weight in self.weights) or (self.weights and not any(self.weights)):
            raise ValueError("weights must be finite numbers from 0, and one of them above 0")
        if self.target in self.runs:
            raise ValueError(f"run_id {self.target!r} is one of the runs that are fused")
        return self

    @property
    def target(self) -> str:
        """Name of the fused run."""
        how = "rrf" if self.method == "rrf" else f"sum-{self.normalisation}"
        return self.run_id or self.dated("-".join((how, *self.runs)))
