"""The result of an encoder: vectors, the status of each text, and the cost of the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spladelake.vectors import SparseVectors

Status = Literal["ok", "repaired", "null", "empty", "blank"]
"""The status of a text.

- ok: encoded.
- repaired: encoded, after U+FFFD replaced lone surrogates.
- null: None.
- empty: "".
- blank: without tokens, such as white space, control and zero-width characters.

Null, empty and blank texts get an empty vector without a call of the model.
"""


@dataclass(frozen=True)
class EncodeStats:
    """The cost of encoding. Costs of batches and workers can be added.

    - texts: number of texts.
    - tokens: number of tokens, special tokens included.
    - padded_tokens: number of computed tokens, padding included.
    - seconds: wall-clock time of the calls.
    - tokenise_seconds: time of tokenising, which may overlap with the model.
    """

    texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: float = 0.0
    tokenise_seconds: float = 0.0

    def __add__(self, other: EncodeStats) -> EncodeStats:
        return EncodeStats(
            texts=self.texts + other.texts,
            tokens=self.tokens + other.tokens,
            padded_tokens=self.padded_tokens + other.padded_tokens,
            seconds=self.seconds + other.seconds,
            tokenise_seconds=self.tokenise_seconds + other.tokenise_seconds,
        )

    @property
    def padding_waste(self) -> float:
        """The share of padding in the computed tokens: 0 to 1."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0

    @property
    def docs_per_second(self) -> float:
        """Texts per second of wall-clock time; 0 if no time was measured."""
        return self.texts / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, eq=False)
class EncodedBatch:
    """Encoded texts in the order of the input.

    - vectors: one row for each text.
    - tokens: int32 (texts), tokens that the model read, special tokens included; 0 without a call of the model.
    - truncated: bool (texts), whether the text was cut.
    - status: one `Status` for each text.
    - stats: cost of the call.
    """

    vectors: SparseVectors
    tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    status: list[Status]
    stats: EncodeStats
