"""Compaction of vectors with a known loss: weights are rounded and light terms left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.exchange.quantiser import Quantiser
from spladelake.vectors import SparseVectors

Mask = NDArray[np.bool_]
MANTISSA_BITS = 23


@dataclass(frozen=True)
class Compaction:
    """The changes to every vector, in this order. By default there are none.

    - minimum_weight: smaller weights are left out.
    - term_quantile: this share of each term's weights over all documents is left out, the smallest first.
    - keep_terms: number of terms that a vector keeps, the heaviest first.
    - alpha_mass: a vector keeps its heaviest terms until they have this share of its sum.
    - mantissa_bits: weights are rounded to this many mantissa bits.
    - levels: weights are rounded to this many equal steps up to the largest weight.
    """

    minimum_weight: float = 0.0
    term_quantile: float = 0.0
    keep_terms: int | None = None
    alpha_mass: float = 1.0
    mantissa_bits: int | None = None
    levels: int | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.changes.items()) or "lossless"

    @property
    def changes(self) -> dict[str, float]:
        """The settings that change vectors, by name."""
        return {name: value for name, value in self.__dict__.items() if value != getattr(Compaction, name)}

    @property
    def is_lossless(self) -> bool:
        return self == Compaction()


@dataclass(frozen=True)
class Statistics:
    """Statistics of the whole table.

    - largest: the largest weight.
    - thresholds: float32 (vocabulary), the least weight of each term that `term_quantile` keeps; None without it.
    """

    largest: float
    thresholds: NDArray[np.float32] | None = None


def compacted(vectors: SparseVectors, how: Compaction, statistics: Statistics) -> SparseVectors:
    """Return the vectors under a compaction.

    Only `minimum_weight` and `term_quantile` can leave out all terms of a vector. The others keep the heaviest one.
    """
    keep = np.ones(len(vectors.values), dtype=np.bool_)
    if how.minimum_weight > 0:
        keep &= vectors.values >= np.float32(how.minimum_weight)
    if statistics.thresholds is not None:
        keep &= vectors.values >= statistics.thresholds[vectors.indices]
    vectors = _only(vectors, keep)
    if how.keep_terms is not None:
        vectors = _only(vectors, heaviest(vectors, how.keep_terms))
    if how.alpha_mass < 1:
        vectors = _only(vectors, heaviest_mass(vectors, how.alpha_mass))
    return SparseVectors(vectors.indptr, vectors.indices, rounded(vectors.values, how, statistics))


def rounded(values: NDArray[np.float32], how: Compaction, statistics: Statistics) -> NDArray[np.float32]:
    """Return the weights as the compaction rounds them. No weight becomes 0."""
    if how.mantissa_bits is not None:
        return round_mantissa(values, how.mantissa_bits)
    if how.levels is not None:
        quantiser = Quantiser.of(statistics.largest, levels=how.levels)
        return quantiser.weights(quantiser.impacts(values))
    return values


def round_mantissa(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Return positive float32 values rounded to so many mantissa bits, ties to even.

    The relative error is at most 2^-(bits + 1).
    """
    if bits >= MANTISSA_BITS:
        return values
    drop = np.uint32(MANTISSA_BITS - bits)
    raw = np.ascontiguousarray(values).view(np.uint32)
    even = (raw >> drop) & np.uint32(1)
    half = np.uint32((1 << (int(drop) - 1)) - 1)
    return (((raw + half + even) >> drop) << drop).view(np.float32)


def heaviest(vectors: SparseVectors, count: int) -> Mask:
    """Return which elements are among the `count` heaviest of their row.

    Of equal weights the one with the lower term id comes first.
    """
    order, row_of = _by_weight(vectors)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - vectors.indptr[row_of]
    return place < count


def heaviest_mass(vectors: SparseVectors, share: float) -> Mask:
    """Return which elements, taken heaviest first, make up `share` of their row's sum.

    The element that reaches the share is included.
    """
    order, row_of = _by_weight(vectors)
    sorted_values = vectors.values[order].astype(np.float64)
    before = np.concatenate([[0.0], np.cumsum(sorted_values)[:-1]]) if len(order) else sorted_values
    starts = vectors.indptr[:-1]
    totals = np.add.reduceat(np.append(sorted_values, 0.0), np.minimum(starts, len(sorted_values)))
    totals = np.where(vectors.active_dims > 0, totals, 0.0)
    of_row = before - before[np.minimum(vectors.indptr[row_of], max(len(before) - 1, 0))] if len(order) else before
    keep = np.zeros(len(order), dtype=np.bool_)
    keep[order] = of_row < share * totals[row_of]
    return keep


def _by_weight(vectors: SparseVectors) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order of the elements, row by row and heaviest first, and the row of each element."""
    row_of = np.repeat(np.arange(len(vectors)), vectors.active_dims)
    return np.lexsort((vectors.indices, -vectors.values, row_of)), row_of


def _only(vectors: SparseVectors, keep: Mask) -> SparseVectors:
    if keep.all():
        return vectors
    row_of = np.repeat(np.arange(len(vectors)), vectors.active_dims)
    indptr = np.zeros(len(vectors) + 1, dtype=np.int64)
    np.cumsum(np.bincount(row_of[keep], minlength=len(vectors)), out=indptr[1:])
    return SparseVectors(indptr, vectors.indices[keep], vectors.values[keep])


@dataclass(frozen=True)
class ErrorBound:
    """Bound for the error of a score: `relative` times the score, plus `absolute` times the query's sum of weights."""

    relative: float
    absolute: float


def error_bound(how: Compaction, statistics: Statistics, *, largest_dropped: float) -> ErrorBound:
    """Return the bound for the error of a score.

    - largest_dropped: the largest weight that any vector lost.

    Rounding to mantissa bits changes a weight by at most 2^-(bits + 1) of itself. Rounding to levels changes it by at
    most half a step, or by less than one step if a weight below half a step becomes one step. A weight that is left out
    changes by all of itself.
    """
    relative = 0.0 if how.mantissa_bits is None else 2.0 ** -(how.mantissa_bits + 1)
    step = 0.0 if how.levels is None else statistics.largest / how.levels
    return ErrorBound(relative, max(step, largest_dropped))
