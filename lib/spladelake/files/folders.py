"""Which files of a folder are read, and as which format: of each one that is not read, somebody is told."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from spladelake.errors import DataError, UsageError
from spladelake.files.formats import format_of, suffix_of

# What lies beside data and is none.
_BESIDE = re.compile(
    r"(readme|licen[cs]e|notice|changelog|citation|md5sums?|sha256sums?|checksums?|manifest|thumbs)\b.*|.*\.(md|crc|md5|sha256)",
    re.IGNORECASE,
)
_MOST_NAMED = 5


def is_hidden(name: str) -> bool:
    """Whether Spark passes a file or folder of this name over; `_key=value` is a folder of a partition."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def check_hidden(place: str, names: Iterable[str]) -> None:
    """Refuse hidden files that hold data by their names: Spark would leave them out without a word.

    names: relative to the folder `place`, or absolute. Raises DataError for a file such as `_part-1.jsonl`.
    """
    for name in sorted(names):
        last = name.rsplit("/", 1)[-1]
        # macOS puts a ._NAME beside every file that it packs.
        if is_hidden(last) and not last.startswith("._") and format_of(last) is not None:
            found = f"the name of {last!r} begins with {last[0]!r}"
            raise DataError(place, found, "Spark leaves such files out", "Rename the file, or remove it.")


def hidden_files(folder: Path) -> list[str]:
    """Paths below a local folder of files whose own name is hidden, in folders that are not."""
    found = []
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [f"{root}/{name}" for name in files if is_hidden(name)]
    return found


def visible_files(path: Path) -> list[Path]:
    """A local file, or those of a folder and of the folders in it, as Spark lists them: without hidden ones."""
    if not path.is_dir():
        return [] if is_hidden(path.name) else [path]
    found: list[Path] = []
    for root, folders, files in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [Path(root, name) for name in files if not is_hidden(name)]
    return sorted(found)


def data_files(place: str, names: Sequence[str], file_format: str, *, kind: str) -> tuple[list[str], str]:
    """Names of the files that are read as one input, and their format.

    - place: the folder, file or pattern that the user named. names: its files that are not hidden.
    - file_format: what the user said, or `auto`. kind: documents, queries or judgements.

    Raises DataError if the files are of several formats, and UsageError if their names tell none.
    """
    option = f"--{kind}-format"
    kept = [name for name in names if not _BESIDE.fullmatch(name.rsplit("/", 1)[-1])] if len(names) > 1 else list(names)
    if file_format != "auto":
        return kept, file_format
    formats: dict[str | None, list[str]] = {}
    for name in kept:
        formats.setdefault(_format(name, kind), []).append(name)
    if None in formats:
        first = formats[None][0]
        raise UsageError(
            place,
            f"the format cannot be told from the name (…{suffix_of(first)})"
            if len(kept) == 1
            else f"the format cannot be told from the name of {_shown([first])}",
            "wanted jsonl, tsv, csv, parquet or a Delta table",
            f"Say it with {option}." if len(formats) == 1 else "Move the file away, or name the files that are meant.",
        )
    if len(formats) > 1:
        found = "; ".join(f"{form}: {_shown(several)}" for form, several in formats.items())
        fix = f"Name those that are meant, such as {place}/*.{next(iter(formats))}, or move the others away."
        raise DataError(place, f"it holds files of several formats ({found})", "wanted one format", fix)
    if not formats:
        raise DataError(place, "it holds no file of data", "wanted an input", "Correct the path.")
    return kept, str(next(iter(formats)))


def _format(name: str, kind: str) -> str | None:
    found = format_of(name)
    return "qrels" if kind == "judgements" and found in ("tsv", None) else found


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(name.rsplit("/", 1)[-1] for name in names[:_MOST_NAMED]) + more


def path_columns(path: str) -> dict[str, str | None]:
    """Columns that the folders of a file give: `lang=en/part-0.parquet` has lang. Values are as Hive writes them."""
    pairs = (part.split("=", 1) for part in path.split("/")[:-1] if "=" in part.lstrip("="))
    return {unquote(key): None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value) for key, value in pairs}
