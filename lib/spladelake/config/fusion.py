"""Options of the job that fuses runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spladelake.config.base import CommaSeparated, Names, RankingOptions
from spladelake.config.refusals import OptionsError
from spladelake.names import amount


class FuseRuns(RankingOptions):
    """Fuse several runs into a new run, by reciprocal ranks or by a weighted sum of scores."""

    runs: Names = Field(description="Two or more runs to fuse, comma separated.")
    method: Literal["rrf", "sum"] = Field(
        "rrf", description="rrf: sum of 1 / (constant + rank). sum: weighted sum of scores."
    )
    rank_constant: int = Field(60, ge=0, description="rrf: the constant that is added to every rank.")
    normalisation: Literal["min-max", "z-score", "none"] = Field(
        "min-max",
        description="sum: how the scores of each run and query are normalised. A document that a run does not list "
        "gets 0 from that run; with z-score, it gets the run's lowest normalised score for the query.",
    )
    weights: Annotated[tuple[float, ...], CommaSeparated] = Field(
        (), description="Weight of each run, comma separated (default: 1 each)."
    )
    k: int = Field(100, ge=1, description="Documents kept for each query.")
    ranking: str | None = Field(
        None, min_length=1, description="Name of the new run (default: the method and the names of the runs)."
    )
    force: bool = Field(False, description="Fuse again even if the run is current.")

    @model_validator(mode="after")
    def _fits_together(self) -> FuseRuns:
        if len(self.runs) < 2 or len(set(self.runs)) < len(self.runs):
            found = f"--runs is {', '.join(self.runs) or 'empty'}"
            raise OptionsError(found, "two or more different runs", "Name at least two runs with --runs, each once.")
        if self.weights and len(self.weights) != len(self.runs):
            found = f"--weights has {amount(len(self.weights), 'weight')} for {len(self.runs)} runs"
            raise OptionsError(found, "one weight for each run", f"Give {len(self.runs)} weights with --weights.")
        if odd := [weight for weight in self.weights if not 0 <= weight < float("inf")]:
            found, fix = f"--weights contains {odd[0]:g}", f"Replace {odd[0]:g} by a number of 0 or more."
            raise OptionsError(found, "finite numbers of 0 or more", fix)
        if self.weights and not any(self.weights):
            raise OptionsError("--weights has only zeros", "at least one weight above 0", "Raise one of the weights.")
        if self.target in self.runs:
            found = f"--ranking {self.target!r} is one of the runs to fuse"
            raise OptionsError(found, "the name of a new run", "Choose another --ranking.")
        return self

    @property
    def target(self) -> str:
        """Name of the fused run."""
        how = "rrf" if self.method == "rrf" else f"sum-{self.normalisation}"
        return self.ranking_name or self.dated("-".join((how, *self.runs)))
