"""The encoder that a worker process loads once and keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spladelake.spark.encode.models import ModelCache

if TYPE_CHECKING:
    from spladelake.encoder import Checkpoint, SpladeEncoder


@dataclass(frozen=True)
class WorkerSpec:
    """Which encoder a worker needs."""

    checkpoint: Checkpoint
    token_budget: int | None

    def load(self, *, threads: int | None, device: str | None) -> SpladeEncoder:
        """The encoder, its files verified."""
        from spladelake.encoder import SpladeEncoder

        return SpladeEncoder.load(self.checkpoint, threads=threads, device=device, token_budget=self.token_budget)


encoders: ModelCache[SpladeEncoder] = ModelCache()


def cached_encoder(spec: WorkerSpec) -> SpladeEncoder:
    """The encoder that this process keeps for a spec. Functions that are sent to workers by value call this one: a
    cache that they named themselves would be sent along.
    """
    return encoders.get(spec)[0]
