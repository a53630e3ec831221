"""Inference-free queries: each token of a query has a fixed weight, such as its IDF.

Source: OpenSearch's inference-free retrievers, arXiv 2411.04403; sentence-transformers' SparseStaticEmbedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from spladelake.encoder.tokens import TextTokenizer, TokenIds, load_tokenizer
from spladelake.encoder.weights import read_json
from spladelake.errors import UsageError


@dataclass(frozen=True)
class StaticWeights:
    """Weight of every token wherever it occurs. weight: float32 (vocabulary)."""

    weight: torch.Tensor
    tokenizer: TextTokenizer

    def weights(self, ids: list[TokenIds], vocabulary_size: int) -> torch.Tensor:
        """Weights of every term in each text: float32 (texts, vocabulary); repeated tokens count once."""
        out = torch.zeros(len(ids), vocabulary_size)
        for row, of_text in zip(out, ids, strict=True):
            present = torch.from_numpy(of_text).long()
            row[present] = self.weight[present]
        return out


def load_static(folder: Path, *, split_special_tokens: bool) -> StaticWeights:
    """Weights and tokenizer of a SparseStaticEmbedding module. Raises UsageError when its file is of another kind."""
    from safetensors.torch import load_file

    if "path" in read_json(folder / "config.json"):
        raise UsageError(
            str(folder),
            "its weights are in another file (path)",
            "model.safetensors is read",
            "Save it again with sentence-transformers.",
        )
    tensors = load_file(folder / "model.safetensors")
    if set(tensors) != {"weight"} or tensors["weight"].ndim != 1:
        raise UsageError(
            str(folder), f"it holds {', '.join(tensors)}", "one weight per token is wanted", "Save it again."
        )
    tokenizer = load_tokenizer(folder, special=False, split_special_tokens=split_special_tokens, lower_case=False)
    return StaticWeights(tensors["weight"].float(), tokenizer)
