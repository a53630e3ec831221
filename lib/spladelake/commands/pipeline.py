"""`spladelake pipeline`: run the steps of a pipeline file."""

from __future__ import annotations

import json

import click

from spladelake.commands.options import session_options
from spladelake.commands.run_job import run_step
from spladelake.commands.settings import spark_settings
from spladelake.config import load_pipeline
from spladelake.config.jobs import JOBS
from spladelake.errors import UsageError


@click.group()
def pipeline() -> None:
    """Run the steps of a pipeline file."""


@pipeline.command("run")
@click.argument("file")
@click.option("--lake", help="Folder of the lake, instead of lake in the file.")
@click.option("--run-id", help="The option --run-id of every step.")
@click.option("--run-date", help="Logical date (YYYY-MM-DD), for every step.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a value of the file; repeatable.")
@session_options
def pipeline_run(
    file: str,
    lake: str | None,
    run_id: str | None,
    run_date: str | None,
    overrides: tuple[str, ...],
    debug: bool,
    properties_file: str | None,
    spark_conf: tuple[str, ...],
) -> None:
    """Run every step of a pipeline file in one Spark session.

    FILE is YAML or TOML. The steps run in order, and a summary follows. In --set, KEY is the path of a value in the
    file, such as model or steps.retrieve_run.k.

    \b
    Example:
      spladelake pipeline run conf/beir.yaml --lake my-lake --set model=splade-tiny --run-date 2026-11-24
    """
    given = {}
    for pair in overrides:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(
                f"--set {pair}", "the option has no =", "wanted KEY=VALUE", "Write the option as --set KEY=VALUE."
            )
        given[key] = value
    given |= {name: v for name, v in (("lake", lake), ("run_id", run_id), ("run_date", run_date)) if v is not None}
    loaded = load_pipeline(file, overrides=given)
    steps = loaded.options(place=file)
    settings = {**loaded.spark, **spark_settings(properties_file, spark_conf)}
    from spladelake.display.results import show_summary
    from spladelake.spark.session.connect import check_job

    for name, options in steps:
        check_job(JOBS[name], options, settings)

    results = {}
    for label, (name, options) in zip(loaded.labels, steps, strict=True):
        results[label] = run_step(name, options, settings)
        click.echo(f"{label}: {results[label]['status']}", err=True)
    show_summary(results)
    click.echo(json.dumps({"job": "pipeline", "file": file, "exit_code": 0, "steps": results}))
