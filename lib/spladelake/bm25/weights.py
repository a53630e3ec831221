"""BM25 as Lucene defines it since version 8, without the constant factor k1 + 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def inverse_document_frequency(document_frequency: NDArray[np.int64], *, documents: int) -> NDArray[np.float64]:
    """Weight of each word by how few documents hold it: ln(1 + (N - df + 0.5) / (df + 0.5)), always above 0.

    documents: N, all documents, empty ones too. Source: Lucene's BM25Similarity; Kamphuis et al., ECIR 2020, table 1.
    """
    return np.log1p((documents - document_frequency + 0.5) / (document_frequency + 0.5))


def document_weights(
    counts: NDArray[np.int64],
    document_frequency: NDArray[np.int64],
    lengths: NDArray[np.int64],
    *,
    documents: int,
    average_length: float,
    k1: float,
    b: float,
) -> NDArray[np.float32]:
    """Weight of a word in a document: idf · tf / (tf + k1 (1 - b + b · length / average_length)).

    counts: tf, from 1. document_frequency, lengths: of the word and of the document of each count; all of one shape.
    A query's weights are its counts, and the score is the dot product. Source: as above.
    """
    saturation = counts / (counts + k1 * (1 - b + b * (lengths / average_length)))
    return (inverse_document_frequency(document_frequency, documents=documents) * saturation).astype(np.float32)
