"""The encoder: a loaded checkpoint that turns texts into sparse vectors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from spladelake.encoder.batching import token_batches
from spladelake.encoder.checkpoint import Checkpoint, effective_settings, resolve_checkpoint, verify_files
from spladelake.encoder.devices import choose_device, use_threads
from spladelake.encoder.layout import read_layout
from spladelake.encoder.model import MaskedLanguageModel, load_model
from spladelake.encoder.results import EncodedBatch, EncodeStats
from spladelake.encoder.settings import EncoderSettings
from spladelake.encoder.sparse import heaviest_terms, sparse_rows
from spladelake.encoder.static import StaticWeights, load_static
from spladelake.encoder.texts import clean_texts
from spladelake.encoder.tokens import TextTokenizer, TokenIds, load_tokenizer, vocabulary_tokens
from spladelake.errors import UsageError
from spladelake.vectors import SparseVectors

Kind = Literal["document", "query"]
# Padded tokens of a batch.
TOKEN_BUDGET = 4096
# Texts of a batch: each holds a dense row of the vocabulary until its terms are picked out.
MOST_TEXTS = 256


class SpladeEncoder:
    """A SPLADE model, loaded: `SpladeEncoder.load("splade-tiny").encode_documents(texts)`."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: MaskedLanguageModel,
        tokenizer: TextTokenizer,
        static: StaticWeights | None,
        *,
        token_budget: int,
    ) -> None:
        """Made by `load`. static: per-token weights that stand for the model on queries, if the checkpoint has them."""
        self.checkpoint = checkpoint
        self._layout = read_layout(Path(checkpoint.folder))
        self.settings = effective_settings(self._layout, checkpoint.settings, place=checkpoint.name)
        self._model, self._tokenizer, self._static = model, tokenizer, static
        self._token_budget = token_budget

    @classmethod
    def load(
        cls,
        model: str | Checkpoint,
        *,
        threads: int | None = None,
        device: str | None = None,
        token_budget: int | None = None,
        settings: EncoderSettings | None = None,
    ) -> SpladeEncoder:
        """Load a model by name, or a resolved checkpoint after verifying every one of its files again.

        threads: of this process. device: "cpu", "cuda", "cuda:1", "mps"; None chooses. token_budget: padded tokens that
        go through the model at once, which bounds memory. settings: only with a name; a Checkpoint has its own.
        Raises UsageError when the model or an option cannot be used.
        """
        if isinstance(model, Checkpoint):
            if settings is not None and settings != model.settings:
                raise UsageError(
                    "encoder settings",
                    "they differ from the checkpoint's",
                    "its model_id states them",
                    "Resolve it again.",
                )
            checkpoint = model
            verify_files(checkpoint)
        else:
            checkpoint = resolve_checkpoint(model, settings=settings or EncoderSettings())
        if token_budget is not None and token_budget < 1:
            raise UsageError("token_budget", f"it is {token_budget}", "1 or more is wanted", "Leave it out.")
        use_threads(threads)
        folder = Path(checkpoint.folder)
        layout = read_layout(folder)
        tokenizer = load_tokenizer(
            folder / layout.transformer,
            special=True,
            split_special_tokens=checkpoint.settings.split_special_tokens,
            lower_case=layout.lower_case,
        )
        static = None
        if layout.static_query is not None:
            static = load_static(
                folder / layout.static_query, split_special_tokens=checkpoint.settings.split_special_tokens
            )
        loaded = load_model(folder / layout.transformer, layout, choose_device(device))
        return cls(checkpoint, loaded, tokenizer, static, token_budget=token_budget or TOKEN_BUDGET)

    def encode_documents(self, texts: Sequence[str | None]) -> SparseVectors:
        """Vectors of documents, row i for text i."""
        return self.encode(texts).vectors

    def encode_queries(self, texts: Sequence[str | None]) -> SparseVectors:
        """Vectors of queries, row i for text i."""
        return self.encode(texts, kind="query").vectors

    def encode(self, texts: Sequence[str | None], *, kind: Kind = "document") -> EncodedBatch:
        """Vectors of texts with what happened to each; rows in the order of the texts.

        Null, empty and blank texts have an empty vector. Raises DataError when an element is neither str nor None.
        """
        began = time.perf_counter()
        cleaned, status = clean_texts(texts)
        prompt = (self.settings.query_prompt if kind == "query" else self.settings.document_prompt) or ""
        present = np.array([i for i, text in enumerate(cleaned) if text], dtype=np.int64)
        static = self._static if kind == "query" else None
        tokenizer = static.tokenizer if static else self._tokenizer
        ids, cut = tokenizer.encode([prompt + cleaned[i] for i in present], self._length(kind))
        tokenised = time.perf_counter() - began
        for i, of_text in zip(present, ids, strict=True):
            if len(of_text) == 0:
                status[i] = "blank"
        rows: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = [_NOTHING] * len(cleaned)
        lengths = np.array([len(of_text) for of_text in ids], dtype=np.int64)
        padded = 0
        filled = np.flatnonzero(lengths)
        for batch in token_batches(lengths[filled], token_budget=self._token_budget, most_texts=MOST_TEXTS):
            chosen = filled[batch]
            padded += len(chosen) * int(lengths[chosen].max())
            weights = self._weights([ids[i] for i in chosen], static)
            for i, row in zip(present[chosen], sparse_rows(weights, self.settings), strict=True):
                rows[i] = row
        tokens, truncated = np.zeros(len(cleaned), dtype=np.int32), np.zeros(len(cleaned), dtype=np.bool_)
        tokens[present], truncated[present] = lengths, cut
        stats = EncodeStats(len(cleaned), int(lengths.sum()), padded, time.perf_counter() - began, tokenised)
        return EncodedBatch(SparseVectors.from_rows(rows), tokens, truncated, status, stats)  # type: ignore[arg-type]

    def similarity(self, queries: SparseVectors, documents: SparseVectors) -> NDArray[np.float32]:
        """Dot product of every query with every document: float32 (queries, documents)."""
        scores = np.zeros((len(queries), len(documents)), dtype=np.float32)
        dense = np.zeros(self.checkpoint.vocabulary_size, dtype=np.float64)
        row_of = np.repeat(np.arange(len(documents)), documents.active_dims)
        for position in range(len(queries)):
            indices, values = queries.row(position)
            dense[indices] = values
            products = dense[documents.indices] * documents.values
            scores[position] = np.bincount(row_of, weights=products, minlength=len(documents))
            dense[indices] = 0
        return scores

    def decode(self, vectors: SparseVectors, top_k: int | None = None) -> list[list[tuple[str, float]]]:
        """Tokens and weights of each row, heaviest first, between equals the lower term id; top_k of them, or all."""
        if top_k is not None and top_k < 1:
            raise UsageError("top_k", f"it is {top_k}", "1 or more is wanted", "Leave it out for all terms.")
        return [
            [(self.vocabulary[i], float(v)) for i, v in zip(*heaviest_terms(*vectors.row(row), top_k), strict=True)]
            for row in range(len(vectors))
        ]

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Token of every term id."""
        folder = Path(self.checkpoint.folder) / self._layout.transformer
        return vocabulary_tokens(folder, self.checkpoint.vocabulary_size)

    def _length(self, kind: Kind) -> int:
        own = self._layout.query_length if kind == "query" else self._layout.document_length
        return self.checkpoint.settings.max_length or own

    def _weights(self, ids: list[TokenIds], static: StaticWeights | None) -> torch.Tensor:
        """Weights of every term in each text: float32 (texts, vocabulary), never negative."""
        return static.weights(ids, self.checkpoint.vocabulary_size) if static else self._model.weights(ids)


_NOTHING = (np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))
