"""A loaded cross-encoder. It scores pairs in batches of similar length, each within a token budget."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spladelake.encoder.batching import TokenBudget, batch_size
from spladelake.encoder.body import READS_PADDING
from spladelake.encoder.build import build_model
from spladelake.encoder.checkpoint import verify_files
from spladelake.encoder.devices import choose_device, is_out_of_memory, release_memory
from spladelake.encoder.model import AGREEMENT
from spladelake.encoder.refusals import told_as_refusal
from spladelake.encoder.texts import clean_texts
from spladelake.encoder.threads import ModelThreads, use_threads
from spladelake.encoder.tokens import read_tokenizer
from spladelake.errors import DataError, MachineError, UsageError
from spladelake.reranker.checkpoint import CrossCheckpoint, resolve_cross_encoder

Pair = tuple[str | None, str | None]
# Default tokens of a batch, padding included.
CPU_TOKENS, ACCELERATOR_TOKENS = 2_048, 16_384
# Number of pairs that are tokenised together and sorted by length.
WINDOW_PAIRS = 1_024
# Pairs of different lengths, the longest first, on which `load` tries a model.
PROBE = (("where does sand come from", "Rivers carry it to the sea. " * 8), ("an old mill", "by the canal"), ("a", "b"))


@dataclass(frozen=True, eq=False)
class PairScores:
    """The scores of a sequence of pairs.

    - scores: float32 (pairs), in the order of the pairs.
    - tokens: number of tokens of the pairs.
    - padded_tokens: number of tokens computed, padding included.
    - seconds: wall-clock time.
    """

    scores: NDArray[np.float32]
    tokens: int
    padded_tokens: int
    seconds: float


class CrossEncoder:
    """A loaded cross-encoder: `CrossEncoder.load(folder).score([(query, document)])`. Computes in float32."""

    def __init__(
        self, checkpoint: CrossCheckpoint, model: Any, tokenizer: Any, *, threads: ModelThreads, token_budget: int
    ) -> None:
        """Called by `load`."""
        self.checkpoint = checkpoint
        self._model, self._tokenizer, self._threads = model, tokenizer, threads
        self._budget = TokenBudget(token_budget)
        self._activation = getattr(torch.nn, checkpoint.activation)()
        with told_as_refusal(Path(checkpoint.folder), "model"):
            self._pads = self._same_when_padded()

    @classmethod
    def load(
        cls,
        model: str | CrossCheckpoint,
        *,
        threads: int | None = None,
        device: str | None = None,
        token_budget: int | None = None,
    ) -> CrossEncoder:
        """Verify the files of a cross-encoder and load it.

        - model: a name as in `resolve_cross_encoder`, or a resolved checkpoint.
        - threads: threads of this process, each computing one batch; None chooses.
        - device: "cpu", "cuda", "cuda:1" or "mps"; None chooses.
        - token_budget: tokens of a batch, which bounds memory; None for the device's default.

        Raises UsageError if the model or an option cannot be used.
        """
        if token_budget is not None and token_budget < 1:
            raise UsageError(
                "token_budget",
                f"the value is {token_budget}",
                "wanted 1 or more",
                "Leave out token_budget to use the default.",
            )
        checkpoint = resolve_cross_encoder(model) if isinstance(model, str) else model
        verify_files(checkpoint)
        where = choose_device(device)
        workers = use_threads(threads, where)
        folder = Path(checkpoint.folder)
        tokenizer = read_tokenizer(folder, lower_case=checkpoint.lower_case, arguments=checkpoint.tokenizer_arguments)
        loaded = build_model(folder, "AutoModelForSequenceClassification", checkpoint.config_changes).to(where)
        budget = token_budget or (CPU_TOKENS if where.type == "cpu" else ACCELERATOR_TOKENS)
        return cls(checkpoint, loaded, tokenizer, threads=workers, token_budget=budget)

    def score(self, pairs: Sequence[Pair]) -> PairScores:
        """Score every pair of a query and a document. A null text counts as an empty one.

        Raises DataError if a text is not a str or a score is not finite, MachineError if one pair does not fit into
        memory.
        """
        began = time.perf_counter()
        scores = np.zeros(len(pairs), dtype=np.float32)
        tokens = padded = 0
        for start in range(0, len(pairs), WINDOW_PAIRS):
            window = pairs[start : start + WINDOW_PAIRS]
            read = self._tokenise(window)
            lengths = np.array([len(ids) for ids in read["input_ids"]], dtype=np.int64)
            running: list[tuple[NDArray[np.int64], Future[NDArray[np.float32]]]] = []
            for chosen in self._plan(lengths):
                padded += int(lengths[chosen[0]]) * len(chosen)
                running.append((chosen, self._threads.submit(self._compute, read, chosen)))
            for chosen, future in running:
                scores[start + chosen] = future.result()
            tokens += int(lengths.sum())
        if not np.isfinite(scores).all():
            raise DataError(
                self.checkpoint.name,
                "the model gives a score that is not finite",
                "wanted finite scores",
                "Use another model.",
            )
        return PairScores(scores, tokens, padded, time.perf_counter() - began)

    def _tokenise(self, pairs: Sequence[Pair]) -> dict[str, list[list[int]]]:
        queries, documents = (clean_texts([pair[side] for pair in pairs])[0] for side in (0, 1))
        if self.checkpoint.prompt:
            queries = [self.checkpoint.prompt + query for query in queries]
        return dict(
            self._tokenizer(
                queries, documents, truncation="longest_first", max_length=self.checkpoint.max_length, padding=False
            )
        )

    def _plan(self, lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the indices of the pairs of each batch, longest pairs first.

        If a score depends on the padding, a batch holds pairs of one length: some architectures read it, others count
        positions from padding on the left.
        """
        order = np.argsort(-lengths, kind="stable")
        batches, start = [], 0
        while start < len(order):
            ahead = lengths[order[start:]]
            if not self._pads:
                ahead = ahead[ahead == ahead[0]]
            count = batch_size(ahead, self._budget.tokens, pads=True)
            batches.append(order[start : start + count])
            start += count
        return batches

    def _compute(self, read: dict[str, list[list[int]]], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the scores of the chosen pairs. If they do not fit into memory, compute them in halves."""
        try:
            return self._forward(read, chosen)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        release_memory()
        size = len(read["input_ids"][int(chosen[0])]) * len(chosen)
        if len(chosen) == 1:
            raise MachineError(
                "memory",
                f"one pair of {size} tokens does not fit into memory together with the model",
                "wanted memory for the longest pair",
                "Use a machine or device with more memory, or a smaller maximum length.",
            )
        self._budget.halve(size)
        return np.concatenate([self._compute(read, half) for half in np.array_split(chosen, 2)])

    def _forward(self, read: dict[str, list[list[int]]], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._activation(self._logits(read, chosen)).cpu().numpy()
        return found

    @torch.inference_mode()
    def _logits(self, read: dict[str, list[list[int]]], chosen: NDArray[np.int64]) -> torch.Tensor:
        features = {name: [rows[i] for i in chosen] for name, rows in read.items()}
        batch = self._tokenizer.pad(features, return_tensors="pt").to(self._model.device)
        logits: torch.Tensor = self._model(**batch).logits.float().squeeze(-1)
        return logits

    def _same_when_padded(self) -> bool:
        """Whether padding leaves the logit of a pair unchanged. If not, each batch has pairs of one length only."""
        if getattr(self._model.config, "model_type", "") in READS_PADDING:
            return False
        read = self._tokenise(PROBE)
        order = np.arange(len(PROBE))
        together = self._logits(read, order)
        alone = torch.cat([self._logits(read, order[i : i + 1]) for i in order])
        return bool((together - alone).abs().max() <= AGREEMENT * alone.abs().max().clamp_min(1))
