"""The folder of an export: whose files it holds, and how it is made ready for new ones."""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import SparkSession

from spladelake.errors import UsageError
from spladelake.spark.exchange.export_plan import MANIFEST, PARTS, Export
from spladelake.spark.tables import storage

# Among the parts: what each of their files is called in the end.
MOVES = "moves.json"
CARD = "README.md"
# How the names of files begin that would be loaded with those of an export, or be replaced by them.
_NAMES = ("part-", "train-", "index.ciff")


def manifest_in(session: SparkSession, folder: str) -> dict[str, Any] | None:
    """What export_vectors noted beside its files; None where it noted nothing."""
    found = _json_in(session, f"{folder}/{MANIFEST}")
    return found if str(found.get("written_by", "")).startswith("spladelake") else None


def moves_in(session: SparkSession, parts: str) -> dict[str, str]:
    """The name that each file of these parts gets; empty where that is not decided yet."""
    return _json_in(session, f"{parts}/{MOVES}")


def make_room(export: Export, manifest: dict[str, Any] | None) -> None:
    """Delete what earlier exports wrote, but for the parts that this one goes on after, and nothing else.

    manifest: that of the folder. Raises UsageError where other files have names that the export gives.
    """
    session, output = export.session, export.output
    kept = {} if export.options.force else moves_in(session, export.parts)
    old_parts = [f"{output}/{name}" for name in storage.contents(session, output) if name.startswith(PARTS)]
    ours = {name for parts in old_parts for name in moves_in(session, parts).values()}
    if manifest is not None:
        ours |= {*manifest.get("files", ()), MANIFEST}
    if any(name.startswith("train-") for name in ours):
        ours.add(CARD)
    present = storage.children(session, output)
    _refuse_others(export, [name for name in present if name not in ours])
    if manifest is not None:
        # Until they are gone it still says whose files these are, but no longer that they are current.
        noted = {**manifest, "fingerprint": None}
        storage.write_text(session, f"{output}/{MANIFEST}", json.dumps(noted, indent=1) + "\n")
    for name in ours.intersection(present) - {MANIFEST, *kept.values()}:
        storage.remove(session, f"{output}/{name}")
    for parts in old_parts:
        if export.options.force or parts != export.parts:
            storage.remove(session, parts)
    storage.remove(session, f"{output}/{MANIFEST}")


def _refuse_others(export: Export, names: list[str]) -> None:
    own = {MANIFEST, CARD} if export.options.output_format == "parquet" else {MANIFEST}
    found = next((name for name in names if name in own or name.startswith(_NAMES)), None)
    if found is not None:
        raise UsageError(
            export.output,
            f"it holds {found!r}, which export_vectors did not write",
            "the export could replace the file, or an engine could load it with the export",
            "Choose an empty folder, or move the file.",
        )


def _json_in(session: SparkSession, path: str) -> dict[str, Any]:
    """The object that a file of JSON holds; empty where there is none."""
    try:
        found = json.loads(storage.read_text(session, path) or "null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
