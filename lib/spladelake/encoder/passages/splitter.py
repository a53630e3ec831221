"""Split documents into passages that a model reads whole, by the tokens of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from spladelake.encoder.checkpoint import Checkpoint, effective_settings, layout_of, verify_files
from spladelake.encoder.texts import SURROGATES
from spladelake.encoder.tokens import load_tokenizer
from spladelake.errors import UsageError
from spladelake.passages import Passage, PassageSettings, split_document

# Characters of a text that are tokenised at once, cut before white space: long texts need no large arrays of a
# tokenizer then. Tokens do not depend on it, as no token crosses white space.
PIECE = 16_384
# Pieces in one call of the tokenizer.
PIECES_AT_ONCE = 32
_SPACE = regex.compile(r"\s")


@dataclass(frozen=True)
class Splitter:
    """Splits documents by the tokens of one model.

    - room: tokens that the model reads, without special tokens and prompt.
    """

    tokenizer: Any
    room: int
    settings: PassageSettings

    @classmethod
    def load(cls, checkpoint: Checkpoint, settings: PassageSettings, *, verify: bool = True) -> Splitter:
        """Load the tokenizer of a model, without the model.

        - verify: whether to compare the files of the model with its fingerprint.

        Raises UsageError if a passage would not fit into the model.
        """
        if verify:
            verify_files(checkpoint)
        layout = layout_of(checkpoint)
        in_force = effective_settings(layout, checkpoint.settings, place=checkpoint.name)
        tokenizer = load_tokenizer(
            Path(checkpoint.folder) / layout.transformer,
            special=True,
            split_special_tokens=in_force.split_special_tokens,
            lower_case=layout.lower_case,
            arguments=layout.tokenizer_arguments,
        )
        found = cls(tokenizer.backend, 0, settings)
        prompt = len(found.spans(in_force.document_prompt or ""))
        length = in_force.max_length or layout.document_length
        room = length - tokenizer.special_tokens - prompt
        if settings.tokens > room:
            raise _too_large(settings.tokens, checkpoint.name, length, room)
        return cls(tokenizer.backend, room, settings)

    def split(self, title: str | None, text: str | None) -> Iterator[Passage]:
        """Yield the passages of a document; see `passages.split_document`."""
        return split_document(title, text, self.settings, spans=self.spans, room=self.room)

    def spans(self, text: str) -> NDArray[np.int64]:
        """Return the characters of each token of a text: int64 (tokens, 2)."""
        text = text if text.isascii() else SURROGATES.sub("\ufffd", text)
        edges = _edges(text)
        parts = [np.empty((0, 2), dtype=np.int64)]
        for first in range(0, len(edges) - 1, PIECES_AT_ONCE):
            some = edges[first : first + PIECES_AT_ONCE + 1]
            pieces = [text[a:b] for a, b in pairwise(some)]
            found = self.tokenizer.encode_batch(pieces, add_special_tokens=False)
            for encoding, offset in zip(found, some, strict=False):
                parts.append(np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2) + offset)
        spans = np.concatenate(parts)
        # A tokenizer may add a token that stands for no character.
        return spans[spans[:, 1] > spans[:, 0]]


def _edges(text: str) -> Sequence[int]:
    """Return the places at which a text is cut for the tokenizer: before white space, or at its ends."""
    edges = [0]
    while len(text) - edges[-1] > PIECE:
        found = _SPACE.search(text, edges[-1] + PIECE)
        if found is None:
            break
        edges.append(found.start())
    return [*edges, len(text)]


def _too_large(tokens: int, name: str, length: int, room: int) -> UsageError:
    """Return the error for passages that do not fit into the model.

    - tokens: of a passage.
    - name, length: of the model; the most tokens that it reads of a text.
    - room: tokens that remain for a passage, negative if the prompt alone is too long.
    """
    place = "--passage-tokens"
    if room <= 0:
        found = f"{name} reads {length} tokens of a text, but the special tokens and the prompt are {length - room}"
        fix = "Raise --max-length, or shorten the prompt."
        return UsageError(place, found, "wanted room for at least one token of a passage", fix)
    why = f"{name} reads {length} tokens of a text, of which {length - room} are special tokens or the prompt"
    wanted, fix = f"wanted at most {room}, because {why}", f"Set --passage-tokens to {room} or less."
    return UsageError(place, f"the value is {tokens}", wanted, fix)
