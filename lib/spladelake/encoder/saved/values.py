"""Read values from the JSON files of a model folder. An error names the file and the setting."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spladelake.errors import UsageError
from spladelake.names import shortened

# Characters of a value in a message.
LONGEST = 200
# The value of a setting that a file does not have.
MISSING = object()
# Names of JSON values that are no object, by their Python type.
_KINDS = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises UsageError if the file holds anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found = f"the file cannot be read ({error.strerror})"
        fix = "Copy the checkpoint again."
        if isinstance(error, PermissionError):
            fix = "Change the permissions of the file."
        raise UsageError(str(path), found, "wanted a readable file", fix) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            str(path), f"the file cannot be read ({error})", "wanted JSON", "Copy the checkpoint again."
        ) from error
    if not isinstance(value, dict):
        raise UsageError(
            str(path),
            f"the file holds {_KINDS.get(type(value), 'null')}",
            "wanted a JSON object",
            "Copy the checkpoint again.",
        )
    return value


def refused(
    path: Path, name: str, value: object, wanted: str, fix: str = "Use a checkpoint without this setting."
) -> UsageError:
    """Return the error for a setting that this project cannot honour. value: MISSING for an absent setting."""
    return UsageError(str(path), f"the setting {name} is {_said(value)}", wanted, fix)


def _said(value: object) -> str:
    text = "missing" if value is MISSING else json.dumps(value, ensure_ascii=False, default=repr)
    return shortened(text, LONGEST)


def read_if_there(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, {} if there is no such file. Raises UsageError if it holds anything else."""
    return read_json(path) if path.is_file() else {}


def check_known(path: Path, config: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise UsageError if a setting is not known to sentence-transformers' class either."""
    for name in sorted(set(config) - set(known)):
        found = f"the setting {name} (here {_said(config[name])}) is unknown"
        wanted = "wanted only settings that sentence-transformers 6 has for this module"
        raise UsageError(str(path), found, wanted, "Use a checkpoint without this setting.")


def whole_number(path: Path, config: Mapping[str, Any], name: str, *, least: int = 1) -> int | None:
    """Return a setting that is a whole number of `least` or more, or None. Raises UsageError for any other value."""
    value = config.get(name)
    if value is None or (type(value) is int and value >= least):
        return value
    wanted = f"wanted a whole number of {least} or more"
    number, form = _number_in_another_form(value)
    if number is None or number < least:
        raise refused(path, name, value, wanted, "Correct or remove the setting.")
    raise refused(path, name, value, f"{wanted} without {form}", f"Write {number}.")


def _number_in_another_form(value: object) -> tuple[int | None, str]:
    """Return the whole number that a value means, and the part of its form that is wrong; None if it means none."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value), "a decimal point"
    if isinstance(value, str) and re.fullmatch("[0-9]{1,15}", value):
        return int(value), "quotes"
    return None, ""


def mapping(path: Path, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a setting that is an object, {} if it is missing or null. Raises UsageError for any other value."""
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refused(path, name, value, "wanted a JSON object", "Correct or remove the setting.")
    return dict(value)
