"""Inference-free queries: each token of a query has a fixed weight, such as its IDF.

Source: OpenSearch's inference-free retrievers, arXiv 2411.04403; sentence-transformers' SparseStaticEmbedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spladelake.encoder.tokens import TokenIds
from spladelake.encoder.weights import SINGLE_FILE
from spladelake.errors import UsageError
from spladelake.vectors import SparseVectors


@dataclass(frozen=True, eq=False)
class StaticWeights:
    """Weight of every token wherever it occurs. weight: float32 (vocabulary)."""

    weight: NDArray[np.float32]

    def terms(self, ids: Sequence[TokenIds]) -> SparseVectors:
        """Positive weights of every text; a repeated token counts once."""
        rows = []
        for of_text in ids:
            present = np.unique(of_text)
            present = present[self.weight[present] > 0]
            rows.append((present, self.weight[present]))
        return SparseVectors.from_rows(rows)  # type: ignore[arg-type]


def load_static(folder: Path, vocabulary_size: int) -> StaticWeights:
    """The weights of a SparseStaticEmbedding module. Raises UsageError when its file is of another kind."""
    from safetensors.numpy import load_file

    tensors = load_file(folder / SINGLE_FILE)
    weight = tensors.get("weight")
    if weight is None or weight.ndim != 1 or len(weight) > vocabulary_size or not np.isfinite(weight).all():
        raise UsageError(
            str(folder / SINGLE_FILE),
            f"it holds {', '.join(f'{name} {tensor.shape}' for name, tensor in tensors.items())}",
            f"one finite weight for each of at most {vocabulary_size} tokens is wanted",
            "Save the module again.",
        )
    return StaticWeights(weight.astype(np.float32))
