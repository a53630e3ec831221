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
        wanted = "wanted a mapping {name: {options}}, or a list of such mappings with one name each"
        raise UsageError(f"{place}: steps", f"the value is {given!r}", wanted, EXAMPLES)
    steps = []
    for number, entry in enumerate(entries, start=1):
        step = {entry: None} if isinstance(entry, str) else entry
        if not isinstance(step, dict) or len(step) != 1:
            raise _no_step(place, number, entry)
        ((name, options),) = step.items()
        if not isinstance(options, dict | None):
            found = f"the step {name} has {_said(options)} in place of its options"
            raise UsageError(f"{place}: steps", found, "wanted each option with its name: {option: value}", EXAMPLES)
        steps.append((str(name), dict(options or {})))
    return steps


def _no_step(place: str, number: int, entry: Any) -> UsageError:
    if isinstance(entry, dict) and entry:
        found = f"entry {number} has {len(entry)} names, {listed(map(str, entry), 'and')}"
        fix = "Begin each step with a dash, and indent its options below its name."
        return UsageError(f"{place}: steps", found, "wanted one step in each entry of the list", fix)
    found = f"entry {number} is {repr(entry) if entry else 'empty'}"
    return UsageError(f"{place}: steps", found, "wanted the name of a step, or {name: {options}}", EXAMPLES)


def _said(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the value {value!r}"


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
        set_value(options, keys, value, above=f"steps.{address}.")


def set_value(values: dict[str, Any], keys: list[str], value: Any, *, above: str = "") -> None:
    """Set a value below nested keys, and create the mappings between. Raises UsageError if a key has a single value.

    - above: the keys in --set that stand before `keys`, for the message.
    """
    for number, key in enumerate(keys[:-1], start=1):
        if values.get(key) is None:
            values[key] = {}
        values = values[key]
        if not isinstance(values, dict):
            held = "a list" if isinstance(values, list) else "a single value"
            whole = f"{above}{'.'.join(keys[:number])}"
            found = f"{whole} is {held}, so it cannot have the key {keys[number]}"
            fix = f"Use --set {whole}=VALUE, or correct the key."
            raise UsageError(f"--set {above}{'.'.join(keys)}", found, "wanted a key of a map", fix)
    values[keys[-1]] = value
