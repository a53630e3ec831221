"""The settings by which texts are split into passages. A table of vectors keeps them in its properties."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

By = Literal["tokens", "sentence", "paragraph"]
Title = Literal["every", "first"]

DEFAULT_TOKENS = 256
# The property of a table of vectors that holds the settings as JSON.
PROPERTY = "passages"


@dataclass(frozen=True)
class PassageSettings:
    """How texts are split.

    - by: tokens: windows of tokens, each a stride after the one before. sentence, paragraph: whole sentences or
      paragraphs, as many as fit.
    - tokens: most tokens of a passage, without special tokens and title.
    - stride: tokens from the start of a window to the start of the next; only by tokens.
    - title: whether every passage begins with the title, or only the first.
    """

    by: By = "tokens"
    tokens: int = DEFAULT_TOKENS
    stride: int | None = None
    title: Title = "every"

    def __post_init__(self) -> None:
        if self.by == "tokens" and self.stride is None:
            object.__setattr__(self, "stride", max(1, self.tokens // 2))

    @property
    def overlap(self) -> float:
        """How often a token of a long text is read: 2 if the windows start every half of their length."""
        return self.tokens / self.stride if self.stride else 1.0

    def as_json(self) -> str:
        """Return the settings as the property of a table."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of_properties(cls, properties: Mapping[str, str]) -> PassageSettings | None:
        """Return the settings that a table's properties name; None if its vectors are of whole texts."""
        found = properties.get(f"spladelake.{PROPERTY}")
        if not found:
            return None
        known: dict[str, Any] = json.loads(found)
        return cls(**{name: known[name] for name in cls.__dataclass_fields__ if name in known})

    def __str__(self) -> str:
        title = "title in every passage" if self.title == "every" else "title in the first passage"
        if self.by == "tokens":
            return f"passages of {self.tokens} tokens (one starts every {self.stride} tokens, {title})"
        return f"passages of whole {self.by}s up to {self.tokens} tokens ({title})"


def settings_in_words(settings: PassageSettings | None) -> str:
    """Return settings in words."""
    return "whole texts" if settings is None else str(settings)
