"""Advice on passages: whether texts are longer than a model reads, and what passages of them cost."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from spladelake.config.forecast import Forecast
from spladelake.config.model_kinds import NEURAL, kind_of_model
from spladelake.errors import UsageError
from spladelake.forecast import estimates, load_slopes
from spladelake.passages.settings import DEFAULT_TOKENS

# Tokens that most SPLADE models read, and characters of a token in English text.
READ_TOKENS, TOKEN_CHARACTERS = 512, 4.5
# Passages are proposed if more than this share of the texts is longer.
SHARE = 0.05
STRIDE = DEFAULT_TOKENS // 2


@dataclass(frozen=True)
class LongTexts:
    """The texts of an input by their tokens, estimated from their characters.

    - share: share of texts that a model does not read whole.
    - passages: mean number of passages of a text.
    """

    share: float
    passages: float

    @classmethod
    def of(cls, characters: Iterable[int]) -> LongTexts | None:
        """Return the facts of texts of these lengths; None if there are no texts."""
        tokens = [count / TOKEN_CHARACTERS for count in characters]
        if not tokens:
            return None
        split = [1 + max(0, math.ceil((count - DEFAULT_TOKENS) / STRIDE)) for count in tokens]
        return cls(sum(count > READ_TOKENS for count in tokens) / len(tokens), sum(split) / len(tokens))


def advice(found: LongTexts | None, *, rows: int, model: str) -> list[str]:
    """Return sentences that propose passages and say what they cost.

    None if few texts are long, or if the model reads texts of any length.
    """
    if found is None or found.share <= SHARE or kind_of_model(model) is not NEURAL:
        return []
    passages = round(rows * found.passages)
    lines = [
        f"{found.share:.0%} of the texts are longer than {READ_TOKENS} tokens, which is all that most models read",
        f"passages of {DEFAULT_TOKENS} tokens would make about {passages:,} vectors instead of {rows:,}",
    ]
    try:
        asked = Forecast(docs=max(1, passages), tokens=DEFAULT_TOKENS, model=model)
        seconds = estimates(load_slopes(), asked)[0].seconds
    except UsageError:
        return lines  # no measurement covers the model
    return [*lines, f"two cores would encode them in about {max(1, round(seconds / 60)):,} minutes (forecast)"]
