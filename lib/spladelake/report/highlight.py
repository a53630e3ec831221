"""Highlighting of the words of a text that matched a query's terms."""

from __future__ import annotations

from collections.abc import Sequence

from spladelake.bm25.words import composed, word_pattern

# A term with at least this many characters also marks longer words that begin with it, as a stem does.
PREFIX_LENGTH = 4
# Most characters shown of a text, and most characters shown before its first match.
SHOWN, BEFORE = 420, 80


def marked(text: str, terms: Sequence[str]) -> list[tuple[str, bool]]:
    """Cut the text to a passage around its first match; return it in pieces: (piece, whether it matches a term)."""
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
    """Return whether a word of the text matches the term; if none does, the model added the term by expansion."""
    return any(_stands_for(word, {term.lower()}) for word in word_pattern(shortest=1).findall(text))


def _stands_for(word: str, wanted: set[str]) -> bool:
    word = composed(word.lower())
    return word in wanted or any(word[:end] in wanted for end in range(PREFIX_LENGTH, len(word)))


def _passage(text: str, wanted: set[str]) -> tuple[str, bool, bool]:
    """Return the shown part of a text, and whether text is cut off before it and after it."""
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
