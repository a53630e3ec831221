"""What went wrong with a statement, told to the person who typed it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pyspark.errors import PySparkException

from spladelake.errors import DataError, SpladelakeError, UsageError
from spladelake.names import closest
from spladelake.spark.session.failures import explained

_CONDITION = re.compile(r"^\[([A-Z_.0-9]+)\]\s*")
# What Spark adds to the sentences of an error: its code, then the statement again and the plan.
_REST = re.compile(r"\s*SQLSTATE:.*|\s*== SQL.*", re.DOTALL)
_NOT_FOUND = ("TABLE_OR_VIEW_NOT_FOUND", "UNRESOLVED_ROUTINE", "UNRESOLVABLE_TABLE_VALUED_FUNCTION")
# The statement is well formed, but a value in the tables is not.
_DATA = ("ARITHMETIC_OVERFLOW", "CAST_OVERFLOW", "DIVIDE_BY_ZERO", "DELTA_VIOLATE_CONSTRAINT")


def statement_error(
    error: PySparkException, *, missing: Mapping[str, str], defined: Iterable[str] = ()
) -> SpladelakeError:
    """The error of a statement: exit code 2, or 3 where a value is at fault.

    missing: what could not be defined for this lake, with the reason: a statement that names it says why. defined: what
    was.
    """
    if (known := explained(error)) is not None:
        return known
    text = str(error)
    condition = match[1] if (match := _CONDITION.match(text)) else ""
    said = " ".join(_REST.sub("", _CONDITION.sub("", text)).split())
    if condition.startswith("USER_RAISED_EXCEPTION"):
        return StatementError(said)
    kind = DataError if condition.startswith(_DATA) else UsageError
    if condition.startswith(_NOT_FOUND):
        named = [name for name in missing if re.search(rf"`{re.escape(name)}`", said)]
        if named:
            return UsageError(
                named[0], "this lake has none", missing[named[0]], "Create it first, then run the statement again."
            )
        close = (closest(name, defined) for name in re.findall(r"`([^`]+)`", said))
        near = next((f"did you mean {name!r}?" for name in close if name), None)
        listed = near or "SHOW VIEWS and SHOW USER FUNCTIONS list what there is"
        return kind("the statement", said, listed, "Correct the name.")
    return kind("the statement", said, "wanted a statement of Spark SQL", "Correct it; DESCRIBE NAME shows columns.")


class StatementError(UsageError):
    """What a function of explore.sql raised: its text is whole, place and fix included."""

    def __init__(self, message: str) -> None:
        super().__init__("the statement", message, "", "")

    def __str__(self) -> str:
        return self.found
