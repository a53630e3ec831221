"""Count how often each text holds each word. Words become numbers at once, so that numpy can count them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spladelake.bm25.words import WordCounter, split

_LEFT_OUT = -1


@dataclass(frozen=True, eq=False)
class WordCounts:
    """The counted words of texts, row i for text i.

    - words: the different words, in the order of their UTF-8 bytes.
    - indptr: start of each row, and the end of the last.
    - terms: positions in `words`, ascending in each row.
    - counts: how often the text holds each of these words.
    - lengths: number of words of each text.
    """

    words: pa.StringArray
    indptr: NDArray[np.int64]
    terms: NDArray[np.int32]
    counts: NDArray[np.int32]
    lengths: NDArray[np.int32]

    def under(self, ids: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """Return the rows under the term ids of a vocabulary: start of each row, term ids, counts.

        - ids: term id of each of `words`, ascending; below 0 for a word that the vocabulary lacks. These words are
          left out.
        """
        found = ids[self.terms]
        known = found >= 0
        before = np.concatenate([[0], np.cumsum(known)])
        return before[self.indptr], found[known], self.counts[known].astype(np.int64)


class Counting:
    """A counter of texts that arrive one after the other."""

    def __init__(self, counter: WordCounter) -> None:
        self._numbers = _Numbers(counter)
        self._words = array("i")
        self._sizes = array("q")

    @property
    def size(self) -> int:
        """Words of all texts so far plus ten times the different words: proportional to the memory in use."""
        return len(self._words) + 10 * len(self._numbers)

    def add(self, texts: Iterable[str]) -> None:
        """Count more texts."""
        number = self._numbers.__getitem__
        for text in texts:
            words = split(text)
            self._words.extend(map(number, words))
            self._sizes.append(len(words))

    def finish(self) -> WordCounts:
        """Return the counts of all texts."""
        rows = len(self._sizes)
        words, ranks = self._numbers.ranked()
        found = ranks[np.frombuffer(self._words, np.int32)]
        row = np.repeat(np.arange(rows), np.frombuffer(self._sizes, np.int64))
        counted = found != _LEFT_OUT
        # One number stands for a text and a word. After sorting, equal numbers are neighbours and words ascend in each
        # text.
        width = max(1, len(words))
        both = row[counted] * width + found[counted]
        both.sort()
        first = np.flatnonzero(np.diff(both, prepend=-1))
        rows_of, terms = np.divmod(both[first], width)
        return WordCounts(
            pa.array(words, pa.string()),
            indptr=np.searchsorted(rows_of, np.arange(rows + 1)),
            terms=terms.astype(np.int32),
            counts=np.diff(first, append=len(both)).astype(np.int32),
            lengths=np.bincount(row[counted], minlength=rows).astype(np.int32),
        )


class _Numbers(dict[str, int]):
    """The number of each word before stemming. Words of one stem share a number, from 0 in the order they appear."""

    def __init__(self, counter: WordCounter) -> None:
        super().__init__()
        self._counter = counter
        self._stems: dict[str, int] = {}

    def __missing__(self, word: str) -> int:
        stem = self._counter.stem(word)
        number = self[word] = self._stems.setdefault(stem, len(self._stems)) if stem else _LEFT_OUT
        return number

    def ranked(self) -> tuple[list[str], NDArray[np.int64]]:
        """Return the stems in the order of their UTF-8 bytes, and each number's position there; _LEFT_OUT stays."""
        words = sorted(self._stems)
        ranks = np.full(len(words) + 1, _LEFT_OUT, np.int64)
        ranks[[self._stems[word] for word in words]] = np.arange(len(words))
        return words, ranks
