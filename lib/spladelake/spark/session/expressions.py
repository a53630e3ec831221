"""SQL that users give as options: resolved against a table when a plan is made, refused if it does more than read."""

from __future__ import annotations

import re

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType

from spladelake.errors import UsageError
from spladelake.names import listed, shortened, suggestion
from spladelake.spark.session.read_only import refusal_of_rows


def condition_on(frame: DataFrame, condition: str, *, option: str) -> Column:
    """Return a condition on the columns of a DataFrame, after Spark has resolved it.

    - option: the option that gives the condition, for messages.

    Raises UsageError if Spark cannot resolve it on these columns, or if it does more than read.
    """
    fix = "Correct the condition, and put strings in single quotes."
    return _resolved(frame, condition, F.expr(condition), option=option, wanted="condition", fix=fix)


def expression_on(frame: DataFrame, expression: str, *, option: str) -> Column:
    """Return a SQL expression over the columns of a DataFrame, with one value for each row.

    It raises UsageError as `condition_on` does, and for an expression over several rows, such as max or explode.
    """
    # A condition can hold no such expression.
    test = F.expr(expression).isNull()
    fix = "Correct the expression. Put names with special characters in back-ticks, and strings in single quotes."
    _resolved(frame, expression, test, option=option, wanted="expression", fix=fix)
    return F.expr(expression)


def as_text(expression: str, kind: DataType) -> str:
    """Return an example of SQL that gives the values of an expression as text. kind: their type."""
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, StringType):
        return f"array_join({expression}, ' ')"
    return f"CAST({expression} AS STRING)"


def _resolved(frame: DataFrame, given: str, test: Column, *, option: str, wanted: str, fix: str) -> Column:
    place = f"{option} {given!r}"
    try:
        refused = refusal_of_rows(frame.where(test))
    except (AnalysisException, ParseException) as error:
        raise _unresolved(frame, error, place, wanted, fix) from None
    if refused is not None:
        fix = f"Remove this part of the {wanted}."
        raise UsageError(place, f"the {wanted} {refused}", f"wanted {_article(wanted)} that only reads", fix)
    return test


def _unresolved(
    frame: DataFrame, error: AnalysisException | ParseException, place: str, wanted: str, fix: str
) -> UsageError:
    said, parameters = error.getCondition() or "", error.getMessageParameters() or {}
    if said.startswith("UNRESOLVED_COLUMN") and (name := parameters.get("objectName", "")):
        plain = re.sub("``", "`", ".".join(part.strip("`") for part in name.split("`.`")))
        return UsageError(place, f"the table has no column {plain!r}", suggestion(plain, frame.columns), fix)
    if said == "INVALID_WHERE_CONDITION":
        named = parameters.get("expressionList", "")
        found = f"the {wanted} has an aggregate, window or generator function ({named})"
        fix = f"Remove this function from the {wanted}."
        return UsageError(place, found, f"wanted {_article(wanted)} with one value for each row", fix)
    reason = shortened(" ".join(str(error).split("SQLSTATE")[0].split()).rstrip(" .;"))
    return UsageError(place, reason, f"wanted {_article(wanted)} on {listed(frame.columns)}", fix)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
