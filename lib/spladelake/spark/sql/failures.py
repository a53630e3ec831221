"""Explain a failed statement to the person who typed it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException

from spladelake.errors import DataError, SpladelakeError, UsageError
from spladelake.names import closest
from spladelake.spark.session.failures import known_error

_CONDITION = re.compile(r"^\[([A-Z_.0-9]+)\]\s*")
# Spark appends this to the sentences of an error: a code, the statement and the plan.
_REST = re.compile(r"\s*SQLSTATE:.*|\s*== SQL.*", re.DOTALL)
_NOT_FOUND = ("TABLE_OR_VIEW_NOT_FOUND", "UNRESOLVED_ROUTINE", "UNRESOLVABLE_TABLE_VALUED_FUNCTION")
# Conditions of a correct statement that meets a wrong value in the tables.
_DATA = ("ARITHMETIC_OVERFLOW", "CAST_OVERFLOW", "DIVIDE_BY_ZERO", "DELTA_VIOLATE_CONSTRAINT")
# Errors of a statement. One that is raised while Spark broadcasts rows arrives as an error of Java.
STATEMENT_ERRORS = (PySparkException, Py4JJavaError)


@dataclass(frozen=True)
class Undefined:
    """Why a name of explore.sql is not defined.

    - reason, wanted: clauses.
    - fix: one or more sentences.
    - needs: the missing names between this name and the reason, the nearest first.
    """

    reason: str
    wanted: str
    fix: str
    needs: tuple[str, ...] = ()

    @property
    def found(self) -> str:
        """The reason, with the names that lead to it."""
        return f"it needs {', which needs '.join(self.needs)}, and {self.reason}" if self.needs else self.reason

    def __str__(self) -> str:
        return f"{self.found}. {self.fix}"


def statement_error(
    error: PySparkException | Py4JJavaError, *, missing: Mapping[str, Undefined], defined: Iterable[str] = ()
) -> SpladelakeError:
    """Return the error of a statement, with exit code 2, or 3 if a value in the tables is at fault.

    - missing: the reason for each name that could not be defined. The error of a statement that uses it has the reason.
    - defined: the names that were defined.
    """
    text = str(error) if isinstance(error, PySparkException) else _root_message(error)
    condition = match[1] if (match := _CONDITION.match(text)) else ""
    # The text of an error in a statement holds its plan, and the plan may hold the words of any other error.
    is_wrong_statement = isinstance(error, AnalysisException) and condition != "PATH_NOT_FOUND"
    if not is_wrong_statement and (known := known_error(error)) is not None:
        return known
    said = " ".join(_REST.sub("", _CONDITION.sub("", text)).split())
    if condition.startswith("USER_RAISED_EXCEPTION"):
        return StatementError(said)
    kind = DataError if condition.startswith(_DATA) else UsageError
    if condition.startswith(_NOT_FOUND):
        named = [name for name in missing if re.search(rf"`{re.escape(name)}`", said)]
        if named:
            why = missing[named[0]]
            found = f"spladelake sql could not define this name, because {why.found}"
            return UsageError(named[0], found, why.wanted, why.fix)
        close = (closest(name, defined) for name in re.findall(r"`([^`]+)`", said))
        near = next((f"did you mean {name!r}?" for name in close if name), None)
        listed = near or "wanted a name that SHOW VIEWS or SHOW USER FUNCTIONS lists"
        return kind("the statement", said, listed, "Correct the name.")
    if kind is DataError:
        wanted = "wanted values for which every expression has a result"
        return DataError(
            "the statement", said, wanted, "Leave out these values, or use a function such as try_divide or try_cast."
        )
    return UsageError(
        "the statement",
        said,
        "wanted a statement of Spark SQL",
        "Correct the statement. DESCRIBE NAME shows the columns of a table.",
    )


def _root_message(error: Py4JJavaError) -> str:
    """Return the message of the Java error that another one carries."""
    java = error.java_exception
    while java.getCause() is not None:
        java = java.getCause()
    return str(java.getMessage() or java.toString())


class StatementError(UsageError):
    """An error raised by a function of explore.sql. Its message is complete, with place and fix."""

    def __init__(self, message: str) -> None:
        super().__init__("the statement", message, "", "")

    def __str__(self) -> str:
        return self.found
