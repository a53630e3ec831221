"""Which words of a text the matching terms stand for."""

from __future__ import annotations

from collections.abc import Sequence

from spladelake.bm25.words import composed, word_pattern

# A term this long marks the words that begin with it: stems, and pieces of longer words.
PREFIX_LENGTH = 4
# Characters of a text that are shown, and that may stand before its first match.
SHOWN, BEFORE = 420, 80


def marked(text: str, terms: Sequence[str]) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it is a word of the terms, cut to a passage around the first of them."""
    wanted = {term.lower() for term in terms if not term.startswith("##")}
    pieces: list[tuple[str, bool]] = []
    passage, cut_start, cut_end = _passage(text, wanted)
    place = 0
    for match in word_pattern(shortest=1).finditer(passage):
        if _stands_for(match[0], wanted):
            pieces += [(passage[place : match.start()], False), (match[0], True)]
            place = match.end()
    pieces.append((passage[place:], False))
    pieces = [("… ", False)] * cut_start + pieces + [(" …", False)] * cut_end
    return [piece for piece in pieces if piece[0]]


def in_text(term: str, text: str) -> bool:
    """Whether some word of the text is the term's, so that it is no expansion."""
    return any(_stands_for(word, {term.lower()}) for word in word_pattern(shortest=1).findall(text))


def _stands_for(word: str, wanted: set[str]) -> bool:
    word = composed(word.lower())
    return word in wanted or any(word[:end] in wanted for end in range(PREFIX_LENGTH, len(word)))


def _passage(text: str, wanted: set[str]) -> tuple[str, bool, bool]:
    """The part of a text that is shown, and whether something is missing before and after it."""
    if len(text) <= SHOWN:
        return text, False, False
    words = word_pattern(shortest=1).finditer(text)
    first = next((match.start() for match in words if _stands_for(match[0], wanted)), 0)
    start = max(0, min(first - BEFORE, len(text) - SHOWN))
    if start:
        start = text.find(" ", start, start + 30) + 1 or start
    end = start + SHOWN
    if end < len(text):
        end = max(text.rfind(" ", start, end), end - 30)
    return text[start:end], start > 0, end < len(text)
