"""`spladelake demo`: every step from ingest to evaluation, on texts that come with Python."""

from __future__ import annotations

import click

from spladelake.commands.options import session_options
from spladelake.commands.settings import spark_settings


@click.command()
@click.option("--lake", default=None, help="Keep the tables in this folder (default: a temporary folder).")
@click.option("--documents", type=click.IntRange(min=20), default=None, help="Use only the first NUMBER documents.")
@session_options
def demo(
    lake: str | None,
    documents: int | None,
    debug: bool,
    properties_file: str | None,
    spark_conf: tuple[str, ...],
) -> None:
    """Ingest, encode, retrieve and evaluate a small collection with a real model.

    The collection is the documentation of Python's standard library. Texts and model need no network.
    """
    from spladelake.demo.run import run_demo

    run_demo(lake=lake, documents=documents, settings=spark_settings(properties_file, spark_conf))
