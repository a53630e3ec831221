"""The kinds of models that vectors come from, each with its capabilities, options and table properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto

from pydantic import BaseModel

from spladelake.config.refusals import OptionsError


class Capability(Flag):
    """A capability of a kind of model. Code asks for a capability, never for the name of a model."""

    TEXT_ALONE = auto()
    """The model and the text alone decide a vector.

    An update encodes the changed texts only, an interrupted run resumes after its last chunk, and a question can be
    encoded before anything of the collection is read. Without this capability weights depend on the whole collection:
    if one document changes, all are encoded again, and a question needs statistics of the documents.
    """

    SQL_FUNCTIONS = auto()
    """A worker can load the model and its tokenizer and run them in the SQL functions encode_query and text_terms."""


@dataclass(frozen=True)
class ModelKind:
    """One kind of model.

    - name: the name in code and tests.
    - chosen_by: the user's way to choose such a model, for messages.
    - capabilities: see `Capability`.
    - options: options of encode_texts that only this kind takes.
    - properties: table properties that only its vectors have, without the prefix `spladelake.`.
    """

    name: str
    chosen_by: str
    capabilities: Capability
    options: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()


# SPLADE checkpoints, static ones included, which give each token of a query a fixed weight.
NEURAL = ModelKind(
    name="neural",
    chosen_by="a neural model",
    capabilities=Capability.TEXT_ALONE | Capability.SQL_FUNCTIONS,
    options=(
        "query_model",
        "model_sha256",
        "max_length",
        "max_active_dims",
        "minimum_weight",
        "split_special_tokens",
        "token_budget",
        # BM25 weighs the whole corpus again in one commit, and rejects no text.
        "rows_per_task",
        "changes",
        "since_version",
        "checkpoint",
        "chunk_minutes",
        "chunk_rows",
        "passage_by",
        "passage_tokens",
        "passage_stride",
        "passage_title",
        "max_text_bytes",
        "max_rejected",
        "retry_rejected",
    ),
    properties=("max_length", "query_model"),
)
BM25_MODEL = "bm25"
BM25 = ModelKind(
    name="BM25",
    chosen_by=f"--model {BM25_MODEL}",
    capabilities=Capability(0),
    options=("k1", "b", "stemmer", "stopwords"),
    properties=("average_length", "bm25"),
)
# Vectors that import_vectors read, with a vocabulary of their own. There is no model that could encode a text.
IMPORTED_PREFIX = "imported-"
IMPORTED = ModelKind(name="imported", chosen_by="import_vectors", capabilities=Capability(0))

KINDS = (NEURAL, BM25, IMPORTED)
_PROPERTIES_OF_ALL = ("model", "model_id", "vocabulary_size", "source", "source_version", "texts", "passages")


def kind_of_model(model: str) -> ModelKind:
    """Return the kind of the model that `--model` names."""
    return BM25 if model == BM25_MODEL else NEURAL


def kind_of_vectors(properties: Mapping[str, str]) -> ModelKind:
    """Return the kind of model that a table's vectors come from, by the table's properties."""
    if properties.get("spladelake.model_id", "").startswith(IMPORTED_PREFIX):
        return IMPORTED
    return kind_of_model(properties.get("spladelake.model", ""))


def properties_of_rows(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties of a table of vectors that describe its rows, without their prefix.

    A table that is made from these rows takes over the properties.
    """
    names = (*_PROPERTIES_OF_ALL, *kind_of_vectors(properties).properties)
    return {name: properties[f"spladelake.{name}"] for name in names if f"spladelake.{name}" in properties}


def check_goes_with_model(options: BaseModel, model: str) -> None:
    """Raise OptionsError if the user gave an option that belongs to another kind of model."""
    own = kind_of_model(model)
    for kind in KINDS:
        for name in kind.options if kind is not own else ():
            if getattr(options, name, None) != type(options).model_fields[name].default:
                option = f"--{name.replace('_', '-')}"
                found, wanted = f"{option} is given, and the model is {model}", f"{option} only with {kind.chosen_by}"
                raise OptionsError(found, wanted, f"Leave out {option}, or choose {kind.chosen_by}.")
    check_query_model(getattr(options, "query_model", None))


def check_query_model(query_model: str | None) -> None:
    """Raise OptionsError if the model that the user gave for queries is no SPLADE model."""
    if query_model is not None and kind_of_model(query_model) is not NEURAL:
        found, fix = f"--query-model is {query_model}", "Name a SPLADE model, or leave out --query-model."
        raise OptionsError(found, "a SPLADE model with the vocabulary of --model", fix)
