"""The folder of a trained model, and beside it, as FOLDER.work, the one of a training in progress."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from spladelake.errors import UsageError
from spladelake.spark.tables import Lineage

# In both folders: what the model is made from, by which a later run knows that it need not be made again.
MADE_FROM = "spladelake_training.json"
# In the work folder, while a model takes the place of another: the other.
PREVIOUS = "previous"


def made_from(output: Path) -> dict[str, Any] | None:
    """What a model folder says it was made from, None where it says nothing."""
    file = output / MADE_FROM
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def work_folder(output: Path, lineage: Lineage, *, start: Path, force: bool) -> Path:
    """The folder of work in progress.

    Raises UsageError where it holds checkpoints of another training, or the start model: one of its checkpoints.
    """
    folder = output.with_name(f"{output.name}.work")
    if start.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--model {start}",
            f"it lies in {folder}, the work folder of this --output",
            "the start model must stay, and the work folder goes",
            "Name another --output.",
        )
    file = folder / MADE_FROM
    other = folder.exists() and (not file.is_file() or file.read_text(encoding="utf-8") != lineage.as_json())
    if other and not force and (not file.is_file() or any(folder.glob("checkpoints/checkpoint-*"))):
        raise UsageError(
            str(folder),
            "another training, of other data or settings, left its checkpoints there",
            "they are kept until it is said that they may go",
            "Add --force to remove them, name another --output, or take away what is wanted.",
        )
    if other or force:
        if (folder / PREVIOUS).exists() and not output.exists():
            (folder / PREVIOUS).rename(output)  # a kill came between the two
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(lineage.as_json(), encoding="utf-8")
    return folder


def publish(work: Path, output: Path) -> None:
    """Put the model of a work folder in its place, and remove the folder, with the model that was there before."""
    previous = work / PREVIOUS
    shutil.rmtree(previous, ignore_errors=True)
    if output.exists():
        output.rename(previous)
    (work / "model").rename(output)
    shutil.rmtree(work)
