"""The folder of a trained model, and beside it FOLDER.work, the work folder of a training in progress."""

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

# File in both folders: the lineage of the model. A later run compares it to know whether the model is current.
MADE_FROM = "spladelake_training.json"
# File in the folder of training data with their counts. It exists only if the data are complete.
COUNTS = "counts.json"
# Tables that the job reads only to write the training data.
READ_ONCE = ("documents", "queries", "judgements")
# Subfolder of the work folder that holds the previous model while the new one replaces it.
PREVIOUS = "previous"


def made_from(folder: Path) -> dict[str, Any] | None:
    """Return the lineage that a folder records, None if it records none."""
    try:
        found = json.loads((folder / MADE_FROM).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "fingerprint" in found else None


def work_folder(output: Path, lineage: Lineage, *, start: Path, force: bool) -> Path:
    """Return the work folder, emptied unless it holds data or checkpoints of this training.

    - output: the model folder.
    - lineage: the lineage of this training.
    - start: the folder of the start model.
    - force: whether an earlier training may be removed.

    Raises UsageError if the folder holds checkpoints of another training, or if the start model lies in it.
    """
    folder = _work_of(output)
    if start.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--model {start}",
            f"the start model is in {folder}, the work folder of --output",
            "wanted a start model outside this folder, because the job removes the folder",
            "Choose another --output.",
        )
    found = made_from(folder)
    begun = any(folder.glob("checkpoints/checkpoint-*"))
    same = found is not None and found["fingerprint"] == lineage.fingerprint
    if found is not None and not same and begun and (folder / "data" / COUNTS).is_file():
        same = _lasting(found) == _lasting(json.loads(lineage.as_json()))
        if same:
            log.info(
                "%s: the input tables have changed since the training began; the training goes on with the old data "
                "(add --force to start again with the new data)",
                folder,
            )
    if folder.exists() and not (same or force) and (begun or not (folder / MADE_FROM).is_file()):
        raise UsageError(
            str(folder),
            "the folder has checkpoints of another training, with other data or settings"
            if begun
            else "the folder exists, but train_model did not write it",
            "wanted an empty work folder, because the job removes its files",
            "Choose another --output. Or copy what you want to keep, and then add --force, which deletes this folder.",
        )
    if force or not same:
        if (folder / PREVIOUS).exists() and not output.exists():
            (folder / PREVIOUS).rename(output)  # A kill came between the two renames of `publish_model`.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MADE_FROM).write_text(lineage.as_json(), encoding="utf-8")
    return folder


def _lasting(made: dict[str, Any]) -> list[Any]:
    """Return the parts of a lineage that still matter after the training data are written."""
    inputs = {name: made_of for name, made_of in made["inputs"].items() if name not in READ_ONCE}
    return [made["job"], inputs, made["settings"]]


def shared_start(start: Checkpoint, folder: Path) -> str:
    """Copy the start model into the work folder, because executors do not see the driver's cache. Return the path."""
    copy = folder / "start"
    if not copy.exists():
        fresh = folder / "start.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(start.folder, fresh)
        fresh.rename(copy)
    return str(copy)


def remove_published_work(output: Path) -> None:
    """Remove the work folder of the training that made the published model, if a kill left it."""
    work, made = made_from(_work_of(output)), made_from(output)
    if work is not None and made is not None and work["fingerprint"] == made["fingerprint"]:
        shutil.rmtree(_work_of(output))


def _work_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.work")


def publish_model(work: Path, output: Path) -> None:
    """Move the model of a work folder to `output`, then remove the work folder and the previous model."""
    previous = work / PREVIOUS
    shutil.rmtree(previous, ignore_errors=True)
    if output.exists():
        output.rename(previous)
    (work / "model").rename(output)
    shutil.rmtree(work)
