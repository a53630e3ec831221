"""Options of the jobs that make runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spladelake.config.base import DEFAULT_MODEL, FromYaml, JobOptions, Options

Strategy = Literal["auto", "driver", "blocks", "sql"]

# More is no longer a ranking but a copy of the collection; runs are usually judged to depth 1,000.
MOST_K = 10_000


class Ranking(Options):
    """Which documents a run ranks for each query, and how many it keeps."""

    k: int = Field(100, ge=1, le=MOST_K, description="Documents kept for each query.")
    where: str | None = Field(
        None, min_length=1, description="SQL condition on columns of `documents`: rank only those that meet it."
    )
    minimum_score: float = Field(0.0, ge=0, allow_inf_nan=False, description="Leave out documents that score less.")
    exclude_self: bool = Field(
        False, description="Leave out the document that has the query's own id, as BEIR does for ArguAna and Quora."
    )


class RetrieveRun(JobOptions, Ranking):
    """Rank documents for every query by exact dot product: the join of query and document terms, in SQL or in blocks.

    All strategies give the same rows. `blocks` scores a few thousand documents at a time in native code, in Python
    workers; `driver` does the same in the driver's own process; `sql` is the plain join, for checking the others.
    `auto` takes `driver` if the vectors are at most 16 MB of files and the rankings at most a million rows, else
    `blocks`.
    """

    model: str = Field(DEFAULT_MODEL, description="Model whose vectors are joined, as given to encode_texts.")
    vectors: str | None = Field(None, min_length=1, description="Name of the vectors' folder (default: the model's).")
    run_id: str | None = Field(None, min_length=1, description="Name of the run (default: that of the vectors).")
    also: Annotated[dict[str, Ranking], FromYaml] = Field(
        default_factory=dict,
        description="More runs in the same pass over the documents: '{short: {k: 10, where: \"length(text) < 500\"}}'.",
    )
    strategy: Strategy = Field("auto", description="How the join is computed.")
    index: Literal["auto", "off"] = Field(
        "auto", description="Whether to read the blocks that index_vectors wrote, where they are current."
    )
    since_version: int | None = Field(
        None,
        ge=0,
        description="Version of the document vectors that the run was made from: score only what changed since.",
    )
    task_memory_mb: int = Field(
        512, ge=1, description="Memory for rankings in each task; with more queries documents are read several times."
    )
    force: bool = Field(False, description="Retrieve again even if the run is current.")

    @model_validator(mode="after")
    def _goes_together(self) -> RetrieveRun:
        if self.run_id is not None and self.run_id in self.also:
            raise ValueError(f"--also names the run {self.run_id!r} again; give it another name")
        if self.since_version is not None and self.strategy not in ("auto", "blocks"):
            raise ValueError(f"--since-version works in blocks; leave out --strategy {self.strategy}")
        if self.since_version is not None and any(r.where for r in (self, *self.also.values())):
            raise ValueError("--since-version looks at vectors alone, --where at texts, which may have changed too")
        return self

    def rankings(self, default_id: str) -> dict[str, Ranking]:
        """Every run to make, by its id."""
        own = {name: getattr(self, name) for name in Ranking.model_fields}
        return {self.run_id or self.dated(default_id): Ranking(**own), **self.also}


class IndexVectors(JobOptions):
    """Write the document vectors as blocks ready to score, so that repeated runs neither read nor invert them again.

    Only blocks of data files that are new since the last time are made; those of files that are gone are dropped.
    """

    model: str = Field(DEFAULT_MODEL, description="Model whose document vectors are indexed.")
    vectors: str | None = Field(None, min_length=1, description="Name of the vectors' folder (default: the model's).")
    force: bool = Field(False, description="Make every block again.")
