"""`spladelake demo`: the whole job on text that every machine has."""

from __future__ import annotations

import click

from spladelake.commands.options import session_options
from spladelake.commands.settings import spark_settings


@click.command()
@click.option("--lake", default=None, help="Keep the tables in this folder (default: a temporary one, removed).")
@click.option("--documents", type=click.IntRange(min=20), default=None, help="Use only so many documents.")
@session_options
def demo(
    lake: str | None,
    documents: int | None,
    debug: bool,
    properties_file: str | None,
    spark_conf: tuple[str, ...],
) -> None:
    """The whole job on the documentation of Python's standard library, with a real model and no network."""
    from spladelake.demo.run import run_demo

    run_demo(lake=lake, documents=documents, settings=spark_settings(properties_file, spark_conf))
