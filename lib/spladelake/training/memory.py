"""Whether the largest batch of a training fits into memory, before it starts."""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from sentence_transformers import SparseEncoder

from spladelake.errors import MachineError
from spladelake.machine import free_memory
from spladelake.training.data import TrainingData
from spladelake.training.work import Work

FLOAT_BYTES = 4
# Arrays that a step holds of texts x vocabulary, and of tokens x vocabulary where sentence-transformers computes the
# head: of mask, relu, log1p and maximum, with their gradients. Counted from these operations, not measured.
TEXT_ARRAYS, TOKEN_ARRAYS = 8, 4
# Arrays of the size of the weights that come with the first step: gradients, and AdamW's two moments.
WEIGHT_ARRAYS = 3
# Bytes of the activations of a layer: tokens x width x (34 + 5 x heads x length / width), in 16-bit numbers.
# Source: arXiv 2205.05198, equation 2.
WIDTH_BYTES, ATTENTION_BYTES = 34, 5


def check_fit(
    model: SparseEncoder, data: TrainingData, work: Work, negatives: int, *, fused: bool, available: int | None = None
) -> None:
    """Raise MachineError where the longest texts of the data, as one batch, need more memory than is free.

    fused: whether the head works without the tokens x vocabulary matrix. available: bytes that may be used, None for
    what is free on the model's device.
    """
    available = free_bytes(model.device) if available is None else available
    if available is None:
        return
    rows = work.rows_per_pass
    sides = (("documents", rows * (1 + negatives)), ("queries", rows))
    batch = sum(_needed(model, data, name, count, fused=fused) for name, count in sides)
    weights = sum(p.numel() for p in model.parameters() if p.requires_grad) * WEIGHT_ARRAYS * FLOAT_BYTES
    if batch + weights > available:
        fitting = max(0, rows * (available - weights) // batch)
        parts = work.processes * work.settings.accumulate
        advice = (
            f"Use --accumulate {work.settings.accumulate * math.ceil(rows / fitting)}"
            if fitting
            else "Use a machine or device with more memory"
        )
        raise MachineError(
            f"--batch-size {work.settings.batch_size}",
            f"{rows} pairs with {negatives} negatives at once, of the longest texts, take about "
            f"{(batch + weights) / 2**30:.1f} GiB with the optimiser, and {available / 2**30:.1f} GiB are free",
            f"a batch of {rows * parts} is cut into {parts} such parts, and each has to fit",
            f"{advice}, or a smaller --batch-size, --max-length or --negatives.",
        )


def _needed(model: SparseEncoder, data: TrainingData, name: str, texts: int, *, fused: bool) -> int:
    """Bytes of a forward pass over so many of the longest texts, with what its gradient needs."""
    transformer: Any = model[0]
    config = transformer.model.config
    length = _tokens(model, data.longest(name, texts), "query" if name == "queries" else "document")
    tokens, size = texts * length, config.vocab_size
    # A network without attention has no such number.
    heads = getattr(config, "num_attention_heads", 0)
    layer = WIDTH_BYTES + ATTENTION_BYTES * heads * length / config.hidden_size
    body = config.num_hidden_layers * tokens * config.hidden_size * layer * FLOAT_BYTES / 2
    head = texts * size * TEXT_ARRAYS + (0 if fused else tokens * size * TOKEN_ARRAYS)
    return int(body + head * FLOAT_BYTES)


def _tokens(model: SparseEncoder, texts: list[str], kind: str) -> int:
    """Tokens of the longest of the texts, as the model reads texts of that kind."""
    if not texts:
        return 0
    return int(model.preprocess(texts, prompt=model.prompts.get(kind), task=kind)["input_ids"].shape[1])


def free_bytes(device: torch.device) -> int | None:
    """Memory of a device that is free for this process, None where that cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = free_memory() if device.type == "cpu" else None
    # torchrun tells each process how many stand beside it.
    return None if free is None else free // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
