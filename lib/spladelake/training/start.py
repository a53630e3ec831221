"""Check by its files, before training data are written, that a start model can be trained. No torch."""

from __future__ import annotations

from pathlib import Path

from spladelake.config.training import SHORTEST_TEXT
from spladelake.encoder.layout import CheckpointLayout, is_router, read_layout
from spladelake.errors import UsageError


def check_start(folder: Path, *, name: str, max_length: int | None) -> CheckpointLayout:
    """Check a start model and return its layout.

    - folder: the model's folder.
    - name: the model's name as the user gave it.
    - max_length: largest number of tokens of a text, None for the model's own limit.

    Raises UsageError if the model cannot be read, if queries and documents do not go through one masked language
    model, or if it reads fewer or more tokens than can be trained.
    """
    layout = read_layout(folder)
    if layout.static_query is not None:
        raise _refused(name, "the model gives each token of a query a fixed weight")
    if layout.queries is not None:
        raise _refused(name, "the model encodes queries with a second model or pooling")
    if is_router(folder):
        raise _refused(name, "the modules of the model are behind a Router")
    if max_length is None:
        shortest = min(layout.query_length, layout.document_length)
        if shortest < SHORTEST_TEXT:
            raise UsageError(
                f"--model {name}",
                f"the model reads only {shortest} tokens of each text by default, special tokens included",
                f"wanted {SHORTEST_TEXT} tokens or more",
                f"Set --max-length to {SHORTEST_TEXT} or more.",
            )
    most = layout.positions
    if max_length is not None and most is not None and max_length > most:
        raise UsageError(
            f"--max-length {max_length}",
            f"the model {name} has positions for {most} tokens, special tokens included",
            "wanted no more tokens than positions",
            f"Set --max-length to {most} or less.",
        )
    return layout


def _refused(name: str, found: str) -> UsageError:
    return UsageError(
        f"--model {name}",
        found,
        "wanted one masked language model and one pooling for queries and documents alike",
        "Start from another model, or save the Transformer and SpladePooling of this model as a new SparseEncoder.",
    )
