"""BM25 as Lucene defines it since version 8, without the constant factor k1 + 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def inverse_document_frequency(document_frequency: NDArray[np.int64], *, documents: int) -> NDArray[np.float64]:
    """Return the inverse document frequency of each word: ln(1 + (N - df + 0.5) / (df + 0.5)), always above 0.

    - document_frequency: df, number of documents that hold the word.
    - documents: N, number of all documents, empty ones included.

    Source: Lucene's BM25Similarity; Kamphuis et al., ECIR 2020, table 1.
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
    """Return the weight of each word in a document: idf · tf / (tf + k1 (1 - b + b · length / average_length)).

    - counts: tf, from 1.
    - document_frequency: df of the word of each count, in the shape of `counts`.
    - lengths: number of words of the document of each count, in the shape of `counts`.
    - documents, average_length: number of documents, and mean of their lengths.

    The weights of a query are its counts, and the score is the dot product. Source: as for the idf.
    """
    saturation = counts / (counts + k1 * (1 - b + b * (lengths / average_length)))
    return (inverse_document_frequency(document_frequency, documents=documents) * saturation).astype(np.float32)
