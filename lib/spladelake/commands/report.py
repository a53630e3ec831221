"""`spladelake report`: write measured runs of a lake as one HTML page."""

from __future__ import annotations

import json
from pathlib import Path

import click

from spladelake.commands.options import lake_option, session_options
from spladelake.commands.settings import spark_settings
from spladelake.commands.system_errors import cannot_write
from spladelake.extras import require_extra


@click.command("report")
@lake_option
@click.option("--runs", default="", help="Measured runs, comma separated, the baseline first (default: all).")
@click.option("--measure", default=None, help="Measure of the plots (default: ndcg_cut_10 if all runs have it).")
@click.option("--queries", default=5, show_default=True, type=click.IntRange(min=0), help="Number of example queries.")
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="HTML file to write, such as report.html.")
@session_options
def report_command(
    lake: str,
    runs: str,
    measure: str | None,
    queries: int,
    out: str,
    debug: bool,
    properties_file: str | None,
    spark_conf: tuple[str, ...],
) -> None:
    """Write one HTML page about measured runs: means, differences, costs and examples.

    The page loads nothing and runs no scripts. The examples are the queries with the largest differences between runs.

    \b
    Example:
      spladelake report --lake my-lake --runs bm25,splade-mini --out report.html
    """
    from spladelake.report.page import render
    from spladelake.spark.evaluate.report import gather
    from spladelake.spark.session.start import spark_session
    from spladelake.spark.tables.refs import Lake

    require_extra("report")
    session = spark_session("spladelake report", settings=spark_settings(properties_file, spark_conf))
    chosen = tuple(filter(None, (run.strip() for run in runs.split(","))))
    data = gather(session, Lake(lake), runs=chosen, measure=measure, queries=queries)
    page = render(data)
    try:
        Path(out).write_text(page, encoding="utf-8")
    except OSError as error:
        raise cannot_write(out, error, option="--out") from None
    click.echo(f"{out}: {len(data.systems)} systems, {len(page):,} characters", err=True)
    click.echo(json.dumps({"job": "report", "exit_code": 0, "out": out, "systems": len(data.systems)}))
