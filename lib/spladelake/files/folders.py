"""The choice of the files to read in a folder, and of their format. A data file is never left out without a message."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from spladelake.errors import DataError, UsageError
from spladelake.files.contents import check_ending
from spladelake.files.formats import format_of

# Names of files that accompany data and hold none.
_BESIDE = re.compile(
    r"(readme|licen[cs]e|notice|changelog|citation|md5sums?|sha256sums?|checksums?|manifest|thumbs)\b.*|.*\.(md|crc|md5|sha256)",
    re.IGNORECASE,
)
_MOST_NAMED = 5
# Folders that tools make beside data.
_OF_TOOLS = {"_delta_log", "_temporary", "_spark_metadata", "_symlink_format_manifest", "__MACOSX", "__pycache__"}


def is_hidden(name: str) -> bool:
    """Whether Spark skips a file or folder of this name. `_key=value` is the folder of a partition."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def check_hidden(place: str, names: Iterable[str]) -> None:
    """Raise DataError for a hidden file with a data format in its name, such as `_part-1.jsonl`: Spark would skip it.

    - place: the folder.
    - names: files, relative to the folder or absolute.
    """
    for name in sorted(names):
        last = name.rsplit("/", 1)[-1]
        # macOS adds a ._NAME to every file that it packs.
        if is_hidden(last) and not last.startswith("._") and format_of(last) is not None:
            found = f"the name of {last!r} begins with {last[0]!r}"
            raise DataError(
                place,
                found,
                "wanted another first character, because Spark skips the file",
                "Rename or remove the file.",
            )


def check_nothing_hidden(folder: Path) -> None:
    """Raise DataError for hidden data files below a local folder, and for data files in folders such as `_part-1`."""
    found = []
    for root, folders, files in os.walk(folder, followlinks=True):
        found += [f"{root}/{name}" for name in files if is_hidden(name)]
        for name in folders:
            if name.startswith("_") and is_hidden(name) and name not in _OF_TOOLS:
                _check_hidden_folder(Path(root, name), folder)
        folders[:] = [name for name in folders if not is_hidden(name)]
    check_hidden(str(folder), found)


def _check_hidden_folder(hidden: Path, folder: Path) -> None:
    inside = (name for _, _, files in os.walk(hidden) for name in files)
    if any(format_of(name) is not None for name in inside):
        found = f"the name of the folder {hidden.name!r}, which has data files, begins with '_'"
        wanted = "wanted another first character, because Spark skips the folder"
        raise DataError(str(folder), found, wanted, "Rename the folder or move it away.")


def visible_files(path: Path) -> list[Path]:
    """Return a local file, or the files below a local folder, as Spark lists them: without hidden ones."""
    if not path.is_dir():
        return [] if is_hidden(path.name) else [path]
    found: list[Path] = []
    for root, folders, files in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [Path(root, name) for name in files if not is_hidden(name)]
    for file in found:
        if file.is_symlink() and not file.exists():
            missing = f"the file is a link to {os.readlink(file)}, which does not exist"
            raise DataError(str(file), missing, "wanted an existing file", "Correct or remove the link.")
    return sorted(found)


def without_companions(names: Sequence[str]) -> list[str]:
    """Return the names without those that accompany data, such as README.md. A single file is data."""
    return [name for name in names if len(names) == 1 or not _BESIDE.fullmatch(name.rsplit("/", 1)[-1])]


def chosen_files(place: str, names: Sequence[str], file_format: str, *, kind: str) -> tuple[list[str], str]:
    """Return the names of the files to read as one input, and their format.

    - place: the folder, file or pattern that the user named.
    - names: its files that are not hidden.
    - file_format: the format that the user named, or `auto`.
    - kind: documents, queries or judgements.

    Raises DataError if the files have several formats, and UsageError if their names show none.
    """
    option = f"--{kind}-format"
    kept = without_companions(names)
    if file_format != "auto":
        return kept, file_format
    formats: dict[str | None, list[str]] = {}
    for name in kept:
        formats.setdefault(_format(name, kind), []).append(name)
    if None in formats:
        first = formats[None][0]
        check_ending(first)
        raise UsageError(
            place,
            f"the name of {_shown([first])} does not show the format of the file",
            "wanted jsonl, tsv, csv, parquet or a Delta table",
            f"Name the format with {option}."
            if len(formats) == 1
            else f"Move {_shown([first])} to another folder, or name the files to read.",
        )
    if len(formats) > 1:
        found = "; ".join(f"{form}: {_shown(several)}" for form, several in formats.items())
        fix = f"Name the files to read, such as {place}/*.{next(iter(formats))}, or move the other files away."
        raise DataError(place, f"the folder has files of several formats ({found})", "wanted one format", fix)
    if not formats:
        raise DataError(place, "the folder has no data file", "wanted at least one data file", "Correct the path.")
    return kept, str(next(iter(formats)))


def _format(name: str, kind: str) -> str | None:
    found = format_of(name)
    return "qrels" if kind == "judgements" and found in ("tsv", None) else found


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(name.rsplit("/", 1)[-1] for name in names[:_MOST_NAMED]) + more


def path_columns(path: str) -> dict[str, str | None]:
    """Return the partition columns in a path, as Hive writes them: `lang=en/part-0.parquet` has lang."""
    pairs = (part.split("=", 1) for part in path.split("/")[:-1] if "=" in part.lstrip("="))
    return {unquote(key): None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value) for key, value in pairs}
