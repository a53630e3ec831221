"""Whether a trained model is worth having: its vectors hold terms, and it measures no lower than its start model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from spladelake.encoder import SpladeEncoder
from spladelake.encoder.routes import Kind
from spladelake.errors import DataError
from spladelake.training.card import measures_of
from spladelake.training.data import TrainingData
from spladelake.training.work import Work

Status = Literal["trained", "worse", "collapsed"]
# Texts of each kind that are encoded by the trained model.
SAMPLE = 200
# A model has collapsed if a larger share of the texts of a kind than this has an empty vector.
MOST_EMPTY = 0.5


def emptied(encoder: SpladeEncoder, data: TrainingData) -> str | None:
    """What is empty, in words, if most training queries or documents have a vector without terms; else None.

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
    """The step of the first evaluation on dev at which all queries or all documents had empty vectors.

    - history: the trainer's log.
    - after: the step of the best checkpoint, which counts no longer; None without one.
    """
    for entry in history:
        found = measures_of(entry)
        if entry.get("step", 0) > (after or 0) and 0 in (
            found.get("query_active_dims"),
            found.get("corpus_active_dims"),
        ):
            return int(entry["step"])
    return None


def verdict(
    work: Work, empty: str | None, before: Mapping[str, float], after: Mapping[str, float], *, step: int
) -> tuple[Status, DataError | None]:
    """How good the written model is, and the error that a training ends with if it is not good enough.

    - empty: see `emptied`.
    - before, after: measures on dev of the start model and of the written one, empty without dev.
    - step: the step that the written model is from.
    """
    kept = f"The model is kept in {work.model} to look at"
    if empty is not None:
        return "collapsed", DataError(
            f"the model of step {step}",
            f"the training collapsed: {empty}",
            "most texts get terms from a model of use",
            f"Train again with a lower --learning-rate, --query-regularizer or --document-regularizer, and --force. "
            f"{kept}.",
        )
    best = work.settings.best
    if best not in before or best not in after or not after[best] < before[best]:
        return "trained", None
    if work.settings.accept_worse:
        return "worse", None
    return "worse", DataError(
        f"the model of step {step}",
        f"it is worse than its start model: {best} on dev is {after[best]:.4f}, and was {before[best]:.4f}",
        "a training improves the measure that chooses the checkpoint (--best)",
        f"Train again with other settings and --force, or add --accept-worse to write this model. {kept}.",
    )
