"""The page `cli`: every command with its options, from the command line itself and the rows of the jobs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from spladelake.cli import cli
from spladelake.commands.job import job_command
from spladelake.config import JOBS
from spladelake.config.base import JobOptions
from spladelake.config.job import EVERY_TABLE

EXAMPLES = "<!-- not run: examples of the help page, for files of yours; a test checks their options -->"


def page() -> str:
    """The whole page in Markdown."""
    return "\n".join(lines()) + "\n"


def lines() -> Iterator[str]:
    """The lines of the page."""
    yield "# Commands and options"
    yield ""
    yield "Every command of `spladelake`, and every option of every job. `spladelake COMMAND --help` prints the same."
    yield ""
    yield "An option may be spelled with dashes or with underscores. In a pipeline file, a job's options are the keys"
    yield "of its step, with underscores."
    yield ""
    yield "## Options of every job"
    yield ""
    job = next(iter(JOBS.values()))
    yield from table([param for param in job_command(job).params if param.name in common()])
    for group, names in cli._parts.items():
        yield f"## {group.capitalize()}"
        yield ""
        for name in names:
            yield from command_lines([name], cli.commands[name])


def common() -> set[str]:
    """Names of the options that all jobs have."""
    return {*JobOptions.model_fields, "debug", "properties_file", "spark_conf"}


def command_lines(names: list[str], command: click.Command) -> Iterator[str]:
    """A command with its options; of a group, each of its commands."""
    yield f"{'#' * (2 + len(names))} spladelake {' '.join(names)}"
    yield ""
    text, examples = split_help(command.help or "")
    yield from [*text.splitlines(), ""]
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from command_lines([*names, name], command.commands[name])
        return
    job = JOBS.get(names[-1])
    if job is not None:
        yield f"- Reads: {tables(job.reads)}."
        yield f"- Writes: {tables(job.writes)}."
        yield ""
    shared = common() if job else set()
    yield from table([param for param in command.params if param.name not in shared])
    if examples:
        yield from [EXAMPLES, "```sh", *examples, "```", ""]


def tables(names: tuple[str, ...]) -> str:
    """Names of tables in a sentence."""
    if EVERY_TABLE in names:
        return "every table of the lake"
    return ", ".join(f"`{name}`" for name in names) or "no table of the lake"


def split_help(text: str) -> tuple[str, list[str]]:
    """The prose of a help text, and the command lines of its examples."""
    prose, _, rest = inspect.cleandoc(text).replace("\b\n", "").partition("\nExample")
    examples = [line.strip() for line in rest.splitlines()[1:] if line.strip()]
    return re.sub(r"\n{3,}", "\n\n", prose).strip(), examples


def table(params: list[click.Parameter]) -> Iterator[str]:
    """The options and arguments as a table; nothing if there are none."""
    rows = [row(param) for param in params]
    if rows:
        yield from ["| option | meaning |", "|---|---|", *rows, ""]


def row(param: click.Parameter) -> str:
    """One option or argument: its names and values, its meaning and default."""
    if not isinstance(param, click.Option):
        return f"| {(param.name or '').upper()} | {'Required.' if param.required else 'Optional.'} |"
    names = ", ".join(f"`{name}`" for name in param.opts)
    values = ""
    if isinstance(param.type, click.Choice):
        values = " " + ", ".join(map(str, param.type.choices))
    elif not param.is_flag:
        values = f" {param.metavar or param.type.name.upper().split(' ')[0]}"
    meaning = " ".join((param.help or "").split())
    if param.required:
        meaning += " Required."
    if param.show_default and isinstance(param.default, str | int) and not param.is_flag:
        meaning += f" [default: {param.default}]"
    return f"| {names}{values} | {meaning} |".replace("||", "\\|\\|")
