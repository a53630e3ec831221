"""The masked language model, loaded without running any code of the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spladelake.encoder.head import TiledHead
from spladelake.encoder.layout import Layout
from spladelake.encoder.tokens import TokenIds
from spladelake.errors import UsageError

# Terms of one tile of the head.
TILE = 256


class MaskedLanguageModel:
    """Body and head of a masked language model with SPLADE pooling."""

    def __init__(self, body: Any, head: TiledHead, layout: Layout, device: torch.device) -> None:
        """body: the model with its decoder replaced by the identity, so that its logits are the decoder's input."""
        self._body, self._head, self._layout, self._device = body, head, layout, device

    @torch.inference_mode()
    def weights(self, ids: list[TokenIds]) -> Tensor:
        """Weight of every term in each text: float32 (texts, vocabulary), never negative.

        max over tokens of log(1 + relu(logit)). Source: SPLADE v2, arXiv 2109.10086.
        """
        longest = max(map(len, ids))
        tokens = np.zeros((len(ids), longest), dtype=np.int64)
        mask = np.zeros((len(ids), longest), dtype=np.int64)
        for row, of_text in enumerate(ids):
            tokens[row, : len(of_text)], mask[row, : len(of_text)] = of_text, 1
        seen = torch.from_numpy(mask).to(self._device)
        hidden = self._body(input_ids=torch.from_numpy(tokens).to(self._device), attention_mask=seen).logits
        hidden = torch.where(seen.bool().unsqueeze(-1), hidden, hidden[:, :1])
        weights = self._head.largest_logits(hidden).relu_().log1p_()
        return weights.log1p_() if self._layout.activation == "log1p_relu" else weights


def load_model(folder: Path, layout: Layout, device: torch.device) -> MaskedLanguageModel:
    """Load the model of a folder. Raises UsageError when a tensor of the model is not in its files."""
    from transformers import AutoModelForMaskedLM

    model, report = AutoModelForMaskedLM.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="sdpa",
        output_loading_info=True,
    )
    made_up = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if made_up:
        raise UsageError(
            str(folder),
            f"its files lack {', '.join(made_up[:5])}",
            "every tensor of the model is wanted, or the rest would be random",
            "Use a complete checkpoint.",
        )
    decoder = _take_decoder(model)
    model = model.eval().to(device)
    bias = None if decoder.bias is None else decoder.bias.detach().to(device)
    return MaskedLanguageModel(model, TiledHead(decoder.weight.detach().to(device), bias, tile=TILE), layout, device)


def _take_decoder(model: Any) -> torch.nn.Linear:
    """Replace the model's decoder by the identity, so that its logits become the decoder's input, and return it."""
    decoder = model.get_output_embeddings()
    name = next(name for name, module in model.named_modules() if module is decoder)
    model.set_submodule(name, torch.nn.Identity())
    return decoder  # type: ignore[no-any-return]
