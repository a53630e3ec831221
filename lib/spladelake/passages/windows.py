"""Windows over the tokens of a text: of a fixed length, or filled with whole sentences or paragraphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.passages.borders import Span, is_word_border, paragraphs, sentences

# First and end token of a window.
Window = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of a text.

    - text: the text.
    - starts, ends: int64 (tokens), the characters of each token. Tokens of one character have equal places.
    """

    text: str
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def is_border(self, token: int) -> bool:
        """Return whether a window may start at a token: it begins a word, and shares no character with the last."""
        return self.is_token_border(token) and is_word_border(self.text, int(self.starts[token]))

    def is_token_border(self, token: int) -> bool:
        """Return whether a token shares no character with the one before."""
        return token in (0, len(self)) or bool(self.starts[token] >= self.ends[token - 1])

    def span(self, window: Window) -> Span:
        """Return the characters of a window."""
        return int(self.starts[window[0]]), int(self.ends[window[1] - 1])

    def of(self, span: Span) -> Window:
        """Return the tokens that begin in a span of characters."""
        first, end = np.searchsorted(self.starts, span)
        return int(first), int(end)


def token_windows(
    tokens: Tokens, length: int, stride: int, *, within: Window | None = None, first: int | None = None
) -> Iterator[Window]:
    """Yield windows of at most `length` tokens, each about `stride` tokens after the one before.

    Windows begin and end at borders of words. A word longer than a window is cut at the borders of its tokens. Together
    the windows hold every token; none lies inside another.

    - stride: 1 or more; at most `length` counts.
    - within: the tokens to cover; None for all.
    - first: length of the first window, if it is another.
    """
    begin, last = within or (0, len(tokens))
    size, covered = min(length, first or length), begin
    while last - begin > size:
        end = _last_border(tokens, begin, begin + size, last)
        if end > covered:
            yield begin, end
        covered = max(end, covered)
        begin = _next_start(tokens, begin, min(begin + min(stride, size), end), end)
        size = length
    if last > covered:
        yield begin, last


def _last_border(tokens: Tokens, begin: int, end: int, last: int) -> int:
    """Return the last border in (begin, end]; of tokens if one word fills it, and beyond it if one character does."""
    for is_border in (tokens.is_border, tokens.is_token_border):
        for token in range(end, begin, -1):
            if is_border(token):
                return token
    return next((token for token in range(end + 1, last) if tokens.is_token_border(token)), last)


def _next_start(tokens: Tokens, begin: int, wanted: int, end: int) -> int:
    """Return the border nearest before the wanted start; else the first after it, at the latest the window's end."""
    before = (token for token in range(wanted, begin, -1) if tokens.is_border(token))
    after = (token for token in range(wanted + 1, end) if tokens.is_border(token))
    return next(before, next(after, end))


def filled_windows(
    tokens: Tokens, length: int, *, by_paragraph: bool, first: int | None = None
) -> Iterator[Window]:  # fmt: skip
    """Yield windows of whole sentences or paragraphs, as many as `length` tokens hold, without overlap.

    A paragraph that is longer is divided into its sentences, and a longer sentence into windows of tokens.

    - first: length of the first window, if it is another.
    """
    size, begin, end = min(length, first or length), 0, 0
    for a, b in _pieces(tokens, length, size, by_paragraph=by_paragraph):
        if b - begin > size and end > begin:
            yield begin, end
            begin, size = a, length
        end = b
    if end > begin:
        yield begin, end


def _pieces(tokens: Tokens, length: int, first: int, *, by_paragraph: bool) -> Iterator[Window]:
    """Yield sentences or paragraphs as windows that are no longer than `length`; the first no longer than `first`."""
    whole = (0, len(tokens.text))
    units: Sequence[Span] = paragraphs(tokens.text) if by_paragraph else sentences(tokens.text, whole)
    divide: Callable[[Span], list[Span]] = lambda span: sentences(tokens.text, span)  # noqa: E731
    for unit in units:
        window = tokens.of(unit)
        limit = first if window[0] == 0 else length
        parts = [tokens.of(part) for part in divide(unit)] if by_paragraph and _size(window) > limit else [window]
        for part in parts:
            limit = first if part[0] == 0 else length
            if _size(part) > limit:
                yield from token_windows(tokens, length, length, within=part, first=limit)
            elif _size(part):
                yield part


def _size(window: Window) -> int:
    return window[1] - window[0]
