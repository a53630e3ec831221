"""Options of the job that re-ranks a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spladelake.config.base import RankingOptions, TokenBudget
from spladelake.config.refusals import OptionsError
from spladelake.names import short_name

DEFAULT_CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L6-v2"

# The options of each job in which a cross-encoder scores pairs of query and document.
PairLength = Annotated[
    int | None,
    Field(
        ge=8,
        description="Most tokens read of each pair, special tokens included; the rest is cut off (default: the model's "
        "own limit).",
    ),
]
PairsPerTask = Annotated[
    int | None,
    Field(ge=1, description="Pairs in one Spark task (default: chosen from the numbers of pairs and of task slots)."),
]


class RerankRun(RankingOptions):
    """Re-rank the best documents of a run with a cross-encoder, into a new run."""

    run: str = Field(min_length=1, description="Run to re-rank.")
    cross_encoder: str = Field(
        DEFAULT_CROSS_ENCODER,
        description="Hugging Face id, optionally id@revision; a local folder; or package:NAME/folder for a folder in "
        "an installed Python package.",
    )
    depth: int = Field(100, ge=1, description="Documents of each query that the cross-encoder scores.")
    rest: Literal["keep", "drop"] = Field(
        "keep",
        description="Documents below --depth. keep: list them after the scored documents, in their old order. drop: "
        "leave them out.",
    )
    passages: Literal["best", "all", "whole"] = Field(
        "best",
        description="Text of a document in a run made of passages. best: the passage that the run names, with the "
        "title. all: each passage of the document that a run of --aggregate none lists; the highest score counts. "
        "whole: the whole text, of which the model reads the beginning.",
    )
    ranking: str | None = Field(
        None, min_length=1, description="Name of the new run (default: the name of the run and the model's short name)."
    )
    max_length: PairLength = None
    token_budget: TokenBudget = None
    rows_per_task: PairsPerTask = None
    force: bool = Field(False, description="Re-rank again even if the run is current.")

    @model_validator(mode="after")
    def _is_a_new_run(self) -> RerankRun:
        if self.target == self.run:
            found = f"--ranking {self.target!r} is the run to re-rank"
            raise OptionsError(found, "the name of a new run", "Choose another --ranking.")
        return self

    @property
    def target(self) -> str:
        """Name of the new run."""
        return self.ranking_name or self.dated(f"{self.run}-{short_name(self.cross_encoder)}")
