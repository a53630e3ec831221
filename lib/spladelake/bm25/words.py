"""A text as words: lower case, split at everything that is no letter, digit or underscore, stop words out, stemmed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

from spladelake.bm25.settings import NONE, Bm25Settings

# The pattern of scikit-learn's CountVectorizer and of bm25s, so that the same words go into all three.
WORD = re.compile(r"(?u)\b\w\w+\b")
# The same for ASCII, several times as fast: letters in lower case, and a space for all that is in no word.
_ASCII = bytes(ord(chr(code).lower()) if chr(code).isalnum() or chr(code) == "_" else 32 for code in range(128))
_TO_WORDS = _ASCII + bytes(128)
# Different words whose stems are kept at hand; some 100 bytes each.
REMEMBERED_WORDS = 500_000


def split(text: str) -> list[str]:
    """The words of a text in their order, in lower case; of an ASCII text also those of one character."""
    if text.isascii():
        return text.encode().translate(_TO_WORDS).decode().split()
    return WORD.findall(text.lower())


class WordCounter:
    """Counts the words of texts under some settings."""

    def __init__(self, settings: Bm25Settings) -> None:
        self._stop_words = frozenset(settings.stop_words)
        self._stem = _stem_function(settings.stemmer)
        self._stems: dict[str, str] = {}

    def stem(self, word: str) -> str:
        """The stem of a word that `split` gave; "" if the word does not count.

        Words of one character and stop words do not count. A stemmer can leave nothing of a word.
        """
        found = self._stems.get(word)
        if found is None:
            if len(self._stems) > REMEMBERED_WORDS:
                self._stems.clear()
            counts = len(word) > 1 and word not in self._stop_words
            found = self._stems[word] = self._stem(word) if counts else ""
        return found

    def words(self, text: str) -> list[str]:
        """The words of a text in their order, stemmed; those of one character and stop words are left out."""
        return [stem for stem in map(self.stem, split(text)) if stem]

    def count(self, text: str) -> Counter[str]:
        """How often each word stands in a text."""
        return Counter(self.words(text))


@lru_cache(maxsize=4)
def word_counter(settings: Bm25Settings) -> WordCounter:
    """The counter of this process for some settings."""
    return WordCounter(settings)


def _stem_function(name: str) -> Callable[[str], str]:
    if name == NONE:
        return str
    import Stemmer

    # Without the stemmer's own cache: every word comes here once.
    stem: Callable[[str], str] = Stemmer.Stemmer(name, 0).stemWord
    return stem
