"""Vectorisers: the models that `--model` names. Each one encodes the texts of a lake, or a question.

Each kind of model in `config.model_kinds` has one class. Imported vectors have none: another program made them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Protocol

from spladelake.config.model_kinds import BM25, NEURAL, ModelKind, kind_of_model
from spladelake.errors import UsageError
from spladelake.spark.encode.query_models import QueryModel, resolve_models
from spladelake.spark.encode.question import Learnt, Question

# Imported inside functions: a search in a small folder needs neither the encode job nor, for BM25, the encoder.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spladelake.config import EncodeTexts
    from spladelake.encoder import Checkpoint, SpladeEncoder
    from spladelake.results import EncodeResult


class Vectoriser(Protocol):
    """A model that turns texts into sparse vectors."""

    @property
    def kind(self) -> ModelKind:
        """The kind of the model, with its capabilities."""
        ...

    def encode_texts(self, session: SparkSession, options: EncodeTexts) -> EncodeResult:
        """Encode the sides of a lake that the options name, and write the vocabulary. Current vectors stay."""
        ...

    def question(self, text: str, learnt: Callable[[], Learnt] | None = None) -> Question:
        """Encode a question.

        - learnt: reads the data learnt from the collection's documents. Models without Capability.TEXT_ALONE need it.

        Raises UsageError if the model cannot be used, DataError if it learnt nothing from the collection.
        """
        ...


@dataclass(frozen=True)
class NeuralVectoriser:
    """A checkpoint of a SPLADE model, with or without static query weights, or two: the second encodes queries."""

    model: str
    query_model: QueryModel | None = None
    kind: ClassVar[ModelKind] = NEURAL

    def encode_texts(self, session: SparkSession, options: EncodeTexts) -> EncodeResult:
        """See Vectoriser."""
        from spladelake.spark.encode.neural import encode_neural

        return encode_neural(session, options)

    def question(self, text: str, learnt: Callable[[], Learnt] | None = None) -> Question:
        """Encode a question alone and with one thread, so that its weights equal those that a worker computes."""
        checkpoint = resolve_models(self.model, self.query_model).for_kind("query")
        return Question(_encoder(checkpoint).encode_queries([text]), checkpoint.model_id)


@lru_cache(maxsize=1)
def _encoder(checkpoint: Checkpoint) -> SpladeEncoder:
    from spladelake.encoder import SpladeEncoder
    from spladelake.spark.encode.models import task_device

    return SpladeEncoder.load(checkpoint, threads=1, device=task_device(None))


@dataclass(frozen=True)
class Bm25Vectoriser:
    """BM25, which learns from the documents of a lake."""

    model: str
    kind: ClassVar[ModelKind] = BM25

    def encode_texts(self, session: SparkSession, options: EncodeTexts) -> EncodeResult:
        """See Vectoriser."""
        from spladelake.spark.encode.bm25 import encode_bm25

        return encode_bm25(session, options)

    def question(self, text: str, learnt: Callable[[], Learnt] | None = None) -> Question:
        """Count the words of a question, under the term ids of the documents' vocabulary."""
        from spladelake.spark.encode.bm25_question import counted_question

        assert learnt is not None, "BM25 looks a question's words up in the collection"
        return counted_question(text, learnt())


_OF_KIND: dict[ModelKind, Callable[[str], Vectoriser]] = {NEURAL: NeuralVectoriser, BM25: Bm25Vectoriser}


def vectoriser_of(model: str, query_model: QueryModel | None = None) -> Vectoriser:
    """Return the vectoriser that `--model` names. It reads no file of the model before it encodes.

    - query_model: encodes questions, if it is another model.

    Raises UsageError if one of the two is no SPLADE model.
    """
    if query_model is None:
        return _OF_KIND[kind_of_model(model)](model)
    for option, name in (("--model", model), ("--query-model", query_model.name)):
        if kind_of_model(name) is not NEURAL:
            raise UsageError(
                f"{option} {name}",
                f"{name} is not a SPLADE model",
                "wanted SPLADE models for documents and queries, because --query-model is given",
                f"Leave out --query-model, or set {option} to a SPLADE model.",
            )
    return NeuralVectoriser(model, query_model)
