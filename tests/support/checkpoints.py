"""Checkpoints that are damaged, and how they are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spladelake.encoder import resolve_checkpoint
from spladelake.errors import UsageError


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; a value of None removes the key."""
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def refusal(model: str | Path, **options: object) -> str:
    """The one message with which a model is refused."""
    with pytest.raises(UsageError) as refused:
        resolve_checkpoint(str(model), **options)  # type: ignore[arg-type]
    return str(refused.value)
