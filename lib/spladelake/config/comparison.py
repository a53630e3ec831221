"""Options of the job that compares runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from spladelake.config.base import FromYaml, JobOptions, Measures, Names
from spladelake.config.refusals import OptionsError
from spladelake.names import listed

# The smallest p is 1 / (permutations + 1) = 0.0001, so Holm's correction over a hundred pairs still reaches 0.05.
PERMUTATIONS_DEFAULT = 10_000
Permutations = Annotated[int, Field(ge=100, description="Permutations that the randomisation test draws.")]


class CompareRuns(JobOptions):
    """Compare measured runs on one or several collections.

    The result has the means and costs of the runs, and tests whether their differences are significant.
    """

    collections: Annotated[dict[str, str], FromYaml] = Field(
        default_factory=dict,
        description="YAML map of collection names to lakes: '{DL: dl, cranfield: c}' (default: --lake alone).",
    )
    run_ids: Names = Field((), description="Runs, comma separated (default: all measured runs).")
    measures: Measures = Field(("ndcg_cut_10",), min_length=1, description="Measures, comma separated.")
    baseline: str | None = Field(
        None, min_length=1, description="Compare every other run with this run (default: compare all pairs of runs)."
    )
    name: str = Field("all", min_length=1, description="Name of the comparison in the tables.")
    permutations: Permutations = PERMUTATIONS_DEFAULT
    seed: int = Field(0, ge=0, description="Seed of the permutations.")
    significance: float = Field(
        0.05, gt=0, lt=1, description="Mark a difference as significant if its corrected p is below this value."
    )
    published: Annotated[dict[str, dict[str, dict[str, float]]], FromYaml] = Field(
        default_factory=dict,
        description="Published values to show beside the measured values, as YAML: {COLLECTION: {RUN: {MEASURE: x}}}.",
    )
    force: bool = Field(False, description="Compare again even if the comparison is current.")

    @model_validator(mode="after")
    def _is_consistent(self) -> CompareRuns:
        if len(set(self.run_ids)) < len(self.run_ids):
            twice = next(run for run in self.run_ids if self.run_ids.count(run) > 1)
            raise OptionsError(f"--run-ids contains the run {twice!r} twice", "each run once", "Name the run once.")
        if self.run_ids and self.baseline is not None and self.baseline not in self.run_ids:
            found = f"--run-ids does not contain the baseline {self.baseline!r}"
            raise OptionsError(found, "the baseline as one of the runs", "Add the baseline to --run-ids.")
        unknown = sorted(set(self.published) - set(self.collections)) if self.collections else []
        if unknown:
            found, fix = (
                f"--published has the collection {unknown[0]!r}",
                "Correct the name of the collection, or add it to --collections.",
            )
            raise OptionsError(found, f"only the collections of --collections, {listed(self.collections, 'and')}", fix)
        return self
