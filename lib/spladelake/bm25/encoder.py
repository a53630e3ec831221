"""BM25 on texts in memory, for small collections and single queries. Words and weights equal those of the Spark job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.bm25.counts import Counting, WordCounts
from spladelake.bm25.settings import Bm25Settings
from spladelake.bm25.weights import document_weights
from spladelake.bm25.words import word_counter
from spladelake.encoder.texts import clean_texts
from spladelake.errors import DataError
from spladelake.vectors import SparseVectors


@dataclass(frozen=True, eq=False)
class Bm25Encoder:
    """Statistics that BM25 learnt from a collection, and the encoder that uses them.

    - vocabulary: term id of each word; term ids follow the order of the words.
    - document_frequency: number of documents that hold each word, by term id.
    - documents: number of documents, empty ones included.
    - average_length: mean number of words of a document.
    """

    settings: Bm25Settings
    vocabulary: dict[str, int]
    document_frequency: NDArray[np.int64]
    documents: int
    average_length: float

    @classmethod
    def learn(cls, texts: Sequence[str | None], settings: Bm25Settings | None = None) -> Bm25Encoder:
        """Learn the statistics of a collection. Raises DataError if none of its texts has a word."""
        settings = settings or Bm25Settings()
        counted = _counted(texts, settings)
        if not len(counted.words):
            found, wanted = "no text has a word besides stop words", "wanted at least one other word"
            raise DataError(
                "the texts", found, wanted, "Add texts with other words, or shorten the list of stop words."
            )
        frequency = np.bincount(counted.terms).astype(np.int64)
        vocabulary = {word: i for i, word in enumerate(counted.words.to_pylist())}
        return cls(settings, vocabulary, frequency, len(texts), int(counted.lengths.sum()) / len(texts))

    def encode_documents(self, texts: Sequence[str | None]) -> SparseVectors:
        """Return the weights of each document's words, row i for text i. Unknown words count only for the length."""
        indptr, indices, counts, lengths = self._counts(texts)
        values = document_weights(
            counts,
            self.document_frequency[indices],
            np.repeat(lengths, np.diff(indptr)),
            documents=self.documents,
            average_length=self.average_length,
            k1=self.settings.k1,
            b=self.settings.b,
        )
        return SparseVectors(indptr, indices, values)

    def encode_queries(self, texts: Sequence[str | None]) -> SparseVectors:
        """Return the counts of each query's words, row i for text i. Unknown words are left out."""
        indptr, indices, counts, _ = self._counts(texts)
        return SparseVectors(indptr, indices, counts.astype(np.float32))

    def _counts(
        self, texts: Sequence[str | None]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """Return row starts, term ids and counts of the known words, and the number of all words of each text."""
        counted = _counted(texts, self.settings)
        ids = np.array([self.vocabulary.get(word, -1) for word in counted.words.to_pylist()], dtype=np.int32)
        return (*counted.under(ids), counted.lengths.astype(np.int64))


def _counted(texts: Sequence[str | None], settings: Bm25Settings) -> WordCounts:
    counting = Counting(word_counter(settings))
    counting.add(clean_texts(texts)[0])
    return counting.finish()
