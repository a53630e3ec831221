"""The screen of the fused kernel: roundings, thresholds, and the proof that no positive term is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spladelake.encoder.screening.kernel import (
    LARGEST_SUM,
    OFFSET,
    ROWS,
    STEP_COLUMNS,
    TILE_TERMS,
    PackedTerms,
    compiled,
    screen,
)
from spladelake.encoder.segments import filled_rows

# Largest rounded hidden state and weight, see kernel.py.
LARGEST_STATE, LARGEST_WEIGHT = OFFSET - 1, 127
# Largest norm of half of a term's rounded weights. It shares the 16 bits of a sum between weights and hidden states.
LARGEST_NORM = 200.0
# Widest hidden states. The wider they are, the coarser is the rounding by which sums keep to 16 bits, so more terms
# pass: at 768 encoding took 1.14 times as long as without a screen, at 256 it took 0.7 times as long.
MOST_WIDTH = 512
# Bound of the rounding of float32 sums of a few thousand products, relative to the product of the norms: 4,096 × 2⁻²⁴.
FLOAT32_SLACK = 2.5e-4
SMALLEST = float(np.finfo(np.float32).tiny)


class FusedScreen:
    """Finds the terms that can be positive with the fused kernel.

    Let c be any vector, S a number of the text and s of the term, a and q integers near (h - c) / S and w / s. Then

        h·w = c·w + S s a·q + S a·(w - s q) + (h - c - S a)·w
            <= c·w + S s a·q + |S a| |w - s q| + |h - c - S a| |w|      (Cauchy-Schwarz)

    So a term of bias b is positive only if the largest a·q of the text's tokens is above

        -(c·w + b + Z |w - s q| + E |w|) / (S s),     Z and E the largest |S a| and |h - c - S a| of its tokens.

    c is the mean hidden state of the first batch, because a part that all tokens share needs no rounding. The result
    holds for any c, so two threads may both set it. The sums fit into 16 bits: s bounds the norm of each half of q, and
    S bounds the norm of each half of a such that their product is at most 2¹⁵ - 1 (Cauchy-Schwarz again).
    """

    def __init__(self, weight: Tensor, bias: Tensor, kernel: Any) -> None:
        """Round and pack a decoder.

        - weight: (terms, width).
        - kernel: see `compiled`, for `padded_width(width)`.
        """
        self._weight, self._bias, self._kernel = weight, bias, kernel
        self._terms, width = weight.shape
        self._columns = padded_width(width) - width
        padded = torch.zeros(-(-self._terms // TILE_TERMS) * TILE_TERMS, width + self._columns)
        padded[: self._terms, :width] = weight
        scale = torch.maximum(padded.abs().amax(dim=1) / LARGEST_WEIGHT, half_norms(padded) / LARGEST_NORM)
        scale = torch.where(scale > 0, scale.clamp_min(SMALLEST), 1.0)
        rounded = (padded / scale[:, None]).round_().clamp_(-LARGEST_WEIGHT, LARGEST_WEIGHT)
        # Rounding moves the norm of half of a hidden state by at most half a unit in each of its columns.
        self._largest_half = LARGEST_SUM / max(1.0, float(half_norms(rounded).max())) * (1 - FLOAT32_SLACK)
        self._largest_half -= 0.5 * (padded.shape[1] / 2) ** 0.5
        self._packed = PackedTerms(rounded.to(torch.int8).numpy())
        self._scale, self._norm = scale, padded.norm(dim=1)
        self._error = (padded - rounded * scale[:, None]).norm(dim=1)
        self._centre: tuple[Tensor, NDArray[np.float32]] | None = None

    def candidates(self, hidden: Tensor, lengths: Sequence[int]) -> NDArray[np.bool_]:
        """Return which terms can be positive in each text: bool (texts, vocabulary). No positive term is left out."""
        if self._centre is None:
            self._centre = self._around(hidden.mean(dim=0))
        centre, coefficients = self._centre
        moved = torch.nn.functional.pad(hidden - centre, (0, self._columns))
        sizes = np.asarray(lengths, dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        wanted = torch.maximum(moved.abs().amax(dim=1) / LARGEST_STATE, half_norms(moved) / self._largest_half)
        step = np.maximum(np.maximum.reduceat(wanted.numpy(), starts), np.float32(SMALLEST))
        steps = torch.from_numpy(np.repeat(step, sizes))[:, None]
        rounded = (moved / steps).round_().clamp_(-LARGEST_STATE, LARGEST_STATE)
        restored = rounded * steps
        size = np.maximum.reduceat(restored.norm(dim=1).numpy(), starts)
        error = np.maximum.reduceat((moved - restored).norm(dim=1).numpy(), starts)
        slack = FLOAT32_SLACK * (float(centre.norm()) + size + error)
        with np.errstate(over="ignore", invalid="ignore"):  # An infinite bound lets every term pass.
            factors = np.stack([np.ones_like(step), error * (1 + FLOAT32_SLACK) + slack, size * (1 + FLOAT32_SLACK)])
            factors = np.ascontiguousarray((factors / step).T, dtype=np.float32)
        blocks = -(-sizes // ROWS)
        rows = torch.from_numpy(filled_rows(sizes, blocks * ROWS))
        laid = rounded.add_(OFFSET).to(torch.uint8).index_select(0, rows)
        return screen(self._kernel, laid.numpy(), blocks, factors, self._packed, coefficients)[:, : self._terms]

    def _around(self, centre: Tensor) -> tuple[Tensor, NDArray[np.float32]]:
        """Return a centre, and the coefficients of the thresholds for it."""
        base = torch.zeros(len(self._scale))
        base[: self._terms] = self._weight @ centre + self._bias
        parts = (-(part / self._scale) for part in (base, self._norm, self._error))
        return centre, self._packed.coefficients(*(part.numpy() for part in parts))


def fused_screen(weight: Tensor, bias: Tensor) -> FusedScreen | None:
    """Return the screen for a decoder; None if this machine cannot run the kernel, or if the decoder is too wide."""
    kernel = compiled(padded_width(weight.shape[1])) if weight.shape[1] <= MOST_WIDTH else None
    return None if kernel is None else FusedScreen(weight, bias, kernel)


def padded_width(width: int) -> int:
    """Round a width up to a multiple of STEP_COLUMNS."""
    return -(-width // STEP_COLUMNS) * STEP_COLUMNS


def half_norms(rows: Tensor) -> Tensor:
    """Return the larger of the norms of the two halves of each row that the kernel adds up apart.

    - rows: (rows, width).
    """
    return rows.reshape(len(rows), -1, 2, 2).square().sum(dim=(1, 3)).amax(dim=1).sqrt()
