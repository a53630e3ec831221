"""The command of a job, made from its row in `spladelake.config.jobs` and its option model."""

from __future__ import annotations

import inspect
from typing import Any

import click

from spladelake.commands.options import field_option, session_options
from spladelake.commands.run_job import report, run_step
from spladelake.commands.settings import spark_settings
from spladelake.config.base import JobOptions, RankingOptions, checked
from spladelake.config.job import Job


def job_command(job: Job) -> click.Command:
    """Return the click command that runs a job."""

    @session_options
    def command(debug: bool, properties_file: str | None, spark_conf: tuple[str, ...], **given: Any) -> None:
        values = {key: value for key, value in given.items() if value is not None}
        options = checked(job.options, values, place=f"spladelake {job.name}")
        if isinstance(options, RankingOptions) and options.run_id and not options.ranking:
            click.echo(f"--run-id names the ranking in this job; write --ranking {options.run_id} instead", err=True)
        settings = spark_settings(properties_file, spark_conf)
        report(job.name, run_step(job.name, options, settings, alone=True))

    function: Any = command
    # The lake comes first, then the job's own options, then the options that all jobs share.
    common = JobOptions.model_fields.keys() - {"lake"}
    shown = sorted(job.options.model_fields.items(), key=lambda item: (item[0] in common, item[0] != "lake"))
    for field_name, field in reversed(shown):
        function = field_option(field_name, field, job.options.other_names(field_name))(function)
    lines = "\n".join(f"  {line}" for line in job.examples)
    text = f"{inspect.cleandoc(job.options.__doc__ or '')}\n\nExamples:\n\n\b\n{lines}"
    return click.command(job.name, help=text)(function)
