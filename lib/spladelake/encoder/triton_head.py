"""The head as one GPU kernel. It reduces logits as it computes them, and never writes them to memory.

Imported only if triton is installed, as it is with torch's CUDA builds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import triton  # type: ignore[import-untyped,import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-untyped,import-not-found,unused-ignore]
from torch import Tensor

from spladelake.encoder.head import TiledHead

# Block of a program: tokens of one text times terms, summed over slices of the width. tl.dot needs 16 or more.
BLOCK_TOKENS, BLOCK_TERMS, BLOCK_WIDTH = 64, 128, 64


class TritonHead(TiledHead):
    """SPLADE-max on CUDA, with one launch for a batch."""

    def largest(self, hidden: Tensor, lengths: Sequence[int]) -> Tensor:
        """See `TiledHead.largest`."""
        weight = self._decoder.weight
        hidden = hidden.to(weight.dtype).contiguous()
        ends = torch.from_numpy(np.cumsum(lengths, dtype=np.int64)).to(hidden.device)
        out = torch.empty((len(lengths), len(weight)), dtype=torch.float32, device=hidden.device)
        # Neighbouring programs share a block of terms, so it stays in the second-level cache.
        grid = (len(lengths), triton.cdiv(len(weight), BLOCK_TERMS))
        _largest[grid](
            hidden,
            weight,
            ends,
            torch.tensor(lengths, device=hidden.device),
            out,
            len(weight),
            weight.shape[1],
            BLOCK_TOKENS,
            BLOCK_TERMS,
            BLOCK_WIDTH,
        )
        return out


def _largest_of_text(
    hidden: Any,
    weight: Any,
    ends: Any,
    lengths: Any,
    out: Any,
    vocabulary: Any,
    width: Any,
    tokens_at_once: tl.constexpr,
    terms_at_once: tl.constexpr,
    width_at_once: tl.constexpr,
) -> None:
    """Compute the largest logit of a block of terms in one text.

    - hidden: (tokens, width).
    - weight: (vocabulary, width).
    """
    text = tl.program_id(0)
    terms = tl.program_id(1) * terms_at_once + tl.arange(0, terms_at_once)
    known = terms < vocabulary
    end = tl.load(ends + text)
    start = end - tl.load(lengths + text)
    largest = tl.full((terms_at_once,), float("-inf"), dtype=tl.float32)
    for first in range(start, end, tokens_at_once):
        rows = first + tl.arange(0, tokens_at_once)
        real = rows < end
        logits = tl.zeros((tokens_at_once, terms_at_once), dtype=tl.float32)
        for column in range(0, width, width_at_once):
            columns = column + tl.arange(0, width_at_once)
            inside = columns < width
            of_tokens = tl.load(
                hidden + rows[:, None] * width + columns[None, :], mask=real[:, None] & inside[None, :], other=0.0
            )
            of_terms = tl.load(
                weight + terms[None, :].to(tl.int64) * width + columns[:, None],
                mask=known[None, :] & inside[:, None],
                other=0.0,
            )
            logits += tl.dot(of_tokens, of_terms)
        largest = tl.maximum(largest, tl.max(tl.where(real[:, None], logits, float("-inf")), axis=0))
    tl.store(out + text.to(tl.int64) * vocabulary + terms, largest, mask=known)


_largest = triton.jit(_largest_of_text)
