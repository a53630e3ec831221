"""The verdict on a trained model: its vectors must hold terms, and it must measure no lower than its start model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from spladelake.encoder import SpladeEncoder
from spladelake.encoder.saved.modules import Kind
from spladelake.errors import DataError
from spladelake.training.card import dev_measures
from spladelake.training.data import TrainingData
from spladelake.training.work import TrainingWork

Status = Literal["trained", "worse", "collapsed"]
# Number of training queries, and of training documents, that the check encodes with the trained model.
SAMPLE = 200
# A model has collapsed if more than this share of the queries, or of the documents, has an empty vector.
MOST_EMPTY = 0.5


def emptied(encoder: SpladeEncoder, data: TrainingData) -> str | None:
    """Return a clause for a message if most training queries or documents have an empty vector, else None.

    Null and blank texts are not counted: their vectors are empty with every model.
    """
    kinds: tuple[tuple[str, Kind], ...] = (("queries", "query"), ("documents", "document"))
    for name, kind in kinds:
        batch = encoder.encode(data.first(name, SAMPLE), kind=kind)
        lengths = [
            int(length)
            for length, status in zip(batch.vectors.active_dims, batch.status, strict=True)
            if status in ("ok", "repaired")
        ]
        empty = lengths.count(0)
        if empty > MOST_EMPTY * len(lengths):
            return f"{empty:,} of {len(lengths):,} training {name} have an empty vector"
    return None


def collapsed_at(history: Sequence[Mapping[str, Any]], *, after: int | None) -> int | None:
    """Return the step of the first evaluation on dev with only empty query vectors or only empty document vectors.

    - history: the trainer's log.
    - after: the step of the best checkpoint; evaluations up to it do not count. None without one.
    """
    for entry in history:
        found = dev_measures(entry)
        if entry.get("step", 0) > (after or 0) and 0 in (
            found.get("query_active_dims"),
            found.get("corpus_active_dims"),
        ):
            return int(entry["step"])
    return None


def verdict(
    work: TrainingWork, empty: str | None, before: Mapping[str, float], after: Mapping[str, float], *, step: int
) -> tuple[Status, DataError | None]:
    """Return the status of the written model, and the error that ends the training if the model is not good enough.

    - work: the training.
    - empty: the result of `emptied`.
    - before, after: measures on dev of the start model and of the written model, empty without dev.
    - step: the step of the written model.
    """
    kept = f"You can examine this model in {work.model}"
    if empty is not None:
        return "collapsed", DataError(
            f"the model of step {step}",
            f"the training collapsed, and {empty}",
            "wanted a model that finds terms for most texts",
            f"Train again with --force and a lower --learning-rate, --query-regularizer or --document-regularizer. "
            f"{kept}.",
        )
    best = work.settings.best
    if best not in before or best not in after or not after[best] < before[best]:
        return "trained", None
    if work.settings.accept_worse:
        return "worse", None
    return "worse", DataError(
        f"the model of step {step}",
        f"{best} on the dev queries is {after[best]:.4f}, but {before[best]:.4f} for the start model",
        "wanted at least the value of the start model",
        f"Train again with --force and, for example, a lower --learning-rate, or add --accept-worse to keep this "
        f"model. {kept}.",
    )
