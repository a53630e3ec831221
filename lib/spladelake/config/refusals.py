"""The reasons why an option's value is refused, in this project's words instead of pydantic's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spladelake.errors import UsageError

# Keys are the kinds of error that pydantic reports. {names} come from the error's context.
_WANTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "date_from_datetime_parsing": "a day as YYYY-MM-DD, such as 2026-11-24",
    "date_parsing": "a day as YYYY-MM-DD, such as 2026-11-24",
    "date_type": "a day as YYYY-MM-DD, such as 2026-11-24",
    "dict_type": "keys and values",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_type": "a whole number",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "list_type": "a list",
    "literal_error": "one of {expected}",
    "missing": "a value",
    "model_attributes_type": "keys and values",
    "model_type": "keys and values",
    "string_sub_type": "text",
    "string_too_short": "text that is not empty",
    "string_type": "text",
    "string_unicode": "text in UTF-8",
    "too_short": "{min_length} or more values",
    "tuple_type": "a list",
}
# The values that an option with a pattern accepts, by its pattern.
PART_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*/(train|dev|test)$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_FORMS = {
    PART_PATTERN: "SET/train, SET/dev or SET/test",
    NAME_PATTERN: "a name of letters, digits, '.', '_' and '-' that begins with a letter or a digit",
}
# The answer for a kind of error that is not listed.
_OTHER = "a value as the help page describes it"


class OptionError(ValueError):
    """A refusal by one of our own checks: the value that the option needs, and the fix.

    - found: the fault in the value; without it the message shows the whole value.
    """

    def __init__(self, wanted: str, fix: str = "Correct the value.", *, found: str | None = None) -> None:
        super().__init__(wanted)
        self.found, self.wanted, self.fix = found, wanted, fix


class OptionsError(ValueError):
    """A refusal of options that do not go together: the found and wanted options, and the fix."""

    def __init__(self, found: str, wanted: str, fix: str) -> None:
        super().__init__(f"{found}; wanted {wanted}. {fix}")
        self.found, self.wanted, self.fix = found, wanted, fix


def option_error(place: str, error: Mapping[str, Any]) -> UsageError:
    """Return the message for one error of pydantic about a value.

    - place: the command or file, with the key of the option.
    - error: an entry of `ValidationError.errors()`.
    """
    context = error.get("ctx", {})
    cause = context.get("error")
    empty = error["type"] == "too_short" and not error["input"]
    found = "the list is empty" if empty else f"the value is {error['input']!r}"
    if isinstance(cause, OptionError):
        return UsageError(place, cause.found or found, f"wanted {cause.wanted}", cause.fix)
    numbers = {key: f"{number:.15g}" if isinstance(number, float) else number for key, number in context.items()}
    wanted = _FORMS.get(context.get("pattern", "")) or _WANTED.get(error["type"], _OTHER).format(**numbers)
    fix = {"literal_error": "Choose one of them.", "too_short": "Add a value."}.get(error["type"], "Correct the value.")
    return UsageError(place, found, f"wanted {wanted}", fix)
