"""Job descriptions in the Spark UI. Each begins with the name of the step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_STEP = "spladelake.step"


@contextmanager
def step_description(session: SparkSession, step: str) -> Iterator[None]:
    """Begin the descriptions of the body's Spark jobs with the name of a step."""
    context = session.sparkContext
    context.setLocalProperty(_STEP, step)
    describe(session)
    try:
        yield
    finally:
        context.setLocalProperty(_STEP, "")
        context.setJobDescription("")


def describe(session: SparkSession, what: str = "") -> None:
    """Describe the next Spark jobs by the name of the step and, if given, by `what` they do."""
    step = session.sparkContext.getLocalProperty(_STEP)
    session.sparkContext.setJobDescription(": ".join(filter(None, (step, what))))
