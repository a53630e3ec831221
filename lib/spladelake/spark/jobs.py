"""The code of the jobs, found by their rows in `spladelake.config.jobs`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from pyspark.sql import SparkSession

from spladelake.config import Options
from spladelake.config.job import Job
from spladelake.config.jobs import JOBS
from spladelake.spark.session.settings import settings_kept
from spladelake.spark.session.small_plans import fitting_plans

Run = Callable[..., dict[str, Any]]


def function_of(job: Job) -> Run:
    """The function of a job: it takes the session and the options of the job's model, and returns the result.

    The function runs with plans that fit the size of its data, and leaves the settings of the session as they were.
    """
    module, name = job.function.split(":")
    function: Run = getattr(import_module(module), name)

    @wraps(function)
    def run(session: SparkSession, options: Options) -> dict[str, Any]:
        with settings_kept(session), fitting_plans(session, options):
            return function(session, options)

    return run


def run_job(session: SparkSession, name: str, options: Options) -> dict[str, Any]:
    """Run the job of a name with options of its model, and return its result."""
    return function_of(JOBS[name])(session, options)
