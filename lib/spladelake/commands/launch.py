"""How a command runs as a process: its arguments, its errors, its exit code, its last line for a scheduler."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click

from spladelake.commands.job import job_command
from spladelake.commands.options import styled
from spladelake.config.job import Job
from spladelake.errors import SpladelakeError
from spladelake.streams import stderr_apart


def launch(job: Job) -> None:
    """Run a job with the options of this process, and end the process with the job's exit code."""
    sys.exit(run_command(job_command(job), sys.argv[1:], prog_name=f"spladelake {job.name}", name=job.name))


def run_command(command: click.Command, arguments: Sequence[str], *, prog_name: str, name: str = "") -> int:
    """Run a command and return its exit code. A user's mistake is one message, never a stack trace.

    - prog_name: the command as help pages show it.
    - name: the job that a scheduler is told about; by default the first argument.
    """
    with stderr_apart():
        dashed = [_dashed(word) for word in arguments]
        code = _ended(command, dashed, prog_name=prog_name, name=name or next(iter(dashed), ""))
        if code == 0:
            _make_later_starts_quick()
        return code


def _make_later_starts_quick() -> None:
    """After a command that started a session without an archive of its classes: make one in the background, once."""
    session = sys.modules.get("spladelake.spark.session.start")
    if session is None or not session.started_without_archive:
        return
    from spladelake.spark.session.class_archive import VARIABLE, begin_in_background

    if (folder := begin_in_background(session.started_without_archive.pop())) is not None:
        click.echo(
            f"later starts will take about half the time: an archive of Spark's classes (200 MB, in {folder}) is being "
            f"made in the background, once, for some minutes; {VARIABLE}=off prevents it",
            err=True,
        )


def _dashed(word: str) -> str:
    """An option as it is spelled, with dashes, also if it was given with underscores as a pipeline file has them."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}"


def _ended(command: click.Command, arguments: list[str], *, prog_name: str, name: str) -> int:
    debug = "--debug" in arguments
    _configure_logging(debug=debug)
    try:
        return int(command.main(arguments, prog_name=prog_name, standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except click.ClickException as error:
        error.show()
        _say_failed(name, error.exit_code, error.format_message())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; tables hold either their old rows or their new ones", err=True)
        return 130
    except Exception as error:
        return _fail(error, name, debug=debug)


def _fail(error: Exception, name: str, *, debug: bool) -> int:
    known = error if isinstance(error, SpladelakeError) else _explained(error)
    code = known.exit_code if known else 1
    if debug:
        traceback.print_exception(error)
    if known is None:
        message = f"unexpected {type(error).__name__}: {_cause(error)} (run again with --debug for the stack trace)"
    else:
        message = str(known)
    click.echo(styled("error: ", fg="red", bold=True) + message, err=True)
    _say_failed(name, code, message)
    return code


def _say_failed(name: str, code: int, message: str) -> None:
    """The line on stdout that a scheduler reads."""
    click.echo(json.dumps({"job": name, "exit_code": code, "error": message}))


def _cause(error: Exception) -> str:
    """What an unexpected error says: of one that came from Java, its deepest cause."""
    java = getattr(error, "java_exception", None)
    while java is not None and java.getCause() is not None:
        java = java.getCause()
    text = str(error) if java is None else str(java.toString())
    return (text.strip().splitlines() or [""])[0]


def _explained(error: Exception) -> SpladelakeError | None:
    """An error that came through Spark as one of ours, if it is."""
    if "pyspark" not in sys.modules:
        return None
    from spladelake.spark.session.failures import explained

    return explained(error)


def _configure_logging(*, debug: bool) -> None:
    # On a terminal a message takes the place of the progress that stands in its line.
    line = "\r\x1b[K%(message)s" if sys.stderr.isatty() else "%(message)s"
    logging.basicConfig(format=line, level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("spladelake").setLevel(logging.DEBUG if debug else logging.INFO)
    if not sys.stderr.isatty():
        # Libraries draw bars of their own; in a scheduler's log they are noise.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
