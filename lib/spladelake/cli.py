"""The command `spladelake`. Heavy packages are imported only when a command runs; no module imports this one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from spladelake import __version__
from spladelake.commands.demo import demo
from spladelake.commands.docs import docs
from spladelake.commands.doctor import doctor
from spladelake.commands.forecast import forecast
from spladelake.commands.groups import GroupedCommands
from spladelake.commands.init import init
from spladelake.commands.jars import jars
from spladelake.commands.job import job_command
from spladelake.commands.launch import run_command
from spladelake.commands.options import session_options
from spladelake.commands.package import package
from spladelake.commands.pipeline import pipeline
from spladelake.commands.prepare import prepare
from spladelake.commands.quarantine import quarantine
from spladelake.commands.report import report_command
from spladelake.commands.search import search_lake
from spladelake.commands.sql import sql
from spladelake.config.jobs import JOBS

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=GroupedCommands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="spladelake")
def cli() -> None:
    """Learned sparse retrieval on Spark and Delta Lake: encode, retrieve, evaluate.

    Exit codes: 0 done or already current, 1 unexpected failure, 2 wrong option or setting, 3 unusable data,
    4 conflict with another writer, 5 the machine lacks something.
    """


cli.add_to("start", demo, docs, doctor, prepare)
cli.add_to("prepare data", init, quarantine)
for _job in JOBS.values():
    cli.add_to(_job.group, job_command(_job))
cli.add_to("encode", forecast)
cli.add_to("retrieve", session_options(search_lake), session_options(sql))
cli.add_to("measure", report_command)
cli.add_to("schedule", pipeline, package, jars)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. A user's mistake prints one message, never a stack trace."""
    return run_command(cli, sys.argv[1:] if argv is None else argv, prog_name="spladelake")


def run() -> None:
    """Run the command line and exit with its code: the entry point of the installed command."""
    sys.exit(main())
