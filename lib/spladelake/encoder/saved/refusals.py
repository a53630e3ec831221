"""How a setting of a model folder is refused: by the file and the name of the setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spladelake.encoder.weights import read_json
from spladelake.errors import UsageError


def refused(path: Path, name: str, value: object, wanted: str, fix: str = "Use a checkpoint without it.") -> UsageError:
    """The error for a setting whose effect this project does not have."""
    return UsageError(str(path), f"{name} is {value!r}", wanted, fix)


def read_if_there(path: Path) -> dict[str, Any]:
    """The JSON object in a file, {} if there is no such file. Raises UsageError when it is no JSON object."""
    return read_json(path) if path.is_file() else {}


def check_known(path: Path, config: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise UsageError for a setting that sentence-transformers' class does not take either."""
    for name in sorted(set(config) - set(known)):
        raise refused(path, name, config[name], "sentence-transformers 6 has no such setting for this module")


def whole_number(path: Path, config: Mapping[str, Any], name: str) -> int | None:
    """A setting that is a whole number from 1, or None. Raises UsageError for any other value."""
    value = config.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise refused(path, name, value, "a whole number from 1 is wanted", "Correct it, or leave it out.")
    return value


def mapping(path: Path, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A setting that is an object, {} if it is absent or null. Raises UsageError for any other value."""
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refused(path, name, value, "an object is wanted", "Correct it, or leave it out.")
    return dict(value)
