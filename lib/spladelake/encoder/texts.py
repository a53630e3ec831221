"""Check texts before they are tokenised: find texts without content, and make texts valid Unicode."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from spladelake.encoder.results import Status
from spladelake.errors import DataError, UsageError

# White space (Z*), control (Cc) and format characters such as zero-width joiners and byte order marks (Cf).
BLANK_CHARACTERS = "".join(
    character
    for character in map(chr, [*range(0x20000), *range(0xE0000, 0xE1000)])  # The planes between have none.
    if unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf")
)
SURROGATES = re.compile("[\ud800-\udfff]")


def clean_texts(texts: Sequence[str | None]) -> tuple[list[str], list[Status]]:
    """Return each text in a form that a tokenizer accepts, and its status. Texts without content become "".

    Raises UsageError if `texts` is one str instead of a list, and DataError if an element is neither str nor None.
    """
    if isinstance(texts, str | bytes):
        raise UsageError(
            "texts",
            f"the value has the type {type(texts).__name__}",
            "wanted a list of texts",
            "Put the text into a list: [text].",
        )
    cleaned, status = [], []
    for position, text in enumerate(texts):
        one, how = _clean(text, position)
        cleaned.append(one)
        status.append(how)
    return cleaned, status


def _clean(text: str | None, position: int) -> tuple[str, Status]:
    if text is None:
        return "", "null"
    if not isinstance(text, str):
        raise DataError(
            f"text {position}",
            f"the value has the type {type(text).__name__}",
            "wanted a str or None",
            "Convert the value to str before encoding.",
        )
    if not text:
        return "", "empty"
    if not text.strip(BLANK_CHARACTERS):
        return "", "blank"
    if text.isascii() or not SURROGATES.search(text):
        return text, "ok"
    # A pair of surrogates becomes one character. A lone surrogate becomes U+FFFD.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), "repaired"
