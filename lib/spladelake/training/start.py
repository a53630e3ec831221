"""Whether a model can be trained on from here: what its files say, before any training data are written. No torch."""

from __future__ import annotations

from pathlib import Path

from spladelake.config.training import SHORTEST_TEXT
from spladelake.encoder.layout import Layout, is_router, read_layout
from spladelake.errors import UsageError


def check_start(folder: Path, *, name: str, max_length: int | None) -> Layout:
    """The layout of a start model that can be trained.

    - folder: of the model.
    - name: of the model, as the user gave it.
    - max_length: tokens that the user wants read of a text, None for the model's own limit.

    Raises UsageError if the model cannot be read, if queries and documents do not go through one masked language
    model, or if it reads fewer or more tokens than can be trained.
    """
    layout = read_layout(folder)
    if layout.static_query is not None:
        raise _refused(name, "its queries do not go through the model, each token has a fixed weight")
    if is_router(folder):
        raise _refused(name, "its modules are behind a Router, even if both routes are one model")
    if max_length is None:
        shortest = min(layout.query_length, layout.document_length)
        if shortest < SHORTEST_TEXT:
            raise UsageError(
                f"--model {name}",
                f"its own limit is {shortest} tokens of a text, special ones included",
                f"{SHORTEST_TEXT} or more can be trained on",
                "Name a --max-length.",
            )
    most = layout.positions
    if max_length is not None and most is not None and max_length > most:
        raise UsageError(
            f"--max-length {max_length}",
            f"the model {name} has positions for {most} tokens, special ones included",
            "the model cannot read more",
            f"Use {most} or less.",
        )
    return layout


def _refused(name: str, found: str) -> UsageError:
    return UsageError(
        f"--model {name}",
        found,
        "a model can be trained here if queries and documents go through the same masked language model and pooling",
        "Start from another model, or save its Transformer and SpladePooling as a SparseEncoder of their own.",
    )
