"""Borders in texts: of words and sentences by Unicode (UAX 29), and of paragraphs.

The package `regex` has the Unicode properties that the rules name. So the rules need no model and no list of
abbreviations, and they hold for every script.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import regex

Span = tuple[int, int]

_WORD_BORDER = regex.compile(r"(?w)\b")
_LINE = r"(?:\r\n|[\n\r\x0b\x0c\x85\u2028])"
# A blank line, or Unicode's paragraph separator.
_BLANK_LINES = regex.compile(rf"{_LINE}[^\S\n\r\x0b\x0c\x85\u2028\u2029]*+{_LINE}\s*+|\u2029\s*+")
_LINE_ENDS = regex.compile(rf"{_LINE}\s*+")

# The rules SB5 to SB11. A single line end is a space here, as in texts that are wrapped at some width.
_IGNORED = r"[\p{SB=Extend}\p{SB=Format}]*+"
_TERM = r"\p{SB=STerm}\p{SB=ATerm}"
_AFTER = rf"(?:\p{{SB=Close}}{_IGNORED})*+(?:[\p{{SB=Sp}}\r\n\x85\u2028]{_IGNORED})*+"
_LOWER_FOLLOWS = rf"[^\p{{SB=OLetter}}\p{{SB=Upper}}\p{{SB=Lower}}\u2029{_TERM}]*+\p{{SB=Lower}}"
_FULL_STOP = (
    rf"\p{{SB=ATerm}}{_IGNORED}(?!\p{{SB=Numeric}})"
    rf"(?!(?<=[\p{{SB=Upper}}\p{{SB=Lower}}]{_IGNORED}\p{{SB=ATerm}}{_IGNORED})\p{{SB=Upper}})"
    rf"{_AFTER}(?!{_LOWER_FOLLOWS})"
)
_SENTENCE_END = regex.compile(
    rf"(?:{_FULL_STOP}|\p{{SB=STerm}}{_IGNORED}{_AFTER})(?![\p{{SB=SContinue}}{_TERM}])",
)


def is_word_border(text: str, place: int) -> bool:
    """Return whether no word stands across a place of a text. Both ends of a text are borders."""
    if place <= 0 or place >= len(text):
        return True
    if "\ud800" <= text[place - 1] <= "\udbff" and "\udc00" <= text[place] <= "\udfff":
        return False
    if text[place - 1].isspace() or text[place].isspace():
        return True
    return _WORD_BORDER.match(text, place) is not None


def paragraphs(text: str) -> list[Span]:
    """Return the paragraphs of a text, which together are the whole text.

    Blank lines end a paragraph. In a text without blank lines each line is a paragraph.
    """
    ends = [found.end() for found in _BLANK_LINES.finditer(text)]
    return _between(ends or [found.end() for found in _LINE_ENDS.finditer(text)], len(text))


def sentences(text: str, span: Span) -> list[Span]:
    """Return the sentences in a span of a text, which together are the whole span."""
    start, end = span
    found = {match.end() for match in _SENTENCE_END.finditer(text, start, end)}
    found.update(match.end() for match in _BLANK_LINES.finditer(text, start, end))
    return [(max(a, start), b) for a, b in _between(sorted(found), end) if b > start]


def _between(ends: list[int], size: int) -> list[Span]:
    return list(_spans([0, *(end for end in ends if end < size), size]))


def _spans(places: list[int]) -> Iterator[Span]:
    return ((a, b) for a, b in pairwise(places) if b > a)
