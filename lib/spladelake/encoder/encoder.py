"""The encoder: a loaded checkpoint that turns texts into sparse vectors."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spladelake.encoder.batching import Runner, TokenBudget, Window, read_windows
from spladelake.encoder.checkpoint import Checkpoint, effective_settings, resolve_checkpoint, verify_files
from spladelake.encoder.devices import Precision, choose_autocast, choose_device
from spladelake.encoder.layout import Layout, read_layout
from spladelake.encoder.model import LoadedModel, load_model
from spladelake.encoder.results import EncodedBatch, EncodeStats
from spladelake.encoder.settings import EncoderSettings
from spladelake.encoder.sparse import dot_products, heaviest_terms, in_order, prune
from spladelake.encoder.static import load_static
from spladelake.encoder.texts import clean_texts
from spladelake.encoder.threads import ModelThreads, use_threads
from spladelake.encoder.tokens import TextTokenizer, TokenIds, load_tokenizer, vocabulary_tokens
from spladelake.errors import UsageError
from spladelake.vectors import SparseVectors

logger = logging.getLogger(__name__)

Kind = Literal["document", "query"]
# Tokens of a batch. On a CPU each thread computes one: 900 were measured to run as fast as 3,400. An accelerator gets
# all its work from one.
CPU_TOKENS, ACCELERATOR_TOKENS = 1024, 16384


@dataclass(frozen=True)
class Route:
    """What texts of one kind go through."""

    tokenizer: TextTokenizer
    prompt: str
    max_length: int
    runner: Runner

    def tokenise(self, texts: Sequence[str]) -> tuple[list[TokenIds], NDArray[np.bool_]]:
        """See `TextTokenizer.encode`."""
        return self.tokenizer.encode(texts, self.max_length, self.prompt)


class SpladeEncoder:
    """A SPLADE model, loaded: `SpladeEncoder.load("splade-tiny").encode_documents(texts)`.

    checkpoint: what was loaded. settings: in force, defaults of the checkpoint filled in. method: how it computes on
    this machine, for people.
    """

    def __init__(self, checkpoint: Checkpoint, routes: dict[Kind, Route], *, method: str) -> None:
        """Made by `load`."""
        layout = read_layout(Path(checkpoint.folder))
        self.checkpoint = checkpoint
        self.settings = effective_settings(layout, checkpoint.settings, place=checkpoint.name)
        self.method = method
        self._routes = routes
        self._tokenizer_folder = Path(checkpoint.folder) / layout.transformer

    @classmethod
    def load(
        cls,
        model: str | Checkpoint,
        *,
        threads: int | None = None,
        device: str | None = None,
        token_budget: int | None = None,
        settings: EncoderSettings | None = None,
        precision: Precision = "auto",
    ) -> SpladeEncoder:
        """Load a model by name, or a resolved checkpoint after verifying every one of its files again.

        threads: of this process, each computing one batch. device: "cpu", "cuda", "cuda:1", "mps"; None chooses.
        token_budget: tokens of a batch, which bounds memory. settings: only with a name; a Checkpoint has its own.
        precision: of matrix products on an accelerator; auto is float16 on CUDA, float32 elsewhere.
        Raises UsageError when the model or an option cannot be used.
        """
        if token_budget is not None and token_budget < 1:
            raise UsageError("token_budget", f"it is {token_budget}", "1 or more is wanted", "Leave it out.")
        checkpoint = _checkpoint(model, settings)
        where = choose_device(device)
        workers = use_threads(threads, where)
        layout = read_layout(Path(checkpoint.folder))
        if layout.similarity != "dot":
            logger.warning("%s compares by %s; here vectors are compared by dot product", model, layout.similarity)
        # In a worker, so that what is measured while loading is measured as it will run.
        loaded = workers.submit(
            load_model,
            Path(checkpoint.folder) / layout.transformer,
            layout,
            where,
            autocast=choose_autocast(where, precision),
            token_budget=token_budget or (CPU_TOKENS if where.type == "cpu" else ACCELERATOR_TOKENS),
        ).result()
        document = _model_route(checkpoint, layout, loaded, workers, "document")
        query = _static_route(checkpoint, layout, workers) or _model_route(checkpoint, layout, loaded, workers, "query")
        return cls(checkpoint, {"document": document, "query": query}, method=loaded.method)

    def encode_documents(self, texts: Sequence[str | None]) -> SparseVectors:
        """Vectors of documents, row i for text i."""
        return self.encode(texts).vectors

    def encode_queries(self, texts: Sequence[str | None]) -> SparseVectors:
        """Vectors of queries, row i for text i."""
        return self.encode(texts, kind="query").vectors

    def encode(self, texts: Sequence[str | None], *, kind: Kind = "document") -> EncodedBatch:
        """Vectors of texts with what happened to each; rows in the order of the texts.

        Null, empty and blank texts have an empty vector. Raises DataError when an element is neither str nor None or
        the model's output is not finite, MachineError when one text alone does not fit into memory.
        """
        began = time.perf_counter()
        if kind not in self._routes:
            raise UsageError("kind", f"it is {kind!r}", "document or query is wanted", "Use one of them.")
        route = self._routes[kind]
        cleaned, status = clean_texts(texts)
        tokens, truncated = np.zeros(len(cleaned), dtype=np.int32), np.zeros(len(cleaned), dtype=np.bool_)
        vectors: list[SparseVectors] = []
        rows: list[NDArray[np.int64]] = []
        padded_tokens, tokenise_seconds = 0, 0.0

        def noted() -> Iterator[Window]:
            nonlocal tokenise_seconds
            for window in read_windows(cleaned, route.tokenise):
                tokens[window.positions], truncated[window.positions] = window.lengths, window.cut
                tokenise_seconds += window.seconds
                yield window

        for batch in route.runner.run(noted()):
            vectors.append(prune(batch.vectors, self.settings))
            rows.append(batch.positions)
            padded_tokens += batch.padded_tokens
        for i, how in enumerate(status):
            if tokens[i] == 0 and how in ("ok", "repaired"):
                status[i] = "blank"
        ordered = in_order(vectors, rows, len(cleaned))
        seconds = time.perf_counter() - began
        stats = EncodeStats(len(cleaned), int(tokens.sum()), padded_tokens, seconds, tokenise_seconds)
        return EncodedBatch(ordered, tokens, truncated, status, stats)

    def similarity(self, queries: SparseVectors, documents: SparseVectors) -> NDArray[np.float32]:
        """Dot product of every query with every document: float32 (queries, documents)."""
        return dot_products(queries, documents, self.checkpoint.vocabulary_size)

    def decode(self, vectors: SparseVectors, top_k: int | None = None) -> list[list[tuple[str, float]]]:
        """Tokens and weights of each row, heaviest first, between equals the lower term id; top_k of them, or all."""
        if top_k is not None and top_k < 1:
            raise UsageError("top_k", f"it is {top_k}", "1 or more is wanted", "Leave it out for all terms.")
        rows = (heaviest_terms(*vectors.row(row), top_k) for row in range(len(vectors)))
        return [
            [(self.vocabulary[term_id], float(weight)) for term_id, weight in zip(*row, strict=True)] for row in rows
        ]

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Token of every term id."""
        return vocabulary_tokens(self._tokenizer_folder, self.checkpoint.vocabulary_size)


def _checkpoint(model: str | Checkpoint, settings: EncoderSettings | None) -> Checkpoint:
    """The checkpoint to load, its files known to be those that its fingerprint was made from."""
    if not isinstance(model, Checkpoint):
        return resolve_checkpoint(model, settings=settings or EncoderSettings())
    if settings is not None and settings != model.settings:
        raise UsageError(
            "encoder settings",
            "they differ from the checkpoint's own",
            "its model_id stands for those it was resolved with",
            "Leave them out, or resolve the model again with them.",
        )
    verify_files(model)
    return model


def _model_route(
    checkpoint: Checkpoint, layout: Layout, loaded: LoadedModel, workers: ModelThreads, kind: Kind
) -> Route:
    """Texts through the masked language model."""
    folder = Path(checkpoint.folder) / layout.transformer
    in_force = effective_settings(layout, checkpoint.settings, place=checkpoint.name)
    tokenizer = load_tokenizer(
        folder, special=True, split_special_tokens=in_force.split_special_tokens, lower_case=layout.lower_case
    )
    own = layout.query_length if kind == "query" else layout.document_length
    max_length = checkpoint.settings.max_length or own
    _check_tokenizer(folder, tokenizer, layout.vocabulary_size, max_length)

    def compute(ids: Sequence[TokenIds]) -> SparseVectors:
        return loaded.head.terms(loaded.body.hidden(ids), [len(of_text) for of_text in ids])

    prompt = in_force.query_prompt if kind == "query" else in_force.document_prompt
    runner = Runner(compute, TokenBudget(loaded.token_budget), workers, loaded.body.pads)
    return Route(tokenizer, prompt or "", max_length, runner)


def _static_route(checkpoint: Checkpoint, layout: Layout, workers: ModelThreads) -> Route | None:
    """Queries by the fixed weights of their tokens, None where the checkpoint has no such weights."""
    if layout.static_query is None:
        return None
    folder = Path(checkpoint.folder) / layout.static_query
    in_force = effective_settings(layout, checkpoint.settings, place=checkpoint.name)
    static = load_static(folder, layout.vocabulary_size)
    tokenizer = load_tokenizer(
        folder, special=False, split_special_tokens=in_force.split_special_tokens, lower_case=False
    )
    _check_tokenizer(folder, tokenizer, len(static.weight), layout.max_length)
    max_length = checkpoint.settings.max_length or layout.query_length
    runner = Runner(static.terms, TokenBudget(CPU_TOKENS), workers, pads=False)
    return Route(tokenizer, in_force.query_prompt or "", max_length, runner)


def _check_tokenizer(folder: Path, tokenizer: TextTokenizer, vocabulary_size: int, max_length: int) -> None:
    """Raise UsageError when token ids would be out of range, or when no token of a text would be kept."""
    if tokenizer.largest_id >= vocabulary_size:
        raise UsageError(
            str(folder),
            f"its tokenizer has the token id {tokenizer.largest_id}",
            f"the model knows ids below {vocabulary_size}",
            "Use the tokenizer that the model was trained with.",
        )
    if max_length <= tokenizer.special_tokens:
        raise UsageError(
            "encoder setting max_length",
            f"it is {max_length}",
            f"special tokens alone take {tokenizer.special_tokens}",
            f"Use {tokenizer.special_tokens + 1} or more.",
        )
