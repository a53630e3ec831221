"""Failures of Spark become messages that name the row, the file or the class behind them."""

from __future__ import annotations

import pytest

from spladelake.spark.session.failures import known_error

# Texts as Spark, Delta and Py4J write them, and parts of the messages.
FAILURES = {
    "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint rank_from_one (rank >= 1) violated by row with values:\n"
    " - rank : 0\n - run_id : a - b SQLSTATE: 23001\n\tat org.apache": (
        "a row breaks the CHECK constraint rank_from_one (rank >= 1), with rank = 0, run_id = a - b; wanted rows"
    ),
    "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint c (x > 0) violated by row with values:": (
        "a row breaks the CHECK constraint c (x > 0); wanted rows"
    ),
    "An error occurred while calling o1.count.\n: java.util.zip.ZipException: invalid stored block lengths": (
        "the inputs: a file that Spark does not name cannot be read (java.util.zip.ZipException: invalid stored block "
        "lengths); wanted"
    ),
    "An error occurred while calling o1.save.\n: java.io.IOException: Mkdirs failed to create file:/lake": (
        "the file system: java.io.IOException: Mkdirs failed to create file:/lake; wanted"
    ),
}


@pytest.mark.parametrize(("text", "said"), FAILURES.items())
def test_a_failure_is_told_with_its_row_or_reason(text: str, said: str) -> None:
    assert said in str(known_error(Exception(text)))
