"""What can be said about a text before it is tokenised: is there anything in it, and can a tokenizer take it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from spladelake.encoder.results import Status
from spladelake.errors import DataError, UsageError

# White space (Z*), control (Cc) and format characters such as zero-width joiners and byte order marks (Cf).
BLANK_CHARACTERS = "".join(
    character
    for character in map(chr, [*range(0x20000), *range(0xE0000, 0xE1000)])  # there are none in the planes between
    if unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf")
)
SURROGATES = re.compile("[\ud800-\udfff]")


def clean_texts(texts: Sequence[str | None]) -> tuple[list[str], list[Status]]:
    """Every text as a tokenizer can take it, with its status; texts without content become "".

    Raises UsageError for a single str in place of a list, DataError for anything that is neither str nor None.
    """
    if isinstance(texts, str | bytes):
        raise UsageError(
            "texts", f"the value has the type {type(texts).__name__}", "wanted a list of texts", "Use [text]."
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
    # Two halves of one character are joined, what stays alone becomes U+FFFD.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), "repaired"
