"""Rows of a matrix that belong together, text after text, and reductions over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spladelake.encoder.body import equal_runs, round_rows

# Texts up to this many tokens keep their length; longer ones are rounded up by at most this fraction of it.
ROUNDING = 32


class Segments:
    """Texts laid out so that a maximum over each takes few calls: similar lengths made equal.

    A maximum does not change when a row is repeated, so texts are filled up with their own first row. Lengths are
    rounded up by 1/32 at most, 1/64 on average, which leaves a handful of runs of equal length in a sorted batch.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        """lengths: rows of each text, from 1."""
        self.texts = len(lengths)
        real = np.asarray(lengths, dtype=np.int64)
        step = np.maximum(1, real // ROUNDING)
        laid = -(-real // step) * step
        starts = np.cumsum(real) - real
        offsets = np.arange(laid.sum()) - np.repeat(np.cumsum(laid) - laid, laid)
        inside = offsets < np.repeat(real, laid)
        rows = np.zeros(round_rows(len(offsets)), dtype=np.int64)
        rows[: len(offsets)] = np.repeat(starts, laid) + np.where(inside, offsets, 0)
        self._rows = torch.from_numpy(rows).to(device)
        self._runs = equal_runs(laid.tolist())

    def lay_out(self, rows: Tensor) -> Tensor:
        """rows: (tokens, width), text after text. Returns (laid-out tokens, width)."""
        return rows.index_select(0, self._rows)

    def largest(self, laid: Tensor, out: Tensor) -> None:
        """Write the maximum of each text's rows. laid: (laid-out tokens, columns). out: (texts, columns)."""
        row = text = 0
        for texts, length in self._runs:
            rows = laid[row : row + texts * length].view(texts, length, -1)
            torch.amax(rows, dim=1, out=out[text : text + texts])
            row, text = row + texts * length, text + texts


def slices(lengths: Sequence[int]) -> list[slice]:
    """Rows of each text in a matrix that holds text after text."""
    ends: NDArray[np.int64] = np.cumsum(lengths, dtype=np.int64)
    return [slice(int(end) - length, int(end)) for end, length in zip(ends, lengths, strict=True)]
