"""Turn a text into words: lower-case it, split it, drop stop words, stem.

Letters, digits, combining marks and underscores make a word; any other character ends it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from itertools import chain, groupby

from spladelake.bm25.settings import NONE, Bm25Settings

# A translation splits ASCII texts several times as fast: letters become lower case, and characters outside words become
# spaces.
_ASCII = bytes(ord(chr(code).lower()) if chr(code).isalnum() or chr(code) == "_" else 32 for code in range(128))
_TO_WORDS = _ASCII + bytes(128)
# Ranges with Unicode's combining marks. The gaps hold ideographs, Hangul syllables and characters of private use.
_WITH_MARKS = (range(0x300, 0x3400), range(0xA000, 0xAC00), range(0xFB00, 0x1F000), range(0xE0100, 0xE01F0))
# Blocks of the scripts of Unicode's line breaking class SA, which put no spaces between words. Their marks end a word;
# otherwise a whole sentence would be one word (xquad in Thai: nDCG@10 0.845 in pieces, 0.253 in whole runs).
_WITHOUT_SPACES = (
    range(0x0E00, 0x0F00),  # Thai, Lao
    range(0x1000, 0x10A0),  # Myanmar
    range(0x1780, 0x1800),  # Khmer
    range(0x1950, 0x19E0),  # Tai Le, New Tai Lue
    range(0x1A20, 0x1AB0),  # Tai Tham
    range(0xA9E0, 0xAA00),  # Myanmar
    range(0xAA60, 0xAAE0),  # Myanmar, Tai Viet
    range(0x116D0, 0x11750),  # Myanmar, Ahom
)
# Zero width non-joiner and joiner. After a mark they change only the shape of letters, so the word is the same without.
_JOINERS = ("\u200c", "\u200d")
# Most different words whose stems are cached; some 100 bytes each.
REMEMBERED_WORDS = 500_000


@lru_cache(maxsize=2)
def word_pattern(*, shortest: int = 2) -> re.Pattern[str]:
    r"""Return the pattern of a word: letters, digits, underscores and combining marks; the first is no mark.

    Without marks and with `shortest` 2 it matches the words of scikit-learn's CountVectorizer and bm25s, \b\w\w+\b.
    Python's \w lacks the marks that spell vowels in Hindi and related languages.

    - shortest: fewest characters of a word.
    """
    return re.compile(rf"\w[\w{_marks()}]{{{shortest - 1},}}")


@lru_cache(maxsize=1)
def _joiner_after_mark() -> re.Pattern[str]:
    return re.compile(f"(?<=[{_marks()}])[{''.join(_JOINERS)}]+")


@lru_cache(maxsize=1)
def _marks() -> str:
    """Return the combining marks as ranges of a character class, without the marks of scripts without spaces."""
    codes = chain.from_iterable(_WITH_MARKS)
    spaced = (code for code in codes if not any(code in block for block in _WITHOUT_SPACES))
    marks = [code for code in spaced if unicodedata.category(chr(code)).startswith("M")]
    # Successive codes differ from their positions by the same number.
    rows = [list(row) for _, row in groupby(enumerate(marks), key=lambda placed: placed[1] - placed[0])]
    return "".join(f"{chr(row[0][1])}-{chr(row[-1][1])}" for row in rows)


def split(text: str) -> list[str]:
    """Return the words of a text in order, in lower case and in NFC; of an ASCII text also words of one character."""
    if text.isascii():
        return text.encode().translate(_TO_WORDS).decode().split()
    text = composed(text.lower())
    if any(joiner in text for joiner in _JOINERS):
        text = _joiner_after_mark().sub("", text)
    return word_pattern().findall(text)


def composed(text: str) -> str:
    """Return a text in Unicode's form NFC, so that a letter with a separate mark equals the composed letter."""
    return unicodedata.normalize("NFC", text)


class WordCounter:
    """A counter of the words of texts, with the stop words and the stemmer of the settings."""

    def __init__(self, settings: Bm25Settings) -> None:
        self._stop_words = frozenset(map(composed, settings.stop_words))
        self._stem = _stem_function(settings.stemmer)
        self._stems: dict[str, str] = {}

    def stem(self, word: str) -> str:
        """Return the stem of a word from `split`; "" if the word does not count.

        Words of one character and stop words do not count. A stemmer may also return "".
        """
        found = self._stems.get(word)
        if found is None:
            if len(self._stems) > REMEMBERED_WORDS:
                self._stems.clear()
            counts = len(word) > 1 and word not in self._stop_words
            found = self._stems[word] = self._stem(word) if counts else ""
        return found

    def words(self, text: str) -> list[str]:
        """Return the stemmed words of a text in order, without words of one character and stop words."""
        return [stem for stem in map(self.stem, split(text)) if stem]

    def count(self, text: str) -> Counter[str]:
        """Count how often each word occurs in a text."""
        return Counter(self.words(text))


@lru_cache(maxsize=4)
def word_counter(settings: Bm25Settings) -> WordCounter:
    """Return this process's counter for the settings."""
    return WordCounter(settings)


def _stem_function(name: str) -> Callable[[str], str]:
    if name == NONE:
        return str
    import Stemmer

    # Without the stemmer's own cache, because WordCounter stems every word once.
    stem: Callable[[str], str] = Stemmer.Stemmer(name, 0).stemWord
    return stem
