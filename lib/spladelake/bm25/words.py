"""A text as words: lower case, split at everything that is no letter, digit or underscore, stop words out, stemmed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

from spladelake.bm25.settings import NONE, Bm25Settings

# The pattern of scikit-learn's CountVectorizer and of bm25s, so that the same words go into all three.
WORD = re.compile(r"(?u)\b\w\w+\b")
# Different words whose stems are kept at hand; some 100 bytes each.
REMEMBERED_WORDS = 500_000


class WordCounter:
    """Counts the words of texts under some settings."""

    def __init__(self, settings: Bm25Settings) -> None:
        self._stop_words = frozenset(settings.stop_words)
        self._stem = _stem_function(settings.stemmer)
        self._stems: dict[str, str] = {}

    def words(self, text: str) -> list[str]:
        """The words of a text in their order, stemmed; those of one character and stop words are left out."""
        found = [word for word in WORD.findall(text.lower()) if word not in self._stop_words]
        stems = self._stems
        if len(stems) > REMEMBERED_WORDS:
            stems.clear()
        for word in found:
            if word not in stems:
                stems[word] = self._stem(word)
        # A stemmer can leave nothing of a word.
        return [stem for stem in (stems[word] for word in found) if stem]

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

    stem: Callable[[str], str] = Stemmer.Stemmer(name).stemWord
    return stem
