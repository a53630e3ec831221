"""Dense rows of weights to sparse ones."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from spladelake.encoder.settings import EncoderSettings

Row = tuple[NDArray[np.int32], NDArray[np.float32]]


def sparse_rows(weights: torch.Tensor, settings: EncoderSettings) -> list[Row]:
    """Term ids, ascending, and weights of the positive entries of each row, pruned as the settings say.

    weights: float32 (texts, vocabulary).
    """
    rows = []
    for dense in weights.cpu().numpy():
        indices = np.flatnonzero(dense > 0).astype(np.int32)
        values = dense[indices]
        if settings.minimum_weight > 0:
            keep = values >= settings.minimum_weight
            indices, values = indices[keep], values[keep]
        if settings.max_active_dims is not None and len(indices) > settings.max_active_dims:
            kept, _ = heaviest_terms(indices, values, settings.max_active_dims)
            keep = np.isin(indices, kept)
            indices, values = indices[keep], values[keep]
        rows.append((indices, values))
    return rows


def heaviest_terms(indices: NDArray[np.int32], values: NDArray[np.float32], count: int | None) -> Row:
    """The heaviest terms of a row, heaviest first; between equal weights the lower term id comes first."""
    order = np.lexsort((indices, -values))[:count]
    return indices[order], values[order]
