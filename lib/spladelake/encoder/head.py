"""The masked-language-model head of SPLADE, without ever holding the tokens × vocabulary matrix."""

from __future__ import annotations

import torch
from torch import Tensor


class TiledHead:
    """Decoder of a masked language model, applied to one tile of the vocabulary at a time."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, tile: int) -> None:
        """weight: (vocabulary, width). bias: (vocabulary). tile: terms computed at once."""
        self._weight, self._bias, self._tile = weight, bias, tile

    def largest_logits(self, hidden: Tensor) -> Tensor:
        """Largest logit of every term in each text.

        hidden: (texts, tokens, width), padding filled with each text's first token, which leaves a maximum as it is.
        Returns (texts, vocabulary).
        """
        texts, tokens, width = hidden.shape
        flat = hidden.reshape(texts * tokens, width)
        out = hidden.new_empty((texts, len(self._weight)))
        for start in range(0, len(self._weight), self._tile):
            terms = slice(start, start + self._tile)
            logits = flat @ self._weight[terms].t()
            torch.amax(logits.view(texts, tokens, -1), dim=1, out=out[:, terms])
        return out if self._bias is None else out.add_(self._bias)
