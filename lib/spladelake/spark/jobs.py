"""The functions of the jobs, found by the jobs' rows in `spladelake.config.jobs`."""

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
    """Return the function of a job. It takes the session and the job's options, and returns the result.

    It runs with plans that fit the size of its data, and restores the settings of the session.
    """
    module, name = job.function.split(":")
    function: Run = getattr(import_module(module), name)

    @wraps(function)
    def run(session: SparkSession, options: Options) -> dict[str, Any]:
        with settings_kept(session), fitting_plans(session, options):
            return function(session, options)

    return run


def run_job(session: SparkSession, name: str, options: Options) -> dict[str, Any]:
    """Run a job by its name with its options; return its result."""
    return function_of(JOBS[name])(session, options)
