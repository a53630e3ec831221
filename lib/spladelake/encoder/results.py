"""What an encoder hands back: vectors beside what happened to every text, and what the work cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spladelake.vectors import SparseVectors

Status = Literal["ok", "repaired", "null", "empty", "blank"]
"""How a text was taken.

ok: encoded. repaired: encoded after lone surrogates were replaced by U+FFFD. null: None. empty: "". blank: nothing that
tokenises (white space, control and zero-width characters, also after a repair). The last three have an empty vector
and no model call.
"""


@dataclass(frozen=True)
class EncodeStats:
    """What encoding cost. Adds up over batches and workers.

    texts: texts handed in. tokens: tokens the model was asked for, special ones included. padded_tokens: tokens it
    computed, padding included. seconds: wall time of the calls. tokenise_seconds: time spent tokenising, which may
    overlap with the model.
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
        """Share of the computed tokens that were padding: 0 to 1."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0

    @property
    def docs_per_second(self) -> float:
        """Texts per second of wall time; 0 when nothing was timed."""
        return self.texts / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, eq=False)
class EncodedBatch:
    """Encoded texts in the order they were handed in.

    vectors: one row a text. tokens: int32 (texts), tokens the model saw, special ones included; 0 without a model call.
    truncated: bool (texts), whether tokens were cut off. status: one `Status` a text. stats: cost of the call.
    """

    vectors: SparseVectors
    tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    status: list[Status]
    stats: EncodeStats
