"""The masked-language-model head of SPLADE. It never holds the whole tokens × vocabulary matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spladelake.encoder.layout import Activation, Pooling
from spladelake.encoder.segments import Segments, slices
from spladelake.encoder.sparse import positive_terms, row_starts
from spladelake.errors import DataError
from spladelake.vectors import SparseVectors

LARGEST_INT8 = 127
# Bound of the rounding of float32 sums of a few thousand products, relative to the product of the norms: 4,096 × 2⁻²⁴.
FLOAT32_SLACK = 2.5e-4
# If the candidates are at most this share of the vocabulary, computing them one by one is cheaper than all terms.
MOST_CANDIDATES = 0.25


class Head(Protocol):
    """The interface of a head."""

    def terms(self, hidden: Tensor, lengths: Sequence[int]) -> SparseVectors:
        """Return the positive weights of every text.

        - hidden: (tokens, width), text after text.
        - lengths: tokens of each text.

        Raises DataError if a hidden state is not finite.
        """


@dataclass(frozen=True)
class Decoder:
    """The linear layer from hidden states to logits.

    - weight: (vocabulary, width).
    - bias: (vocabulary).
    """

    weight: Tensor
    bias: Tensor


class TiledHead:
    """SPLADE pooling on any device. It applies the decoder to one tile of the vocabulary at a time.

    - max pooling: the weight of a term is the maximum over tokens of log(1 + relu(logit)). log1p∘relu is monotone, so
      the maximum over the raw logits suffices. The bias is equal for all tokens, so it is added to the maximum. Source:
      SPLADE v2, arXiv 2109.10086.
    - sum pooling: the sum over tokens of log(1 + relu(logit)). Source: SPLADE, arXiv 2107.05720.
    """

    def __init__(self, decoder: Decoder, pooling: Pooling, activation: Activation, *, tile: int) -> None:
        """Take over a decoder.

        - tile: number of terms computed at once.
        """
        self._decoder, self._pooling, self._activation, self.tile = decoder, pooling, activation, tile

    @torch.inference_mode()
    def terms(self, hidden: Tensor, lengths: Sequence[int]) -> SparseVectors:
        """See `Head.terms`."""
        check_hidden_states(hidden)
        if self._pooling == "sum":
            return positive_terms(self._summed(hidden, lengths))
        largest = positive_terms(self.largest(hidden, lengths).add_(self._decoder.bias))
        return replace(largest, values=activate(torch.from_numpy(largest.values), self._activation).numpy())

    def largest(self, hidden: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return the largest logit, without bias, of every term in each text: (texts, vocabulary)."""
        segments = Segments(lengths, hidden.device)
        laid = segments.lay_out(hidden).to(self._decoder.weight.dtype)
        out = laid.new_empty((segments.texts, len(self._decoder.weight)))
        for terms in tiles(len(self._decoder.weight), self.tile):
            segments.largest(laid @ self._decoder.weight[terms].t(), out[:, terms])
        return out

    def _summed(self, hidden: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return the sum over tokens of the weight of every term in each text: (texts, vocabulary)."""
        hidden = hidden.to(self._decoder.weight.dtype)
        out = hidden.new_empty((len(lengths), len(self._decoder.weight)))
        for terms in tiles(len(self._decoder.weight), self.tile):
            logits = torch.addmm(self._decoder.bias[terms], hidden, self._decoder.weight[terms].t())
            weights = activate(logits, self._activation)
            for text, rows in enumerate(slices(lengths)):
                torch.sum(weights[rows], dim=0, out=out[text, terms])
        return out


class Screen(Protocol):
    """Finds the terms whose weights are worth computing."""

    def candidates(self, hidden: Tensor, lengths: Sequence[int]) -> NDArray[np.bool_]:
        """Return which terms can be positive in each text: bool (texts, vocabulary). No positive term is left out."""


class ScreenedHead:
    """SPLADE-max on a CPU with fast 8-bit products: find the terms that can be positive, then compute only these.

    Only a few hundred of 30,522 terms are positive in a text. A screen finds them and a few others from 8-bit roundings
    of the hidden states and the decoder. These terms are computed in float32 from the original numbers. No term is
    lost, and no weight is approximate.
    """

    def __init__(self, decoder: Decoder, activation: Activation, screen: Screen, *, otherwise: Head) -> None:
        """Take over a decoder.

        - otherwise: head for batches in which the screening leaves too many terms.
        """
        self._decoder, self._activation, self.screen, self._otherwise = decoder, activation, screen, otherwise

    @torch.inference_mode()
    def terms(self, hidden: Tensor, lengths: Sequence[int]) -> SparseVectors:
        """See `Head.terms`."""
        check_hidden_states(hidden)
        candidates = self.screen.candidates(hidden, lengths)
        if np.count_nonzero(candidates) > MOST_CANDIDATES * candidates.size:
            return self._otherwise.terms(hidden, lengths)
        return self._exact(candidates, hidden, lengths)

    def _exact(self, candidates: NDArray[np.bool_], hidden: Tensor, lengths: Sequence[int]) -> SparseVectors:
        """Return the positive weights of the candidates, computed in float32."""
        found = np.flatnonzero(candidates)
        text_of, term_of = np.divmod(found, candidates.shape[1])
        bounds = np.searchsorted(text_of, np.arange(len(lengths) + 1))
        terms = torch.from_numpy(term_of)
        logits = torch.empty(len(found))
        for text, rows in enumerate(slices(lengths)):
            chosen = slice(int(bounds[text]), int(bounds[text + 1]))
            weight = self._decoder.weight.index_select(0, terms[chosen])
            torch.amax(hidden[rows] @ weight.t(), dim=0, out=logits[chosen])
        logits += self._decoder.bias.index_select(0, terms)
        positive = (logits > 0).numpy()
        values = activate(logits[torch.from_numpy(positive)], self._activation).numpy()
        return SparseVectors(row_starts(text_of[positive], len(lengths)), term_of[positive].astype(np.int32), values)


class ProductScreen:
    """Screening by torch's 8-bit product, on processors on which it is exact and fast.

    All logits are computed from 8-bit roundings q(h) and q(w) of the hidden states and the decoder. The rounding error
    of a logit is at most

        |h·w - q(h)·q(w)| <= |h - q(h)| |w| + |q(h)| |w - q(w)|        (triangle and Cauchy-Schwarz inequalities)

    If the largest rounded logit of a term is below minus that bound, the term is not positive in float32 either.
    """

    def __init__(self, decoder: Decoder, *, tile: int) -> None:
        """Round a decoder.

        - tile: number of terms computed at once.
        """
        self._decoder, self._tile = decoder, tile
        weight = decoder.weight
        self._scale = (weight.abs().amax(dim=1) / LARGEST_INT8).clamp_min(torch.finfo(torch.float32).tiny)
        self._coarse = torch.empty(weight.shape, dtype=torch.int8)
        self._error = torch.empty(len(weight))
        for terms in tiles(len(weight), tile):
            rounded = (weight[terms] / self._scale[terms, None]).round_()
            self._coarse[terms] = rounded.to(torch.int8)
            self._error[terms] = (weight[terms] - rounded.mul_(self._scale[terms, None])).norm(dim=1)
        self._norm = weight.norm(dim=1)

    def candidates(self, hidden: Tensor, lengths: Sequence[int]) -> NDArray[np.bool_]:
        """See `Screen.candidates`."""
        scale = (hidden.abs().amax() / LARGEST_INT8).clamp_min(torch.finfo(torch.float32).tiny)
        rounded = (hidden / scale).round_()
        coarse = rounded.to(torch.int8)
        restored = rounded.mul_(scale)
        size, error = restored.norm(dim=1).amax(), (hidden - restored).norm(dim=1).amax()
        bound = (error * self._norm + size * self._error) * (1 + FLOAT32_SLACK) + FLOAT32_SLACK * size * self._norm
        threshold = (-(self._decoder.bias + bound) / (scale * self._scale)).floor_().clamp_(-(2.0**30), 2.0**30)
        threshold = threshold.to(torch.int32)
        segments = Segments(lengths, hidden.device)
        laid = segments.lay_out(coarse)
        out = torch.empty((segments.texts, len(self._coarse)), dtype=torch.bool)
        largest = torch.empty((segments.texts, self._tile), dtype=torch.int32)
        for terms in tiles(len(self._coarse), self._tile):
            of_tile = largest[:, : terms.stop - terms.start]
            segments.largest(torch._int_mm(laid, self._coarse[terms].t()), of_tile)
            torch.gt(of_tile, threshold[terms], out=out[:, terms])
        return out.numpy()


class LogitsHead:
    """SPLADE pooling of logits from the model itself, for decoders that are no linear layer."""

    def __init__(self, pooling: Pooling, activation: Activation) -> None:
        self._pooling, self._activation = pooling, activation

    @torch.inference_mode()
    def terms(self, hidden: Tensor, lengths: Sequence[int]) -> SparseVectors:
        """See `Head.terms`; hidden holds logits: (tokens, vocabulary)."""
        check_hidden_states(hidden)
        reduce = torch.amax if self._pooling == "max" else torch.sum
        weights = activate(hidden, self._activation)
        return positive_terms(torch.stack([reduce(weights[rows], dim=0) for rows in slices(lengths)]))


def tiles(vocabulary: int, size: int) -> Iterator[slice]:
    """Yield slices of the vocabulary of a size. The last slice may be shorter."""
    return (slice(start, min(start + size, vocabulary)) for start in range(0, vocabulary, size))


def activate(logits: Tensor, activation: Activation) -> Tensor:
    """Compute log(1 + relu(logit)) in place; log1p_relu applies log(1 + x) once more.

    Source of log1p_relu: OpenSearch's neural sparse models, arXiv 2504.14839.
    """
    weights = logits.relu_().log1p_()
    return weights.log1p_() if activation == "log1p_relu" else weights


def check_hidden_states(hidden: Tensor) -> None:
    """Raise DataError if a hidden state is infinite or not a number."""
    if not torch.isfinite(hidden.abs().amax()):
        raise DataError(
            "model output",
            "a hidden state holds infinity or NaN",
            "wanted finite numbers",
            "Use precision float32. If the precision is float32 already, use another checkpoint.",
        )
