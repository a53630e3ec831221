"""Options of the forecast that runs no job."""

from __future__ import annotations

from pydantic import Field

from spladelake.config.base import DEFAULT_MODEL, Options
from spladelake.config.runs import MOST_K


class Forecast(Options):
    """Forecast time, memory, shuffle and storage of encoding and retrieval at a given size.

    Nothing is run: the figures come from the records of this project's benchmarks. Each time has an error: the error of
    the same forecast for a size that was measured but not used. `encode_texts --dry-run` measures on your texts and
    machines.
    """

    docs: int = Field(ge=1, description="Documents to encode and to search.")
    queries: int = Field(6_980, ge=1, description="Queries to rank documents for.")
    k: int = Field(1_000, ge=1, le=MOST_K, description="Documents kept for each query.")
    model: str = Field(
        DEFAULT_MODEL, min_length=1, description="Model. The forecast takes the record of a model of this name or size."
    )
    tokens: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Average tokens of a document (default: the average of the record).",
    )
    docs_per_second: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Documents that one core or GPU encodes in a second (default: the rate of the record).",
    )
    executors: int = Field(1, ge=1, description="Number of executors.")
    cores: int = Field(2, ge=1, description="Tasks that run at once in each executor.")

    @property
    def slots(self) -> int:
        """Tasks that run at once."""
        return self.executors * self.cores
