"""The section of a model card that compares a trained model with its start model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spladelake.files.results import SIZES, card_metrics
from spladelake.measures import CARD_MEASURES
from spladelake.training.work import HELD_OUT, TrainingWork


def start_measures(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the start model's measures on dev from the trainer's log, by our names. Empty if the log has none."""
    return next((found for entry in history if entry.get("step") == 0 and (found := dev_measures(entry))), {})


def dev_measures(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the measures on dev in one entry of the trainer's log, by our names. Empty if the entry has none."""
    return {
        name: float(entry[key])
        for name in (*CARD_MEASURES, *SIZES)
        for key in (f"eval_{HELD_OUT}_{metric}" for metric in card_metrics({name: 0.0}))
        if key in entry
    }


def append_comparison(file: Path, work: TrainingWork, before: Mapping[str, float], after: Mapping[str, float]) -> None:
    """Append a section to a model card: the model's sources, and its measures beside the start model's.

    - file: the model card.
    - work: the training.
    - before, after: measures on dev of the start model and of the trained model, empty without dev.
    """
    lines = [
        "",
        "## Before and after",
        "",
        f"Trained by spladelake from `{work.name}` on the pairs of `{work.source}`.",
    ]
    if after:
        lines += [
            "Measured by exact retrieval on the queries that chose the checkpoint, so these measures are no test.",
            "",
            "| measure | start model | this model |",
            "|---|---|---|",
        ]
        for name, value in after.items():
            start = f"{before[name]:.4f}" if name in before else ""
            lines.append(f"| {name} | {start} | {value:.4f} |")
    file.write_text(file.read_text(encoding="utf-8") + "\n".join(lines) + "\n", encoding="utf-8")
