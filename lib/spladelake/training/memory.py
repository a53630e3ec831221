"""Check before a training that its largest batch fits into memory."""

from __future__ import annotations

import os
from typing import Any

import torch
from sentence_transformers import SparseEncoder

from spladelake.errors import MachineError
from spladelake.machine import free_memory
from spladelake.names import amount
from spladelake.training.data import TrainingData
from spladelake.training.work import TrainingWork

FLOAT_BYTES = 4
# Arrays that a step holds: texts x vocabulary always, tokens x vocabulary only if sentence-transformers computes the
# head. They belong to mask, relu, log1p and maximum and their gradients. Counted from these operations, not measured.
TEXT_ARRAYS, TOKEN_ARRAYS = 8, 4
# Arrays as large as the weights that the first step allocates: gradients and AdamW's two moments.
WEIGHT_ARRAYS = 3
# Bytes of a layer's activations with 16-bit numbers: tokens x width x (34 + 5 x heads x length / width).
# Source: arXiv 2205.05198, equation 2.
WIDTH_BYTES, ATTENTION_BYTES = 34, 5


def check_fit(
    model: SparseEncoder,
    data: TrainingData,
    work: TrainingWork,
    negatives: int,
    *,
    fused: bool,
    available: int | None = None,
) -> None:
    """Raise MachineError if a batch of the longest texts needs more memory than is free.

    - model, data, work: the start model, the training data and the training.
    - negatives: negatives of each pair.
    - fused: whether the head works without the tokens x vocabulary matrix.
    - available: bytes to use, None for the free memory of the model's device.
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
        # Each part must be a divisor of the rows, because --batch-size is a multiple of --accumulate.
        fewer = next((part for part in range(1, rows + 1) if rows % part == 0 and rows // part <= fitting), None)
        advice = (
            f"Use --accumulate {work.settings.accumulate * fewer}"
            if fewer
            else "Use a machine or device with more memory"
        )
        passed = f"{rows} of the {work.settings.batch_size} pairs of a batch" if parts > 1 else f"{rows} pairs"
        raise MachineError(
            f"--batch-size {work.settings.batch_size}",
            f"one forward and backward pass over {passed}, each with {amount(negatives, 'negative')}, needs up to "
            f"{(batch + weights) / 2**30:.1f} GiB with the optimiser, but {available / 2**30:.1f} GiB are free",
            "wanted enough memory for one pass",
            f"{advice}, or a smaller --batch-size, --max-length or --negatives.",
        )


def _needed(model: SparseEncoder, data: TrainingData, name: str, texts: int, *, fused: bool) -> int:
    """Return the bytes that a forward pass over the `texts` longest texts keeps for its gradient."""
    transformer: Any = model[0]
    config = transformer.model.config
    length = _tokens(model, data.longest(name, texts), "query" if name == "queries" else "document")
    tokens, size = texts * length, config.vocab_size
    # The configuration of a network without attention names no heads.
    heads = getattr(config, "num_attention_heads", 0)
    layer = WIDTH_BYTES + ATTENTION_BYTES * heads * length / config.hidden_size
    body = config.num_hidden_layers * tokens * config.hidden_size * layer * FLOAT_BYTES / 2
    head = texts * size * TEXT_ARRAYS + (0 if fused else tokens * size * TOKEN_ARRAYS)
    return int(body + head * FLOAT_BYTES)


def _tokens(model: SparseEncoder, texts: list[str], kind: str) -> int:
    """Return the number of tokens of the longest text after the model's truncation of texts of that kind."""
    if not texts:
        return 0
    return int(model.preprocess(texts, prompt=model.prompts.get(kind), task=kind)["input_ids"].shape[1])


def free_bytes(device: torch.device) -> int | None:
    """Return the bytes of a device that are free for this process, None if they are unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = free_memory() if device.type == "cpu" else None
    # torchrun sets LOCAL_WORLD_SIZE to the number of processes of the machine, which share its memory.
    return None if free is None else free // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
