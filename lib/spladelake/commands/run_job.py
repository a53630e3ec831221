"""Run one job in a Spark session, and print its result as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from spladelake.config.base import Options
from spladelake.config.job import Job
from spladelake.config.jobs import JOBS


def run_step(name: str, options: Options, settings: dict[str, str], *, alone: bool = False) -> dict[str, Any]:
    """Run one job in the current or a new Spark session and return its result.

    - settings: Spark settings of a new session.
    - alone: whether this process runs no other job.
    """
    from spladelake.spark.session.progress import stage_line
    from spladelake.spark.session.quick_settings import is_small_lake
    from spladelake.spark.session.start import session_of_job
    from spladelake.spark.session.step_descriptions import step_description
    from spladelake.spark.session.stores import check_stores
    from spladelake.spark.tables.run_log import recorded, run_id_of

    quick = alone and JOBS[name].lake_only and is_small_lake(str(getattr(options, "lake", "schema:")))
    # The job's modules take a second or two to import; Java starts meanwhile.
    with ThreadPoolExecutor(1) as pool:
        function = pool.submit(_function, JOBS[name])
        session = session_of_job(JOBS[name], options, settings=settings, quick=quick)
    check_stores(session, options.model_dump())
    with step_description(session, name), stage_line(session, name):
        result = recorded(session, name, options, function.result())
    run_date = getattr(options, "run_date", None)
    called = {"run_id": run_id_of(name, options, result), "run_date": run_date and str(run_date)}
    return {**{key: value for key, value in called.items() if value}, **result}


def _function(job: Job) -> Callable[..., dict[str, Any]]:
    from spladelake.spark.jobs import function_of

    return function_of(job)


def report(name: str, result: dict[str, Any]) -> None:
    """Print the result as tables on stderr and as one line of JSON on stdout."""
    from spladelake.display.results import show_result

    show_result(name, result)
    click.echo(json.dumps({"job": name, "exit_code": 0, **result}))
