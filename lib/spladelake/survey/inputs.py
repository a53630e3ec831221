"""Which files of a folder are one input each: shards of one table are, a folder of several things is not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from spladelake.errors import DataError, UsageError
from spladelake.files.formats import format_of

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Input:
    """Files that hold one table, under the name a pipeline file gives them: their own, or that of their folder."""

    location: str
    files: tuple[Path, ...]
    format: str


def find_inputs(place: str) -> list[Input]:
    """Inputs of a file, or of a folder and the folders in it, by name. Raises DataError where there are none."""
    path = Path(place)
    if not path.exists():
        raise DataError(place, "there is no such file or folder", "wanted your texts", "Correct the path.")
    if path.is_file():
        return [named_input(place)]
    if whole := _folder_input(place):
        return [whole]
    entries = sorted(entry for entry in path.iterdir() if _is_data(entry))
    inputs = []
    for entry in entries:
        if entry.is_file():
            inputs += [Input(str(entry), (entry,), found)] if (found := format_of(entry.name)) else []
        elif inner := _folder_input(str(entry)):
            inputs.append(inner)
        else:
            files = sorted(file for file in entry.iterdir() if file.is_file() and _is_data(file))
            inputs += [Input(str(file), (file,), found) for file in files if (found := format_of(file.name))]
    if not inputs:
        names = ", ".join(entry.name for entry in entries[:5]) or "nothing"
        raise DataError(
            place, f"it holds {names}", "wanted jsonl, csv, tsv, parquet or a Delta table", "Convert the texts to one."
        )
    return inputs


def named_input(location: str, file_format: str = "auto") -> Input:
    """The input at a path that the user named. Raises DataError or UsageError where it cannot be looked at."""
    path = Path(location)
    if not path.exists():
        raise DataError(location, "there is no such file or folder", "wanted an input", "Correct the path.")
    if path.is_dir():
        found = _folder_input(location)
        files = found.files if found else tuple(sorted(f for f in path.rglob("*") if f.is_file() and _is_data(f)))
        kind = found.format if found else (format_of(files[0].name) if files else None)
    else:
        files, kind = (path,), format_of(path.name)
    kind = kind if file_format == "auto" else file_format
    if not files:
        raise DataError(location, "it holds no file", "wanted an input", "Correct the path.")
    if kind is None:
        wanted = "wanted jsonl, tsv, csv, parquet or a Delta table"
        raise UsageError(location, "the format cannot be told from the name", wanted, "Rename it after its format.")
    return Input(location, files, kind)


def _is_data(entry: Path) -> bool:
    # As Spark lists folders: markers such as _SUCCESS and hidden files are none.
    return not entry.name.startswith((".", "_"))


def _folder_input(location: str) -> Input | None:
    """A folder that is one table: Delta's, or shards of one format; None for a folder of several things."""
    folder = Path(location)
    if (folder / "_delta_log").is_dir():
        return Input(location, _delta_files(folder), "delta")
    files = tuple(sorted(file for file in folder.iterdir() if file.is_file() and _is_data(file)))
    formats = {format_of(file.name) for file in files}
    shapes = {"part-" if file.name.startswith("part-") else _DIGITS.sub("#", file.name) for file in files}
    only = len(files) > 1 or (files and files[0].name.startswith("part-"))
    if not only or len(shapes) > 1 or len(formats) > 1 or None in formats:
        return None
    return Input(location, files, str(formats.pop()))


def _delta_files(folder: Path) -> tuple[Path, ...]:
    """Files of a Delta table's newest version where its log is there from the start, else all that lie in it."""
    commits = sorted((folder / "_delta_log").glob("*.json"))
    if not commits or int(commits[0].stem) != 0:
        return tuple(sorted(file for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts))
    live: dict[str, None] = {}
    for commit in commits:
        for line in commit.read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            if "add" in action:
                live[action["add"]["path"]] = None
            elif "remove" in action:
                live.pop(action["remove"]["path"], None)
    return tuple(folder / unquote(path) for path in live)
