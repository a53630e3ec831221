"""`spladelake quarantine`: show rejected rows, and process them again."""

from __future__ import annotations

import json

import click

from spladelake.commands.options import lake_option
from spladelake.commands.run_job import report, run_step


@click.group()
def quarantine() -> None:
    """Show the rows that jobs could not use, or process them again."""


@quarantine.command()
@lake_option
@click.option("--input", "label", default=None, help="Only rows of this input, by its name in the summary.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Rows to show.")
@click.option("--raw", is_flag=True, help="Show the start of each raw row, which may be private text.")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def show(lake: str, label: str | None, limit: int, raw: bool, debug: bool) -> None:
    """Count the rows of each input and show the first rows.

    Each row is shown with the reason for its rejection.
    """
    from spladelake.display.results import quarantine_tables
    from spladelake.spark.session.start import spark_session
    from spladelake.spark.tables.quarantine import shown_rows

    result = shown_rows(spark_session("spladelake quarantine show"), lake, label=label, limit=limit)
    quarantine_tables(result, show_raw=raw)
    for row in result["rows"]:
        row.pop("raw")
    click.echo(json.dumps({"job": "quarantine show", "exit_code": 0, **result}))


@quarantine.command()
@lake_option
@click.option("--input", "label", default=None, help="Only this input, by its name in `quarantine show`.")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def retry(lake: str, label: str | None, debug: bool) -> None:
    """Run the job of each input again with the same options.

    Rows that can now be used leave the quarantine.
    """
    from spladelake.spark.session.start import spark_session
    from spladelake.spark.tables.quarantine import retries

    for name, options in retries(spark_session("spladelake quarantine retry"), lake, label=label):
        report(name, run_step(name, options, {}))
