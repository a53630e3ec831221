"""Group the files of a folder into inputs: the shards of one table are one input, other files are separate inputs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from spladelake.errors import DataError, UsageError
from spladelake.files.folders import (
    check_hidden,
    check_nothing_hidden,
    chosen_files,
    is_hidden,
    visible_files,
    without_companions,
)
from spladelake.files.formats import format_of
from spladelake.names import some

_DIGITS = re.compile(r"\d+")
_SHARD = re.compile(r"(train|test|dev|val|validation|data|part|[0-9]+)\b", re.IGNORECASE)
# Words in a name that show the table.
KIND_WORDS = {
    "judgements": {"qrels", "qrel", "judgements", "judgments", "judgement", "judgment", "relevance", "labels"},
    "queries": {"queries", "query", "questions", "question", "topics", "topic"},
    "documents": {"documents", "document", "docs", "corpus", "collection", "passages", "articles", "texts"},
}


@dataclass(frozen=True)
class Input:
    """The files of one table, and their location in a pipeline file: the file or the folder."""

    location: str
    files: tuple[Path, ...]
    format: str


def says_kind(name: str) -> str | None:
    """Return the table of a file by the words of its name; None if no word shows it."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    return next((kind for kind, known in KIND_WORDS.items() if words & known), None)


def kind_by_name(location: str) -> str | None:
    """Return the table of an input by the words of its location; None if no word shows it."""
    path = Path(location)
    # If a file has the name of a split or a number, the name of its folder decides.
    return says_kind(path.stem) or (says_kind(path.parent.name) if _SHARD.match(path.name) else None)


def find_inputs(place: str) -> list[Input]:
    """Return the inputs of a file, or of a folder and its subfolders, by name. Raises DataError if there are none."""
    path = Path(place)
    if not path.exists():
        raise DataError(
            place, "there is no such file or folder", "wanted a file or folder of texts", "Correct the path."
        )
    if path.is_file():
        return [named_input(place)]
    inputs = _inputs_of(path)
    if not inputs:
        names = some(sorted(entry.name for entry in path.iterdir()))
        if not any(path.iterdir()):
            raise DataError(place, "the folder is empty", "wanted a file or folder of texts", "Correct the path.")
        raise DataError(
            place,
            f"the folder has no data file (it contains {names})",
            "wanted jsonl, csv, tsv, parquet or a Delta table",
            "Convert the texts to jsonl, csv or parquet.",
        )
    return inputs


def named_input(location: str, file_format: str = "auto", *, kind: str = "documents") -> Input:
    """Return the input at a path from the user. Raises DataError or UsageError if it cannot be examined."""
    path = Path(location)
    if not path.exists():
        raise DataError(location, "there is no such file or folder", "wanted a file or folder", "Correct the path.")
    if file_format in ("auto", "delta") and (path / "_delta_log").is_dir():
        return Input(location, _delta_files(path), "delta")
    if path.is_dir():
        check_nothing_hidden(path)
    else:
        check_hidden(location, [location])
    names, found = chosen_files(location, [str(file) for file in visible_files(path)], file_format, kind=kind)
    if not names:
        raise DataError(location, "the folder has no file", "wanted at least one file", "Correct the path.")
    return Input(location, tuple(Path(name) for name in names), found)


def _inputs_of(folder: Path) -> list[Input]:
    """Return the inputs of a folder and of its subfolders."""
    if whole := _folder_input(str(folder)):
        if whole.format != "delta":
            check_nothing_hidden(folder)
        return [whole]
    check_hidden(str(folder), [entry.name for entry in folder.iterdir() if entry.name.startswith("_")])
    inputs = []
    for entry in sorted(entry for entry in folder.iterdir() if not is_hidden(entry.name)):
        if entry.is_dir():
            inputs += _inputs_of(entry)
        elif found := format_of(entry.name):
            inputs.append(Input(str(entry), (entry,), found))
    return inputs


def _folder_input(location: str) -> Input | None:
    """Return a folder as one input: a Delta table, partitions or shards of one format. None if it has several inputs.

    Raises DataError if partitions have files of several formats.
    """
    folder = Path(location)
    if (folder / "_delta_log").is_dir():
        return Input(location, _delta_files(folder), "delta")
    files = [Path(name) for name in without_companions([str(file) for file in visible_files(folder)])]
    below = [file.relative_to(folder) for file in files]
    if below and all(len(file.parts) > 1 and "=" in file.parts[0] for file in below):
        # All partitions are one table, whatever the files in them are called.
        names, found = chosen_files(location, [str(file) for file in files], "auto", kind="documents")
        return Input(location, tuple(Path(name) for name in names), found)
    shapes = {"part-" if file.name.startswith("part-") else _DIGITS.sub("#", file.name) for file in files}
    only = len(files) > 1 or (files and files[0].name.startswith("part-"))
    parts = [part for file in below for part in file.parts[:-1]]
    # Subfolders with the name of a table are separate inputs. Partition folders and numbered folders are one input.
    if not only or len(shapes) > 1 or any("=" not in part and says_kind(part) for part in parts):
        return None
    try:
        names, found = chosen_files(location, [str(file) for file in files], "auto", kind="documents")
    except (DataError, UsageError):
        return None
    return Input(location, tuple(Path(name) for name in names), found)


def _delta_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a Delta table's newest version; all its Parquet files if the log lacks its first commit."""
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
