"""The way of texts of each kind, documents and queries, to a vector: tokenizer, prompt, length and model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spladelake.encoder.batching import Runner, TokenBudget
from spladelake.encoder.layout import CheckpointLayout
from spladelake.encoder.model import LoadedModel
from spladelake.encoder.saved.modules import Kind
from spladelake.encoder.settings import EncoderSettings
from spladelake.encoder.static import load_static
from spladelake.encoder.threads import ModelThreads
from spladelake.encoder.tokens import TextTokenizer, TokenIds, load_tokenizer
from spladelake.errors import UsageError
from spladelake.vectors import SparseVectors

# Tokens of a batch on a CPU. In a measurement batches of 900 tokens were as fast as batches of 3,400.
CPU_TOKENS = 1024


@dataclass(frozen=True)
class Route:
    """Tokenizer and model of one kind of texts.

    - prompt: text that stands before each text.
    - max_length: most tokens of a text, special tokens included.
    - settings: the settings in force.
    """

    tokenizer: TextTokenizer
    prompt: str
    max_length: int
    runner: Runner
    settings: EncoderSettings

    def tokenise(self, texts: Sequence[str]) -> tuple[list[TokenIds], NDArray[np.bool_]]:
        """See `TextTokenizer.encode`."""
        return self.tokenizer.encode(texts, self.max_length, self.prompt)


def make_routes(
    folder: Path, layout: CheckpointLayout, settings: EncoderSettings, loaded: LoadedModel, threads: ModelThreads
) -> dict[Kind, Route]:
    """Return the routes of documents and queries.

    - settings: the settings in force, see `checkpoint.effective_settings`.

    Raises UsageError if a tokenizer does not fit its model.
    """

    def compute(ids: Sequence[TokenIds]) -> SparseVectors:
        return loaded.head.terms(loaded.body.hidden(ids), [len(of_text) for of_text in ids])

    inner, split = folder / layout.transformer, settings.split_special_tokens
    tokenizer = load_tokenizer(
        inner,
        special=True,
        split_special_tokens=split,
        lower_case=layout.lower_case,
        arguments=layout.tokenizer_arguments,
    )
    runner = Runner(compute, TokenBudget(loaded.token_budget), threads, loaded.body.pads)
    document, query = (
        Route(tokenizer, prompt or "", settings.max_length or length, runner, settings)
        for prompt, length in (
            (settings.document_prompt, layout.document_length),
            (settings.query_prompt, layout.query_length),
        )
    )
    for route in (document, query):
        _check(inner, route, layout.vocabulary_size)
    if layout.static_query is not None:
        inner = folder / layout.static_query
        static = load_static(inner, layout.vocabulary_size)
        tokenizer = load_tokenizer(inner, special=False, split_special_tokens=split)
        runner = Runner(static.terms, TokenBudget(CPU_TOKENS), threads, pads=False)
        query = replace(query, tokenizer=tokenizer, runner=runner)
        _check(inner, query, len(static.weight))
    return {"document": document, "query": query}


def _check(folder: Path, route: Route, vocabulary_size: int) -> None:
    """Raise UsageError if token ids can be out of range, or if no token of a text would be kept."""
    largest = route.tokenizer.largest_id
    if largest >= vocabulary_size:
        raise UsageError(
            str(folder),
            f"the tokenizer has the token {route.tokenizer.tokens(largest + 1)[-1]!r} with the id {largest}",
            f"wanted ids below {vocabulary_size}, the number of terms of the model",
            "Use the tokenizer that the model was trained with.",
        )
    if route.max_length <= route.tokenizer.special_tokens:
        raise UsageError(
            "encoder setting max_length",
            f"the value is {route.max_length}",
            f"wanted more than the {route.tokenizer.special_tokens} special tokens of each text",
            f"Use {route.tokenizer.special_tokens + 1} or more.",
        )
