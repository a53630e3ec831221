"""Settings of BM25: its two parameters, and the rules by which a text becomes words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from spladelake.errors import DataError, UsageError
from spladelake.extras import require_extra
from spladelake.names import listed

# k1 and b of Anserini's baselines on passages; Lucene's own defaults are 1.2 and 0.75.
DEFAULT_K1, DEFAULT_B = 0.9, 0.4
DEFAULT_STEMMER, DEFAULT_STOP_WORDS = "english", "english"
NONE = "none"
# Version of the rules by which texts become words. Raise it if the same settings begin to give other words.
# 2: combining marks belong to words, which are composed (NFC).
WORDS_RECIPE = 2

# Lucene's English stop words (EnglishAnalyzer.ENGLISH_STOP_WORDS_SET).
_ENGLISH = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was
will with
"""
ENGLISH_STOP_WORDS = tuple(_ENGLISH.split())


@dataclass(frozen=True)
class Bm25Settings:
    """Parameters of BM25, and the rules by which a text becomes words.

    - k1: term-frequency saturation, 0 or more.
    - b: length normalisation, from 0 to 1.
    - stemmer: a Snowball algorithm, or "none".
    - stop_words: lower-case words that are left out before stemming.

    Raises UsageError for an invalid k1, b or stemmer, MachineError if PyStemmer is not installed.
    """

    k1: float = DEFAULT_K1
    b: float = DEFAULT_B
    stemmer: str = DEFAULT_STEMMER
    stop_words: tuple[str, ...] = ENGLISH_STOP_WORDS

    def __post_init__(self) -> None:
        if not self.k1 >= 0 or self.k1 == float("inf"):
            raise UsageError(
                "k1", f"the value is {self.k1}", "wanted a finite number of 0 or more", "Use, for example, 0.9."
            )
        if not 0 <= self.b <= 1:
            raise UsageError("b", f"the value is {self.b}", "wanted a number from 0 to 1", "Use, for example, 0.4.")
        if self.stemmer != NONE and self.stemmer not in stemmers():
            raise UsageError(
                "stemmer",
                f"there is no stemmer {self.stemmer!r}",
                f"wanted {listed([NONE, *stemmers()])}",
                "Correct the name of the stemmer.",
            )

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of the settings and the version of the word rules, which decide words and weights."""
        recipe = {"recipe": WORDS_RECIPE, **asdict(self), "stop_words": sorted(set(self.stop_words))}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def stemmers() -> list[str]:
    """Return the names of the installed Snowball algorithms. Raises MachineError if PyStemmer is not installed."""
    require_extra("bm25")
    import Stemmer

    return sorted(Stemmer.algorithms())


def read_stop_words(choice: str) -> tuple[str, ...]:
    """Return stop words by name (english, none), or from a UTF-8 file of one word a line; # begins a comment.

    Raises UsageError if there is no such list or file, DataError if the file is not UTF-8.
    """
    if choice == NONE:
        return ()
    if choice == "english":
        return ENGLISH_STOP_WORDS
    path = Path(choice).expanduser()
    if not path.is_file():
        raise UsageError(
            f"stopwords {choice}",
            "there is no such list or file",
            "wanted english, none or a file",
            "Correct the name.",
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(
            str(path),
            f"the file is not UTF-8: byte {error.start + 1} is 0x{error.object[error.start]:02x}",
            "wanted UTF-8 with one word in each line",
            "Convert the file to UTF-8.",
        ) from None
    words = (line.split("#")[0].strip().lower() for line in lines)
    return tuple(sorted({word for word in words if word}))
