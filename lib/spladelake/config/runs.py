"""Options of the jobs that retrieve documents and that index vectors for retrieval."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from spladelake.config.base import DEFAULT_MODEL, FromYaml, JobOptions, Options, RankingOptions, VectorsName
from spladelake.config.refusals import OptionError, OptionsError

Strategy = Literal["auto", "driver", "blocks", "sql"]

# Runs are usually judged to depth 1,000. A larger k copies the collection rather than ranking it.
MOST_K = 10_000


def _known_aggregate(name: str | None) -> str | None:
    from spladelake.passages.aggregate import aggregate_of  # help pages do without its package

    if name is not None and aggregate_of(name) is None:
        raise OptionError("max, first, none, or mean-of-top-N or sum-of-top-N with N from 1 to 999")
    return name


class Ranking(Options):
    """The documents that a run ranks for each query, and how many of them it keeps."""

    k: int = Field(100, ge=1, le=MOST_K, description="Documents kept for each query.")
    where: str | None = Field(
        None,
        min_length=1,
        description="SQL condition on columns of the table documents. Only documents that meet the condition are "
        "ranked.",
    )
    minimum_score: float = Field(0.0, ge=0, allow_inf_nan=False, description="Leave out documents with a lower score.")
    exclude_self: bool = Field(
        False, description="Leave out the document with the id of the query, as BEIR does for ArguAna and Quora."
    )
    aggregate: Annotated[str | None, AfterValidator(_known_aggregate)] = Field(
        None,
        description="Vectors of passages: score of a document. max: of its best passage; first: of its first passage; "
        "mean-of-top-3, sum-of-top-3: of its 3 best passages; none: rank passages (default: max).",
    )


class RetrieveRun(RankingOptions, Ranking):
    """Rank the documents for every query by the exact dot product of their vectors.

    All strategies give the same rows. `blocks` scores a few thousand documents at a time in compiled code, in Python
    workers. `driver` does the same in the driver's own process. `sql` is the plain join, to check the others. `auto`
    takes `driver` if the vector files total at most 16 MB and the rankings at most a million rows, else `blocks`.
    """

    model: str = Field(DEFAULT_MODEL, description="Model of the vectors, as you gave it to encode_texts.")
    vectors: VectorsName = None
    ranking: str | None = Field(None, min_length=1, description="Name of the run (default: the name of the vectors).")
    also: Annotated[dict[str, Ranking], FromYaml] = Field(
        default_factory=dict,
        description="YAML map of further runs from the same pass, NAME: {options}, for example '{short: {k: 10, where: "
        '"length(text) < 500"}}\'. The options are k, where, minimum_score, exclude_self and aggregate.',
    )
    strategy: Strategy = Field("auto", description="How the scores are computed.")
    index: Literal["auto", "off"] = Field(
        "auto",
        description="auto: read the blocks that index_vectors wrote, if they are current. off: do not read these "
        "blocks.",
    )
    since_version: int | None = Field(
        None,
        ge=0,
        description="Update an existing run: score only the documents that changed since this version, the version of "
        "the vectors from which that run was made.",
    )
    task_memory_mb: int = Field(
        512,
        ge=1,
        description="Memory for the rankings of each task. If the queries need more, the documents are read several "
        "times.",
    )
    force: bool = Field(False, description="Retrieve again even if the run is current.")

    @model_validator(mode="after")
    def _goes_together(self) -> RetrieveRun:
        if self.ranking_name is not None and self.ranking_name in self.also:
            found = f"the name {self.ranking_name!r} is in --ranking and in --also"
            raise OptionsError(found, "a different name for each run", "Choose another name in --also.")
        if self.since_version is not None and self.strategy not in ("auto", "blocks"):
            found = f"--since-version is given, but --strategy is {self.strategy}"
            fix = "Use --strategy blocks, or leave out --since-version."
            raise OptionsError(found, "--since-version only with --strategy blocks or auto", fix)
        if self.since_version is not None and any(r.where for r in (self, *self.also.values())):
            found = "--since-version compares only vectors, but --where reads texts"
            raise OptionsError(found, "one of the two options", "Leave out --since-version or --where.")
        return self

    def rankings(self, default_id: str) -> dict[str, Ranking]:
        """Return the runs to make, by their ids."""
        own = {name: getattr(self, name) for name in Ranking.model_fields}
        return {self.ranking_name or self.dated(default_id): Ranking(**own), **self.also}


class IndexVectors(JobOptions):
    """Write the document vectors as blocks that are ready to score.

    Later runs read the blocks and need not read and invert the vectors again. The job makes blocks only for data files
    that are new, and drops the blocks of files that are gone.
    """

    model: str = Field(DEFAULT_MODEL, description="Model whose document vectors are indexed.")
    vectors: VectorsName = None
    force: bool = Field(False, description="Make every block again.")
