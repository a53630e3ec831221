"""The encoder: a loaded checkpoint that turns texts into sparse vectors."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spladelake.encoder.batching import WindowReader
from spladelake.encoder.checkpoint import Checkpoint, effective_settings, layout_of, verify_files
from spladelake.encoder.devices import Precision, choose_autocast, choose_device
from spladelake.encoder.model import load_model
from spladelake.encoder.pair import resolve_pair
from spladelake.encoder.refusals import told_as_refusal
from spladelake.encoder.results import EncodedBatch, EncodeStats
from spladelake.encoder.routes import CPU_TOKENS, Route, make_routes
from spladelake.encoder.saved.modules import Kind
from spladelake.encoder.settings import EncoderSettings
from spladelake.encoder.sparse import dot_products, heaviest_terms, in_order, prune
from spladelake.encoder.texts import clean_texts
from spladelake.encoder.threads import use_threads
from spladelake.errors import UsageError
from spladelake.names import listed
from spladelake.vectors import SparseVectors

logger = logging.getLogger(__name__)

# Tokens of a batch on an accelerator, which works on one batch at a time.
ACCELERATOR_TOKENS = 16384


class SpladeEncoder:
    """A loaded SPLADE model: `SpladeEncoder.load("splade-tiny").encode_documents(texts)`.

    - checkpoint: the checkpoint that was loaded.
    - settings: the settings in force, with the checkpoint's defaults filled in; of documents, if queries have another
      model.
    - method: how the model computes on this machine, as a text for people.
    - precision: "float32", or the type in which an accelerator multiplies matrices. It is not part of model_id, because
      it changes weights only by its rounding.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: EncoderSettings,
        routes: dict[Kind, Route],
        *,
        method: str,
        precision: str,
    ) -> None:
        """Called by `load`."""
        self.checkpoint, self.settings = checkpoint, settings
        self.method, self.precision = method, precision
        self._routes = routes

    @classmethod
    def load(
        cls,
        model: str | Checkpoint,
        *,
        query_model: str | None = None,
        threads: int | None = None,
        device: str | None = None,
        token_budget: int | None = None,
        settings: EncoderSettings | None = None,
        precision: Precision = "auto",
    ) -> SpladeEncoder:
        """Load a model by name, or a resolved checkpoint. The files of a checkpoint are verified again.

        - query_model: name of the model that encodes queries, only with a name; None if `model` encodes them.
        - threads: threads of this process, each computing one batch; None chooses.
        - device: "cpu", "cuda", "cuda:1" or "mps"; None chooses.
        - token_budget: most tokens of a batch, which bounds memory; None for the device's default.
        - settings: settings of the vectors, only with a name; a checkpoint has its own.
        - precision: precision of matrix products on an accelerator. auto: float16 on CUDA, else float32.

        Raises UsageError if the model or an option cannot be used.
        """
        if token_budget is not None and token_budget < 1:
            raise UsageError(
                "token_budget",
                f"the value is {token_budget}",
                "wanted 1 or more",
                "Leave out token_budget to use the default.",
            )
        checkpoint = _checkpoint(model, query_model, settings)
        if checkpoint.queries is not None:
            return cls._load_parts(
                checkpoint, threads=threads, device=device, token_budget=token_budget, precision=precision
            )
        where = choose_device(device)
        workers = use_threads(threads, where)
        folder = Path(checkpoint.folder)
        layout = layout_of(checkpoint)
        if layout.similarity != "dot":
            logger.warning(
                "%s is saved with the similarity %s, but spladelake scores by dot product",
                checkpoint.name, layout.similarity,
            )  # fmt: skip
        autocast = choose_autocast(where, precision)
        budget = token_budget or (CPU_TOKENS if where.type == "cpu" else ACCELERATOR_TOKENS)
        # In a thread of the pool, so that the measurements of loading run as the model will run.
        in_force = effective_settings(layout, checkpoint.settings, place=checkpoint.name)
        with told_as_refusal(folder, "model"):
            loaded = workers.submit(
                load_model, folder / layout.transformer, layout, where, autocast=autocast, token_budget=budget
            ).result()
            routes = make_routes(folder, layout, in_force, loaded, workers)
        if checkpoint.part is not None:
            routes = {checkpoint.part: routes[checkpoint.part]}
        return cls(checkpoint, in_force, routes, method=loaded.method, precision=str(autocast or torch.float32)[6:])

    @classmethod
    def _load_parts(cls, checkpoint: Checkpoint, **options: Any) -> SpladeEncoder:
        """Load a checkpoint whose queries have a model of their own: both models."""
        documents, queries = (cls.load(checkpoint.for_kind(kind), **options) for kind in ("document", "query"))
        routes: dict[Kind, Route] = documents._routes | queries._routes
        method = f"documents: {documents.method}; queries: {queries.method}"
        return cls(checkpoint, documents.settings, routes, method=method, precision=documents.precision)

    def encode_documents(self, texts: Sequence[str | None]) -> SparseVectors:
        """Return the vectors of documents, row i for text i."""
        return self.encode(texts).vectors

    def encode_queries(self, texts: Sequence[str | None]) -> SparseVectors:
        """Return the vectors of queries, row i for text i."""
        return self.encode(texts, kind="query").vectors

    def encode(self, texts: Sequence[str | None], *, kind: Kind = "document") -> EncodedBatch:
        """Return the vectors of texts with the status of each text, in the order of the texts.

        Null, empty and blank texts have an empty vector.

        Raises DataError if an element is neither str nor None or if the model's output is not finite, and MachineError
        if one text alone does not fit into memory.
        """
        began = time.perf_counter()
        if kind not in self._routes:
            known, fix = listed(self._routes), f"Use {listed(f'kind={name!r}' for name in self._routes)}."
            why = ", because this part of a pair of models encodes nothing else" if len(self._routes) == 1 else ""
            raise UsageError("kind", f"the value is {kind!r}", f"wanted {known}{why}", fix)
        route = self._routes[kind]
        cleaned, status = clean_texts(texts)
        tokens, truncated = np.zeros(len(cleaned), dtype=np.int32), np.zeros(len(cleaned), dtype=np.bool_)
        vectors: list[SparseVectors] = []
        rows: list[NDArray[np.int64]] = []
        padded_tokens = 0
        windows = WindowReader(cleaned, route.tokenise)
        for batch in route.runner.run(windows):
            vectors.append(prune(batch.vectors, route.settings))
            rows.append(batch.positions)
            tokens[batch.positions], truncated[batch.positions] = batch.lengths, batch.cut
            padded_tokens += batch.padded_tokens
        for i, how in enumerate(status):
            if tokens[i] == 0 and how in ("ok", "repaired"):
                status[i] = "blank"
        ordered = in_order(vectors, rows, len(cleaned))
        seconds = time.perf_counter() - began
        stats = EncodeStats(len(cleaned), int(tokens.sum()), padded_tokens, seconds, windows.seconds)
        return EncodedBatch(ordered, tokens, truncated, status, stats)

    def token_ids(self, texts: Sequence[str | None]) -> list[NDArray[np.int32]]:
        """Return the token ids of each text as a document, cut to the model's length, special tokens included."""
        cleaned, _ = clean_texts(texts)
        ids, _ = self._routes["document"].tokenise(cleaned)
        return ids

    def similarity(self, queries: SparseVectors, documents: SparseVectors) -> NDArray[np.float32]:
        """Return the dot product of every query with every document: float32 (queries, documents)."""
        return dot_products(queries, documents, self.checkpoint.vocabulary_size)

    def decode(self, vectors: SparseVectors, top_k: int | None = None) -> list[list[tuple[str, float]]]:
        """Return the tokens and weights of each row, the heaviest first; of equal weights the lower term id first.

        - top_k: most terms of a row, None for all.
        """
        if top_k is not None and top_k < 1:
            raise UsageError("top_k", f"the value is {top_k}", "wanted 1 or more", "Leave out top_k to get all terms.")
        rows = (heaviest_terms(*vectors.row(row), top_k) for row in range(len(vectors)))
        return [
            [(self.vocabulary[term_id], float(weight)) for term_id, weight in zip(*row, strict=True)] for row in rows
        ]

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of every term id."""
        route = self._routes[self.checkpoint.part or "document"]
        return route.tokenizer.tokens(self.checkpoint.vocabulary_size)


def _checkpoint(model: str | Checkpoint, query_model: str | None, settings: EncoderSettings | None) -> Checkpoint:
    """Return the checkpoint to load. The files of a resolved one are verified against its fingerprint."""
    if not isinstance(model, Checkpoint):
        return resolve_pair(model, query_model, settings=settings or EncoderSettings())
    if query_model is not None:
        raise UsageError(
            "query_model",
            f"query_model is the name {query_model!r}, but model is a Checkpoint",
            "wanted two names, or one Checkpoint for both",
            "Call resolve_pair with both names, and load its result.",
        )
    if settings is not None and settings != model.settings:
        own = asdict(model.settings)
        other = [f"{name} is {given!r} instead of {own[name]!r}" for name, given in asdict(settings).items()
                 if given != own[name]]  # fmt: skip
        raise UsageError(
            "encoder settings",
            listed(other, "and"),
            "wanted the settings of the checkpoint, because its model_id depends on them",
            "Leave out settings, or give them to resolve_checkpoint.",
        )
    if model.queries is None:  # else each part is verified when it is loaded
        verify_files(model)
    return model
