"""Job descriptions in the Spark UI: every job of a step begins with the step's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_STEP = "spladelake.step"


@contextmanager
def step_description(session: SparkSession, step: str) -> Iterator[None]:
    """Name the jobs of the body after a step, until it ends."""
    context = session.sparkContext
    context.setLocalProperty(_STEP, step)
    describe(session)
    try:
        yield
    finally:
        context.setLocalProperty(_STEP, "")
        context.setJobDescription("")


def describe(session: SparkSession, what: str = "") -> None:
    """Say what the next jobs do, beside the name of the step; without `what` they carry the name alone."""
    step = session.sparkContext.getLocalProperty(_STEP)
    session.sparkContext.setJobDescription(": ".join(filter(None, (step, what))))
