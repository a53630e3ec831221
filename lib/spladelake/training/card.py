"""What the model card of a trained model says besides sentence-transformers' own parts: before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spladelake.files.results import SIZES, card_metrics
from spladelake.measures import CARD_MEASURES
from spladelake.training.work import HELD_OUT, Work


def start_measures(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The start model's measures on dev, by our names, from the trainer's log; empty where they were not taken."""
    return next((found for entry in history if entry.get("step") == 0 and (found := measures_of(entry))), {})


def measures_of(entry: Mapping[str, Any]) -> dict[str, float]:
    """The measures on dev, by our names, in one entry of the trainer's log; empty if it is of no evaluation."""
    return {
        name: float(entry[key])
        for name in (*CARD_MEASURES, *SIZES)
        for key in (f"eval_{HELD_OUT}_{metric}" for metric in card_metrics({name: 0.0}))
        if key in entry
    }


def append_comparison(file: Path, work: Work, before: Mapping[str, float], after: Mapping[str, float]) -> None:
    """Add a section to a model card: what the model was made from, and its measures beside the start model's."""
    lines = [
        "",
        "## Before and after",
        "",
        f"Trained by spladelake from `{work.name}` on the pairs of `{work.source}`.",
    ]
    if after:
        lines += [
            "The measures are those of the queries that chose the checkpoint, by exact retrieval; they are no test.",
            "",
            "| measure | start model | this model |",
            "|---|---|---|",
        ]
        for name, value in after.items():
            start = f"{before[name]:.4f}" if name in before else ""
            lines.append(f"| {name} | {start} | {value:.4f} |")
    file.write_text(file.read_text(encoding="utf-8") + "\n".join(lines) + "\n", encoding="utf-8")
