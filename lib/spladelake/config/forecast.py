"""Options of the forecast on paper."""

from __future__ import annotations

from pydantic import Field

from spladelake.config.base import DEFAULT_MODEL, Options
from spladelake.config.runs import MOST_K


class Forecast(Options):
    """Say what encoding and retrieval at some size will take: time, memory, shuffles and storage. Nothing is run.

    The figures come from records of this project's benchmarks; each time has the error that such a forecast had on a
    size that it was not made from. `encode_texts --dry-run` measures on your own texts and machines instead.
    """

    docs: int = Field(ge=1, description="Documents to encode and to search.")
    queries: int = Field(6_980, ge=1, description="Queries that documents are ranked for.")
    k: int = Field(1_000, ge=1, le=MOST_K, description="Documents kept for each query.")
    model: str = Field(DEFAULT_MODEL, min_length=1, description="Model; its name tells the size that was measured.")
    tokens: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Tokens of a document, on average (default: as measured)."
    )
    docs_per_second: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Documents that one core or GPU encodes in a second, instead of the record of the model.",
    )
    executors: int = Field(1, ge=1, description="Executors.")
    cores: int = Field(2, ge=1, description="Tasks that run at once in each executor.")

    @property
    def slots(self) -> int:
        """Tasks that run at once."""
        return self.executors * self.cores
