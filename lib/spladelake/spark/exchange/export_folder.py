"""The folder of an export: find the files of earlier exports, and remove them before a new one."""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import SparkSession

from spladelake.errors import UsageError
from spladelake.spark.exchange.export_plan import MANIFEST, PARTS, Export
from spladelake.spark.tables import storage

# File in the folder of parts: the final name of each file of the parts.
MOVES = "moves.json"
CARD = "README.md"
# Prefixes of the file names that an export writes, and that engines load from its folder.
_NAMES = ("part-", "train-", "index.ciff")


def manifest_in(session: SparkSession, folder: str) -> dict[str, Any] | None:
    """Return the manifest that export_vectors wrote to the folder; None if there is none."""
    found = _json_in(session, f"{folder}/{MANIFEST}")
    return found if str(found.get("written_by", "")).startswith("spladelake") else None


def moves_in(session: SparkSession, parts: str) -> dict[str, str]:
    """Return the final name of each file of these parts; empty if the names are not chosen yet."""
    return _json_in(session, f"{parts}/{MOVES}")


def make_room(export: Export, manifest: dict[str, Any] | None) -> None:
    """Delete the files of earlier exports, and nothing else; keep the finished parts of this export.

    - manifest: the manifest of the folder.

    Raises UsageError if another file has a name that the export could write.
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
        # While the files are deleted, the manifest still names them as ours, but no longer as current.
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
            f"the folder holds {found!r}, which export_vectors did not write",
            "wanted a folder without this file, because "
            + ("the export would replace it" if found in own else "programs that load the export would load it too"),
            "Choose an empty folder for --output, or move the file.",
        )


def _json_in(session: SparkSession, path: str) -> dict[str, Any]:
    """Return the object in a JSON file; empty if the file is missing or holds no object."""
    try:
        found = json.loads(storage.read_text(session, path) or "null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
