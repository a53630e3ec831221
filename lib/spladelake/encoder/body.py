"""The transformer below the head. It turns token ids into the hidden states that the decoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from spladelake.encoder.linear import PackedLinear
from spladelake.encoder.tokens import TokenIds
from spladelake.encoder.weights.parts import LayerParts, Linear, ModelParts, Norm

ROW_MULTIPLE = 32
# Architectures that read the padding beside a text in spite of the mask: with convolutions, pooling, Fourier transforms
# or approximations of attention. Not every text shows this, so no probe decides about these architectures.
READS_PADDING = frozenset(("canine", "convbert", "fnet", "funnel", "mobilebert", "nystromformer", "reformer", "yoso"))


class Body(Protocol):
    """The part of a transformer that a head uses."""

    @property
    def pads(self) -> bool:
        """Whether all texts of a batch are computed at the length of the longest."""

    def hidden(self, ids: Sequence[TokenIds]) -> Tensor:
        """Return the decoder's input for every token: float32 (tokens, width), text after text, without padding."""


class UnpaddedBody:
    """BERT, RoBERTa and DistilBERT on the CPU, computed on the concatenated tokens of a batch.

    All layers except attention work on single tokens, so texts of different lengths share their matrix products.
    Attention is computed for all texts of one length at a time. This needs neither padding nor a mask.
    """

    pads = False

    def __init__(self, parts: ModelParts) -> None:
        """Copy all parts except `words`, so that the mapped file of the others can be released."""
        self._words, self._positions, self._norm = parts.words, parts.positions.clone(), _Norm(parts.norm)
        self._uncounted = parts.uncounted
        # One layer at a time, so that only one layer is in memory in both layouts.
        self._layers = [_Layer(parts.read_layer(i), parts.heads, parts.activation) for i in range(parts.layers)]
        self._transform = _pack(parts.transform, activation=parts.transform_activation)
        self._transform_norm = _Norm(parts.transform_norm)

    @torch.inference_mode()
    def hidden(self, ids: Sequence[TokenIds]) -> Tensor:
        """See `Body.hidden`."""
        lengths = [len(of_text) for of_text in ids]
        count = sum(lengths)
        tokens = torch.zeros(round_rows(count), dtype=torch.int64)
        places = torch.zeros(round_rows(count), dtype=torch.int64)
        tokens[:count] = torch.from_numpy(np.concatenate(ids))
        places[:count] = torch.from_numpy(np.concatenate([self._places(of_text) for of_text in ids]))
        x = self._words.index_select(0, tokens).add_(self._positions.index_select(0, places))
        x = self._norm(x)
        runs = equal_runs(lengths)
        for layer in self._layers:
            x = layer(x, runs)
        return self._transform_norm(self._transform(x))[:count]

    def _places(self, ids: TokenIds) -> NDArray[np.int64]:
        """Return the row in the table of positions for each token of a text."""
        if self._uncounted is None:
            return np.arange(len(ids))
        counted = ids != self._uncounted
        return np.where(counted, np.cumsum(counted), 0)


class _Layer:
    """One transformer layer, computed on concatenated tokens."""

    def __init__(self, parts: LayerParts, heads: int, activation: str) -> None:
        self._heads = heads
        self._read = _pack(parts.query, parts.key, parts.value)
        self._attended, self._attended_norm = _pack(parts.attended), _Norm(parts.attended_norm)
        self._up, self._down = _pack(parts.up, activation=activation), _pack(parts.down)
        self._down_norm = _Norm(parts.down_norm)

    def __call__(self, x: Tensor, runs: list[tuple[int, int]]) -> Tensor:
        """Return the output of the layer: (tokens, width).

        - x: (tokens, width).
        - runs: see `equal_runs`.
        """
        x = self._attended_norm(self._attended(self._attention(self._read(x), runs)).add_(x))
        return self._down_norm(self._down(self._up(x)).add_(x))

    def _attention(self, read: Tensor, runs: list[tuple[int, int]]) -> Tensor:
        """Return the output of attention: (tokens, width).

        - read: (tokens, 3 width), with queries, keys and values side by side.
        """
        width = read.shape[1] // 3
        out = read.new_zeros((len(read), width))
        start = 0
        for texts, length in runs:
            end = start + texts * length
            parts = read[start:end].view(texts, length, 3, self._heads, width // self._heads).permute(2, 0, 3, 1, 4)
            attended = functional.scaled_dot_product_attention(*parts)
            out[start:end].view(texts, length, self._heads, -1).copy_(attended.transpose(1, 2))
            start = end
        return out


class _Norm:
    """A layer norm with copies of its weights."""

    def __init__(self, norm: Norm) -> None:
        self._weight, self._bias, self._eps = norm.weight.clone(), norm.bias.clone(), norm.eps

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self._weight.shape, self._weight, self._bias, self._eps)


def _pack(*layers: Linear, activation: str = "none") -> PackedLinear:
    """Return layers with the same input as one layer, with their outputs side by side."""
    weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    return PackedLinear(weight, bias, activation)


class PaddedBody:
    """A masked language model of transformers on padded batches. The identity replaces its decoder."""

    pads = True

    def __init__(self, model: Any, device: torch.device, autocast: torch.dtype | None) -> None:
        """Take over a model.

        - autocast: type of the matrix products, None for float32.
        """
        self._model, self._device, self._autocast = model, device, autocast

    @torch.inference_mode()
    def hidden(self, ids: Sequence[TokenIds]) -> Tensor:
        """See `Body.hidden`."""
        padding = getattr(self._model.config, "pad_token_id", None) or 0
        tokens = np.full((len(ids), max(map(len, ids))), padding, dtype=np.int64)
        real = np.zeros(tokens.shape, dtype=np.int64)
        for row, of_text in enumerate(ids):
            tokens[row, : len(of_text)], real[row, : len(of_text)] = of_text, 1
        mask = torch.from_numpy(real).to(self._device)
        with torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None):
            out = self._model(input_ids=torch.from_numpy(tokens).to(self._device), attention_mask=mask).logits
        kept = torch.from_numpy(np.flatnonzero(real)).to(self._device)
        hidden: Tensor = out.flatten(0, 1).index_select(0, kept)
        return hidden


class SameLengthBody:
    """A `PaddedBody` for models whose results depend on the padding (see `READS_PADDING`).

    Only texts of one length go through the model together.
    """

    pads = False

    def __init__(self, model: Any, device: torch.device, autocast: torch.dtype | None) -> None:
        """See `PaddedBody`."""
        self._padded = PaddedBody(model, device, autocast)

    def hidden(self, ids: Sequence[TokenIds]) -> Tensor:
        """See `Body.hidden`."""
        parts, start = [], 0
        for texts, _ in equal_runs([len(of_text) for of_text in ids]):
            parts.append(self._padded.hidden(ids[start : start + texts]))
            start += texts
        return torch.cat(parts)


def round_rows(rows: int) -> int:
    """Round a number of rows up to a multiple of 32, so that only a few different sizes occur.

    oneDNN generates machine code for every new size of a product. Each takes time and about 100 kB.
    """
    return -(-rows // ROW_MULTIPLE) * ROW_MULTIPLE


def equal_runs(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Return (number of texts, length) of each run of neighbouring texts with the same length, in order."""
    return [(len(list(run)), length) for length, run in groupby(lengths)]
