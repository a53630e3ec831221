"""The encoder that a worker process loads once and keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spladelake.spark.encode.models import ModelCache

if TYPE_CHECKING:
    from spladelake.encoder import Checkpoint, SpladeEncoder


@dataclass(frozen=True)
class WorkerSpec:
    """The encoder that a worker needs.

    - token_budget: most padded tokens of a batch; None leaves it to the encoder.
    """

    checkpoint: Checkpoint
    token_budget: int | None

    def load(self, *, threads: int | None, device: str | None) -> SpladeEncoder:
        """Verify the encoder's files and load them."""
        from spladelake.encoder import SpladeEncoder

        return SpladeEncoder.load(self.checkpoint, threads=threads, device=device, token_budget=self.token_budget)


encoders: ModelCache[SpladeEncoder] = ModelCache()


def cached_encoder(spec: WorkerSpec) -> SpladeEncoder:
    """Return the encoder that this process keeps for a spec.

    Functions that Spark pickles by value call this function. If they named the cache, Spark would pickle it too.
    """
    return encoders.get(spec)[0]
