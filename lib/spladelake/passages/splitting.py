"""Split a document into passages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spladelake.passages.borders import Span
from spladelake.passages.ids import MOST_PASSAGES
from spladelake.passages.settings import PassageSettings
from spladelake.passages.windows import Tokens, Window, filled_windows, token_windows

# The characters of each token of a text, int64 (tokens, 2), in order and without special tokens.
Spans = Callable[[str], NDArray[np.int64]]


class Passage(NamedTuple):
    """A passage of a document.

    - start, end: its characters (Unicode code points) in the document's text.
    - text: the passage as the model reads it, with the title in front of it; None if the document has no text.
    """

    start: int
    end: int
    text: str | None


class TooManyPassagesError(ValueError):
    """A document with more passages than an id can count."""


def split_document(
    title: str | None, text: str | None, settings: PassageSettings, *, spans: Spans, room: int
) -> Iterator[Passage]:  # fmt: skip
    """Yield the passages of a document, in order. A document without words in its text has one passage.

    A title comes on top of the tokens of a passage. If the model cannot read both, the passage gets shorter. A title
    that would take more than half of the room is cut.

    - spans: the tokenizer.
    - room: most tokens that the model reads, without special tokens.

    Raises TooManyPassagesError after MOST_PASSAGES passages.
    """
    title = title if title and title.strip() else None
    if text is None or not text.strip():
        yield Passage(0, len(text or ""), text if title is None else title)
        return
    tokens = _tokens(text, spans)
    if not len(tokens):
        yield Passage(0, len(text), text if title is None else f"{title} {text}")
        return
    head, size = _shortened(title, spans, room // 2) if title is not None else ("", 0)
    for number, window in enumerate(_windows(tokens, settings, room=room, title=size)):
        if number == MOST_PASSAGES:
            raise TooManyPassagesError
        start, end = tokens.span(window)
        with_title = head and (number == 0 or settings.title == "every")
        yield Passage(start, end, f"{head} {text[start:end]}" if with_title else text[start:end])


def _windows(tokens: Tokens, settings: PassageSettings, *, room: int, title: int) -> Iterator[Window]:
    first = max(1, min(settings.tokens, room - title))
    length = first if settings.title == "every" else min(settings.tokens, room)
    if settings.by != "tokens":
        return filled_windows(tokens, length, by_paragraph=settings.by == "paragraph", first=first)
    return token_windows(tokens, length, settings.stride or length, first=first)


def _tokens(text: str, spans: Spans) -> Tokens:
    found = spans(text)
    return Tokens(text, np.ascontiguousarray(found[:, 0]), np.ascontiguousarray(found[:, 1]))


def _shortened(title: str, spans: Spans, most: int) -> tuple[str, int]:
    """Return a title, cut to a number of tokens, and its tokens."""
    tokens = _tokens(title, spans)
    if len(tokens) <= most:
        return title, len(tokens)
    window: Window = next(token_windows(tokens, max(1, most), max(1, most)))
    span: Span = tokens.span(window)
    return title[: span[1]], window[1]
