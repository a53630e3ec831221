"""Turn texts into learned sparse vectors: find and verify a SPLADE checkpoint, load it, encode.

    SpladeEncoder.load("splade-tiny").encode_documents(["a text", "another"])
    SpladeEncoder.load("my-document-model", query_model="my-query-model").encode_queries(["a question"])

Nothing here needs pyspark. The first use of `SpladeEncoder` imports torch; `resolve_checkpoint` does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spladelake.config.base import DEFAULT_MODEL
from spladelake.encoder.checkpoint import Checkpoint, resolve_checkpoint
from spladelake.encoder.pair import resolve_pair
from spladelake.encoder.results import EncodedBatch, EncodeStats, Status
from spladelake.encoder.settings import EncoderSettings

if TYPE_CHECKING:
    from spladelake.encoder.encoder import SpladeEncoder

__all__ = [
    "DEFAULT_MODEL",
    "Checkpoint",
    "EncodeStats",
    "EncodedBatch",
    "EncoderSettings",
    "SpladeEncoder",
    "Status",
    "resolve_checkpoint",
    "resolve_pair",
]


def __getattr__(name: str) -> Any:
    if name == "SpladeEncoder":
        from spladelake.encoder.encoder import SpladeEncoder

        return SpladeEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
