"""Turn dense rows of weights into sparse rows, prune them, and put them in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spladelake.encoder.settings import EncoderSettings
from spladelake.vectors import SparseVectors

Row = tuple[NDArray[np.int32], NDArray[np.float32]]


def positive_terms(dense: Tensor) -> SparseVectors:
    """Return the positive entries of each row.

    - dense: (texts, vocabulary), on any device.
    """
    texts, vocabulary = dense.shape
    if dense.device.type == "cpu":
        weights = dense.float().numpy()
        positions = np.flatnonzero(weights > 0)
        values = weights.ravel()[positions]
    else:
        flat = dense.flatten()
        chosen = (flat > 0).nonzero().squeeze(1)
        positions, values = chosen.cpu().numpy(), flat[chosen].float().cpu().numpy()
    text_of, term_of = np.divmod(positions, vocabulary)
    return SparseVectors(row_starts(text_of, texts), term_of.astype(np.int32), values)


def prune(vectors: SparseVectors, settings: EncoderSettings) -> SparseVectors:
    """Drop weights that are not positive or are below the minimum, and keep the heaviest max_active_dims of a row."""
    keep = vectors.values > 0
    if settings.minimum_weight > 0:
        keep &= vectors.values >= np.float32(settings.minimum_weight)
    text_of = np.repeat(np.arange(len(vectors)), vectors.active_dims)
    if settings.max_active_dims is not None:
        order = np.lexsort((vectors.indices, -vectors.values, ~keep, text_of))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order)) - np.repeat(vectors.indptr[:-1], vectors.active_dims)
        keep &= place < settings.max_active_dims
    if keep.all():
        return vectors
    return SparseVectors(row_starts(text_of[keep], len(vectors)), vectors.indices[keep], vectors.values[keep])


def row_starts(text_of: NDArray[np.int64], texts: int) -> NDArray[np.int64]:
    """Return the indptr of the rows.

    - text_of: the text of each element, ascending.
    - texts: number of texts.
    """
    counts = np.bincount(text_of, minlength=texts)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def concatenate(parts: list[SparseVectors]) -> SparseVectors:
    """Return the rows of all parts, one part after another."""
    if not parts:
        return SparseVectors.from_rows([])
    counts = np.concatenate([part.active_dims for part in parts])
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    indices = np.concatenate([part.indices for part in parts])
    return SparseVectors(indptr, indices, np.concatenate([part.values for part in parts]))


def heaviest_terms(indices: NDArray[np.int32], values: NDArray[np.float32], count: int | None) -> Row:
    """Return the heaviest terms of a row, the heaviest first; of equal weights the lower term id first.

    - count: most terms to return, None for all.
    """
    order = np.lexsort((indices, -values))[:count]
    return indices[order], values[order]


def in_order(parts: list[SparseVectors], rows: list[NDArray[np.int64]], texts: int) -> SparseVectors:
    """Return all rows in the order of their texts.

    - rows: the text of each row, for each part. A text without a row gets an empty one.
    - texts: number of texts.
    """
    place = np.full(texts, sum(map(len, parts)), dtype=np.int64)
    if rows:
        joined = np.concatenate(rows)
        place[joined] = np.arange(len(joined))
    return concatenate([*parts, SparseVectors.from_rows([([], [])])]).take(place)


def dot_products(queries: SparseVectors, documents: SparseVectors, vocabulary_size: int) -> NDArray[np.float32]:
    """Return the dot product of every query with every document: float32 (queries, documents), summed in float64."""
    scores = np.empty((len(queries), len(documents)), dtype=np.float32)
    row_of = np.repeat(np.arange(len(documents)), documents.active_dims)
    query = np.zeros(vocabulary_size, dtype=np.float64)
    for position in range(len(queries)):
        indices, values = queries.row(position)
        query[indices] = values
        scores[position] = np.bincount(row_of, query[documents.indices] * documents.values, minlength=len(documents))
        query[indices] = 0
    return scores
