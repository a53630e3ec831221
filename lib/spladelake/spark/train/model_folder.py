"""The folder of a trained model, and beside it, as FOLDER.work, the one of a training in progress."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from spladelake.encoder import Checkpoint
from spladelake.errors import UsageError
from spladelake.spark.tables.lineage import Lineage

log = logging.getLogger(__name__)

# In both folders: what the model is made from, by which a later run knows that it need not be made again.
MADE_FROM = "spladelake_training.json"
# In the folder of training data, when they are whole: how many there are.
COUNTS = "counts.json"
# Tables that are read while the training data are written, and not again.
READ_ONCE = ("documents", "queries", "judgements")
# In the work folder, while a model takes the place of another: the other.
PREVIOUS = "previous"


def made_from(folder: Path) -> dict[str, Any] | None:
    """What a folder says it was made from, None where it says nothing."""
    try:
        found = json.loads((folder / MADE_FROM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "fingerprint" in found else None


def work_folder(output: Path, lineage: Lineage, *, start: Path, force: bool) -> Path:
    """The folder of work in progress.

    Raises UsageError where it holds checkpoints of another training, or the start model: one of its checkpoints.
    """
    folder = _work_of(output)
    if start.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--model {start}",
            f"it lies in {folder}, the work folder of this --output",
            "the start model must stay, and the work folder goes",
            "Name another --output.",
        )
    found = made_from(folder)
    begun = any(folder.glob("checkpoints/checkpoint-*"))
    same = found is not None and found["fingerprint"] == lineage.fingerprint
    if found is not None and not same and begun and (folder / "data" / COUNTS).is_file():
        same = _lasting(found) == _lasting(json.loads(lineage.as_json()))
        if same:
            log.info("%s: tables have changed since it was begun; it goes on with the data that it has", folder)
    if folder.exists() and not (same or force) and (begun or not (folder / MADE_FROM).is_file()):
        raise UsageError(
            str(folder),
            "another training, of other data or settings, left its checkpoints there",
            "they are kept until it is said that they may go",
            "Add --force to remove them, name another --output, or take away what is wanted.",
        )
    if force or not same:
        if (folder / PREVIOUS).exists() and not output.exists():
            (folder / PREVIOUS).rename(output)  # a kill came between the two
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MADE_FROM).write_text(lineage.as_json(), encoding="utf-8")
    return folder


def _lasting(made: dict[str, Any]) -> list[Any]:
    """What a training depends on still when its data are written."""
    inputs = {name: made_of for name, made_of in made["inputs"].items() if name not in READ_ONCE}
    return [made["job"], inputs, made["settings"]]


def shared_start(start: Checkpoint, folder: Path) -> str:
    """A copy of the start model in the work folder, which executors see: the driver's cache is on one machine."""
    copy = folder / "start"
    if not copy.exists():
        fresh = folder / "start.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(start.folder, fresh)
        fresh.rename(copy)
    return str(copy)


def remove_published_work(output: Path) -> None:
    """Remove the work folder of the training that made the model, where a kill left it."""
    work, made = made_from(_work_of(output)), made_from(output)
    if work is not None and made is not None and work["fingerprint"] == made["fingerprint"]:
        shutil.rmtree(_work_of(output))


def _work_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.work")


def publish(work: Path, output: Path) -> None:
    """Put the model of a work folder in its place, and remove the folder, with the model that was there before."""
    previous = work / PREVIOUS
    shutil.rmtree(previous, ignore_errors=True)
    if output.exists():
        output.rename(previous)
    (work / "model").rename(output)
    shutil.rmtree(work)
