"""Command lines of this project in other texts, read by the command line itself: nothing is run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from spladelake.cli import cli
from spladelake.config import JOBS, checked


def parsed(arguments: Sequence[str]) -> list[str]:
    """Names of the command that these arguments of `spladelake` stand for, such as ["pipeline", "run"].

    Raises click.UsageError for an unknown command or option, UsageError for a value that the job would refuse.
    """
    names: list[str] = []
    command: click.Command = cli
    context = None
    rest = list(arguments)
    while isinstance(command, click.Group):
        if not rest or rest[0].startswith("-"):
            command.make_context("spladelake", rest, parent=context, resilient_parsing=True)
            return names
        context = command.make_context("spladelake", [], parent=context, resilient_parsing=True)
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        names.append(str(name))
    given = command.make_context(names[-1], rest, parent=context).params
    if names[-1] in JOBS:
        session = ("debug", "properties_file", "spark_conf")
        values = {key: value for key, value in given.items() if value is not None and key not in session}
        checked(JOBS[names[-1]].options, values, place=names[-1])
    return names


def words(line: str) -> list[str]:
    """A line of shell as words, without its comment and where its output goes."""
    found = shlex.split(line, comments=True)
    return found[: found.index(">")] if ">" in found else found
