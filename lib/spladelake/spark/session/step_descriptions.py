"""Job descriptions in the Spark UI. Each begins with the name of the step. Spark Connect knows none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from spladelake.spark.session.connect import is_connect

_STEP = "spladelake.step"


@contextmanager
def step_description(session: SparkSession, step: str) -> Iterator[None]:
    """Begin the descriptions of the body's Spark jobs with the name of a step."""
    if is_connect(session):
        yield
        return
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
    if is_connect(session):
        return
    step = session.sparkContext.getLocalProperty(_STEP)
    session.sparkContext.setJobDescription(": ".join(filter(None, (step, what))))
