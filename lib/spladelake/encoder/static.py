"""Queries without inference: each token of a query has a fixed weight, such as its IDF.

Source: OpenSearch's inference-free retrievers, arXiv 2411.04403; sentence-transformers' SparseStaticEmbedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize

from spladelake.encoder.tokens import TokenIds
from spladelake.encoder.weights.files import SINGLE_FILE, tensor_names
from spladelake.errors import UsageError
from spladelake.names import listed
from spladelake.vectors import SparseVectors

# Types of stored weights, as numpy reads their bytes.
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True, eq=False)
class StaticWeights:
    """The fixed weight of every token.

    - weight: float32 (vocabulary).
    """

    weight: NDArray[np.float32]

    def terms(self, ids: Sequence[TokenIds]) -> SparseVectors:
        """Return the weights above 0 of every text. A repeated token counts once."""
        rows = []
        for of_text in ids:
            present = np.unique(of_text)
            present = present[self.weight[present] > 0]
            rows.append((present, self.weight[present]))
        return SparseVectors.from_rows(rows)  # type: ignore[arg-type]


def load_static(folder: Path, vocabulary_size: int) -> StaticWeights:
    """Return the weights of a SparseStaticEmbedding module as float32.

    Raises UsageError if its file is of another kind, or if a weight is below 0. Vectors hold only weights above 0, and
    without the negative weights scores would differ from those of sentence-transformers.
    """
    tensor_names(folder / SINGLE_FILE)  # Raises an error if the file is incomplete.
    tensors: dict[str, dict[str, Any]] = dict(deserialize((folder / SINGLE_FILE).read_bytes()))  # type: ignore[no-untyped-call]
    weight = _numbers(tensors["weight"]) if "weight" in tensors else None
    place = str(folder / SINGLE_FILE)
    if weight is None:
        held = [f"{name} {tensor['dtype']} {list(tensor['shape'])}" for name, tensor in tensors.items()]
        raise UsageError(
            place,
            f"the tensors of the file are {listed(held, 'and')}" if held else "the file has no tensors",
            'wanted a tensor "weight" with one floating-point number for each token',
            "Save the module again with sentence-transformers.",
        )
    _check_weights(place, weight, vocabulary_size)
    return StaticWeights(weight)


def _check_weights(place: str, weight: NDArray[np.float32], vocabulary_size: int) -> None:
    """Raise UsageError if the model lacks some of the tokens, or if a weight is negative or not finite."""
    if len(weight) > vocabulary_size:
        raise UsageError(
            place,
            f"the file has weights for {len(weight):,} tokens, but the document model has {vocabulary_size:,}",
            "wanted no more tokens than the document model has",
            "Copy the whole checkpoint again from its source, or use another model.",
        )
    if not np.isfinite(weight).all():
        odd = int(np.flatnonzero(~np.isfinite(weight))[0])
        raise UsageError(
            place,
            f"the weight of the token with the id {odd} is {weight[odd]:g} as float32",
            "wanted a finite number",
            "Copy the checkpoint again from its source, or use another model.",
        )
    below = np.flatnonzero(weight < 0)
    if len(below):
        lowest = int(weight.argmin())
        raise UsageError(
            place,
            f"{len(below):,} of {len(weight):,} weights are below 0, such as {weight[lowest]:g} for the token with the "
            f"id {lowest}",
            "wanted weights of 0 or more, because vectors hold no negative weights",
            "Use another model, or set the negative weights to 0 and save the module again.",
        )


def _numbers(tensor: dict[str, Any]) -> NDArray[np.float32] | None:
    """Return a tensor of one dimension as float32; None if it has another shape or type."""
    if len(tensor["shape"]) != 1 or tensor["dtype"] not in _TYPES:
        return None
    stored = np.frombuffer(bytes(tensor["data"]), _TYPES[tensor["dtype"]])
    if tensor["dtype"] == "BF16":  # The upper half of a float32.
        return (stored.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # Numbers that are too large become infinite, and are refused.
        return stored.astype(np.float32)
