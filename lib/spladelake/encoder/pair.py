"""Two checkpoints with one vocabulary: the first encodes documents, the second queries.

Such a pair is efficient SPLADE, whose small model of queries answers faster.

Source: Lassance and Clinchant 2022, An Efficiency Study for SPLADE Models, arXiv 2207.03834.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spladelake.encoder.checkpoint import Checkpoint, digest_of, layout_of, resolve_checkpoint
from spladelake.encoder.settings import EncoderSettings
from spladelake.encoder.tokens import ModelTerms, check_same_terms
from spladelake.errors import UsageError

# Version of the recipe of a pair's model_id.
PAIR_RECIPE = 1
FIX = "Give a query model that was trained together with the document model."


def resolve_pair(
    model: str,
    query_model: str | None,
    *,
    settings: EncoderSettings = EncoderSettings(),  # noqa: B008 - frozen
    sha256: str | None = None,
) -> Checkpoint:
    """Find the model of documents and the model of queries, check that they go together, and fingerprint both as one.

    - model, query_model: names as `resolve_checkpoint` takes them. query_model: None if `model` encodes queries too.
    - settings: of both models.
    - sha256: digest that the weights of `model` must have.

    A model that is paired with itself is that model, with its own model_id.
    Raises UsageError if a model cannot be used, has a route of its own for queries, or if their vocabularies differ.
    """
    documents = resolve_checkpoint(model, settings=settings, sha256=sha256)
    if query_model is None:
        return documents
    queries = resolve_checkpoint(query_model, settings=settings)
    if queries.model_id == documents.model_id:
        return documents
    place = f"--query-model {query_model}"
    for checkpoint in (documents, queries):
        _check_one_route(checkpoint, place)
    check_same_terms(_terms(documents), _terms(queries), place=place, fix=FIX)
    model_id = digest_of({"recipe": PAIR_RECIPE, "documents": documents.model_id, "queries": queries.model_id})
    local = Path(query_model).expanduser()
    named = replace(queries, name=queries.folder if local.is_dir() else query_model)
    return replace(documents, model_id=model_id, queries=named)


def _check_one_route(checkpoint: Checkpoint, place: str) -> None:
    layout = layout_of(checkpoint)
    if layout.static_query is None and layout.queries is None:
        return
    how = "fixed weights of tokens" if layout.static_query is not None else "a second model or pooling"
    raise UsageError(
        place,
        f"the model {checkpoint.name} has a query encoder of its own ({how})",
        "wanted two models that each have one encoder for both documents and queries",
        "Leave out --query-model, or name other models.",
    )


def _terms(checkpoint: Checkpoint) -> ModelTerms:
    folder = Path(checkpoint.folder) / layout_of(checkpoint).transformer
    return ModelTerms(f"the model {checkpoint.name}", folder, checkpoint.vocabulary_size)
