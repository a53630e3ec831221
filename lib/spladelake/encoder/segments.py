"""Reductions over the rows of each text in a matrix that holds text after text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spladelake.encoder.body import equal_runs, round_rows

# Texts of up to this many tokens keep their length. Longer texts are rounded up by at most this fraction of it.
ROUNDING = 32


class Segments:
    """A layout of texts in which the maximum over each text takes few calls: similar lengths become equal.

    Repeating a row does not change a maximum, so each text is filled up with its first row. Lengths grow by at most
    1/32, and by 1/64 on average. A sorted batch then has only a few runs of equal length.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        """Lay out texts.

        - lengths: number of rows of each text, 1 or more.
        """
        self.texts = len(lengths)
        real = np.asarray(lengths, dtype=np.int64)
        step = np.maximum(1, real // ROUNDING)
        laid = -(-real // step) * step
        filled = filled_rows(real, laid)
        rows = np.zeros(round_rows(len(filled)), dtype=np.int64)
        rows[: len(filled)] = filled
        self._rows = torch.from_numpy(rows).to(device)
        self._runs = equal_runs(laid.tolist())

    def lay_out(self, rows: Tensor) -> Tensor:
        """Return the rows in this layout: (laid-out tokens, width).

        - rows: (tokens, width), text after text.
        """
        return rows.index_select(0, self._rows)

    def largest(self, laid: Tensor, out: Tensor) -> None:
        """Write the maximum over the rows of each text.

        - laid: (laid-out tokens, columns).
        - out: (texts, columns), overwritten.
        """
        row = text = 0
        for texts, length in self._runs:
            rows = laid[row : row + texts * length].view(texts, length, -1)
            torch.amax(rows, dim=1, out=out[text : text + texts])
            row, text = row + texts * length, text + texts


def filled_rows(real: NDArray[np.int64], laid: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row to copy to each place of a layout in which every text is filled up with its first row.

    - real: rows of each text.
    - laid: rows of each text in the layout, at least as many.
    """
    offsets = np.arange(laid.sum()) - np.repeat(np.cumsum(laid) - laid, laid)
    inside = offsets < np.repeat(real, laid)
    return np.repeat(np.cumsum(real) - real, laid) + np.where(inside, offsets, 0)


def slices(lengths: Sequence[int]) -> list[slice]:
    """Return the rows of each text in a matrix that holds text after text."""
    ends: NDArray[np.int64] = np.cumsum(lengths, dtype=np.int64)
    return [slice(int(end) - length, int(end)) for end, length in zip(ends, lengths, strict=True)]
