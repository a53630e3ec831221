"""Options of the jobs that make runs."""

from __future__ import annotations

from pydantic import Field

from spladelake.config.base import DEFAULT_MODEL, Lake, Options


class RetrieveRun(Options):
    """Rank documents for every query by exact dot product: explode both sides, join on the term, sum, keep k."""

    lake: Lake
    model: str = Field(DEFAULT_MODEL, description="Model whose vectors are joined, as given to encode_texts.")
    vectors: str | None = Field(None, min_length=1, description="Name of the vectors' folder (default: the model's).")
    k: int = Field(100, ge=1, description="Documents kept for each query.")
    run_id: str | None = Field(None, min_length=1, description="Name of the run (default: that of the vectors).")
    force: bool = Field(False, description="Retrieve again even if the run is current.")
