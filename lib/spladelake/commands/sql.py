"""`spladelake sql`: query the tables of a lake, at a prompt or from a script."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import click

from spladelake.commands.options import lake_option, query_model_option
from spladelake.commands.settings import spark_settings
from spladelake.errors import SpladelakeError, UsageError
from spladelake.machine import user_folder

PROMPT, FURTHER = "spladelake> ", "          > "
LEAVING = ("exit", "quit")


@click.command("sql")
@lake_option
@click.option(
    "--model", default=None, metavar="TEXT", help="Model of the vectors. It also encodes the text of queries."
)
@query_model_option
@click.option("--vectors", default=None, metavar="TEXT", help="Name of the vectors (default: the model's short name).")
@click.option("-e", "--execute", multiple=True, metavar="SQL", help="Statement to run, without a prompt; repeatable.")
@click.option(
    "--output", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True,
    help="Format of the rows on stdout; json is one object per line.",
)  # fmt: skip
@click.option("--write", is_flag=True, help="Also run statements that change tables, files or the catalog.")
@click.option(
    "--definitions", is_flag=True,
    help="Print the SQL that creates the views and functions, for spark-sql or the Thrift server.",
)  # fmt: skip
def sql(
    lake: str, model: str | None, query_model: str | None, vectors: str | None, execute: tuple[str, ...], output: str,
    write: bool, definitions: bool, **session_options: Any,
) -> None:  # fmt: skip
    """Query the tables of a lake in SQL.

    Without -e the command reads statements at a prompt, or from a file on stdin.

    Without --write, statements may read anything, but change only their own session: temporary views, functions and
    variables, settings, cached tables. The command refuses every other statement before it runs.

    \b
    Examples:
      spladelake sql --lake demo-lake --model splade-tiny
      spladelake sql --lake demo-lake --model splade-tiny -e "SELECT * FROM search('copy a directory', 5)" --output csv
      spladelake sql --lake demo-lake --model splade-tiny --definitions > explore.sql
    """
    from spladelake.config import DEFAULT_MODEL
    from spladelake.spark.session.start import spark_session
    from spladelake.spark.session.stores import check_stores
    from spladelake.spark.sql import install, script

    settings = spark_settings(session_options["properties_file"], session_options["spark_conf"])
    session = spark_session("spladelake sql", settings=settings)
    check_stores(session, {"lake": lake})
    names: dict[str, Any] = {"lake": lake, "model": model or DEFAULT_MODEL, "vectors": vectors}
    if definitions:
        click.echo(script(session, **names), nl=False)
        return
    asked = _Asked(session, install(session, **names, query_model=query_model), output, write)
    if execute:
        for statement in execute:
            asked.run(statement.rstrip().removesuffix(";"))
    elif sys.stdin.isatty():
        _ask(asked)
    else:
        from spladelake.spark.sql.output import statements

        for statement in statements(iter(sys.stdin)):
            asked.run(statement)


@dataclass(frozen=True)
class _Asked:
    """A session with the definitions of a lake.

    - output: format of the rows.
    - write: whether statements may change tables, files or the catalog.
    """

    session: Any
    installed: Any
    output: Any
    write: bool

    def run(self, statement: str) -> None:
        """Run a statement and write its rows. Raises SpladelakeError if the statement is wrong or not allowed."""
        from spladelake.spark.session.read_only import refusal
        from spladelake.spark.sql.failures import STATEMENT_ERRORS, statement_error
        from spladelake.spark.sql.output import write_rows

        try:
            if not self.write and (reason := refusal(self.session, statement)) is not None:
                wanted = "wanted a statement that only reads tables and files"
                fix = "To run it all the same, use `spladelake sql --write`."
                raise UsageError("spladelake sql", f"the statement {reason}", wanted, fix)
            write_rows(self.session.sql(statement), sys.stdout, output_format=self.output)
        except STATEMENT_ERRORS as error:
            raise statement_error(error, missing=self.installed.missing, defined=self.installed.names) from error


def _ask(asked: _Asked) -> None:
    """Read statements at a prompt with a history; an error is printed, and the prompt continues."""
    from spladelake.spark.sql.output import statements

    click.echo(f"defined: {', '.join(asked.installed.names)}", err=True)
    for name, why in asked.installed.missing.items():
        click.echo(f"not defined: {name}: {why}", err=True)
    click.echo(
        "End each statement with ; at the end of a line. Ctrl-C stops a statement, Ctrl-D ends the session.", err=True
    )
    with _history():
        for lines in _typed():
            for statement in statements(iter(lines)):
                if statement.strip().lower() in LEAVING:
                    return
                _answer(asked, statement)


def _answer(asked: _Asked, statement: str) -> None:
    """Run a statement; print an error instead of raising it.

    The statement runs in its own thread, so that this thread can cancel it on Ctrl-C.
    """
    from spladelake.commands.options import styled

    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(asked.run, statement)
        try:
            running.result()
        except KeyboardInterrupt:
            asked.session.sparkContext.cancelAllJobs()
            click.echo("stopping the statement", err=True)
            wait([running])
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            said = str(error) if isinstance(error, SpladelakeError) else f"unexpected {type(error).__name__}: {first}"
            click.echo(styled("error: ", fg="red", bold=True) + said, err=True)


def _typed() -> Iterator[list[str]]:
    """Yield the lines of each typed statement; Ctrl-C drops the lines typed so far."""
    lines: list[str] = []
    while True:
        try:
            lines.append(input(FURTHER if lines else PROMPT))
        except KeyboardInterrupt:
            click.echo()
            lines = []
            continue
        except EOFError:
            click.echo()
            return
        if lines[-1].rstrip().endswith(";") or "".join(lines).strip().lower() in ("", *LEAVING):
            yield lines
            lines = []


@contextmanager
def _history() -> Iterator[None]:
    """Keep a history of typed lines in a file for later sessions; without a writable file, for this session only."""
    import readline

    file = user_folder("XDG_STATE_HOME", ".local/state") / "spladelake" / "sql_history"
    readline.set_history_length(2_000)
    with suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(file)
