"""The steps of a pipeline file: a mapping by name or, if a step runs more than once, a list of such mappings."""

from __future__ import annotations

import re
from typing import Any

from spladelake.errors import UsageError
from spladelake.names import listed

Step = tuple[str, dict[str, Any]]

# The fix for a file in a wrong form.
EXAMPLES = "See the examples in conf/ of the source repository, or write a file with spladelake init."

_ADDRESS = re.compile(r"(?P<name>\w+)(?:\[(?P<number>[1-9][0-9]*)\])?")


def step_list(given: Any, *, place: str) -> list[Step]:
    """Return (name, options) of every step in the file's order.

    - given: {name: options or nothing}, or a list of names and of mappings with one name each.

    Raises UsageError for anything else.
    """
    entries = [{name: options} for name, options in given.items()] if isinstance(given, dict) else given
    if not isinstance(entries, list):
        raise _malformed(place, f"the value is {given!r}")
    steps = []
    for number, entry in enumerate(entries, start=1):
        step = {entry: None} if isinstance(entry, str) else entry
        if not isinstance(step, dict) or len(step) != 1:
            raise _malformed(place, f"entry {number} is {entry!r}")
        ((name, options),) = step.items()
        if not isinstance(options, dict | None):
            raise _malformed(place, f"the options of {name} are {options!r}")
        steps.append((str(name), dict(options or {})))
    return steps


def _malformed(place: str, found: str) -> UsageError:
    wanted = "wanted a mapping {name: {options}}, or a list of such mappings with one name each"
    return UsageError(f"{place}: steps", found, wanted, EXAMPLES)


def labels(names: list[str]) -> list[str]:
    """Return the label of each step: its name, or name[1], name[2] … if it runs more than once."""
    return [name if names.count(name) == 1 else f"{name}[{names[: i + 1].count(name)}]" for i, name in enumerate(names)]


def set_option(steps: list[Step], address: str, keys: list[str], value: Any) -> None:
    """Set an option of some steps.

    - address: `name` stands for every step of that name, `name[2]` for the second of these steps.
    - keys: the option, and the keys below it.

    Raises UsageError if there is no such step or no place for the value.
    """
    match = _ADDRESS.fullmatch(address)
    named = [options for name, options in steps if match and name == match["name"]]
    if match and match["number"]:
        at = int(match["number"]) - 1
        named = named[at : at + 1]
    if not named:
        known = f"wanted a step of the file: {listed(labels([name for name, _ in steps]))}"
        raise UsageError(f"--set steps.{address}", "there is no such step", known, "Correct the name of the step.")
    for options in named:
        set_value(options, keys, value, place=f"--set steps.{address}")


def set_value(values: dict[str, Any], keys: list[str], value: Any, *, place: str) -> None:
    """Set a value below nested keys, and create the mappings between. Raises UsageError if a key has a single value."""
    for key in keys[:-1]:
        if values.get(key) is None:
            values[key] = {}
        values = values[key]
        if not isinstance(values, dict):
            found = f"{key} is a single value and has no keys below it"
            raise UsageError(place, found, "wanted a key with keys below it", "Correct the key in --set.")
    values[keys[-1]] = value
