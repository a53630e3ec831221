"""Cross-encoders: find and verify a checkpoint, load it, and score pairs of a query and a document.

    CrossEncoder.load("cross-encoder/ms-marco-MiniLM-L6-v2").score([("how is bread made", "Bread is baked.")])

Nothing here needs pyspark. The first use of `CrossEncoder` imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spladelake.reranker.checkpoint import CrossCheckpoint, resolve_cross_encoder

if TYPE_CHECKING:
    from spladelake.reranker.scorer import CrossEncoder

__all__ = ["CrossCheckpoint", "CrossEncoder", "resolve_cross_encoder"]


def __getattr__(name: str) -> Any:
    if name == "CrossEncoder":
        from spladelake.reranker.scorer import CrossEncoder

        return CrossEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
