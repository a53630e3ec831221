"""Run a command as a process: arguments, errors, exit code, and the last line for a scheduler."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from spladelake.commands.job import job_command
from spladelake.commands.options import styled
from spladelake.commands.system_errors import explained_by_system
from spladelake.config.job import Job
from spladelake.errors import SpladelakeError
from spladelake.extras import explained_import
from spladelake.signals import ends_with_a_message
from spladelake.streams import ReaderGone, outlive_readers, stderr_apart


def launch(job: Job) -> None:
    """Run a job with the arguments of this process, and exit with the job's code."""
    sys.exit(run_command(job_command(job), sys.argv[1:], prog_name=f"spladelake {job.name}", name=job.name))


def run_command(command: click.Command, arguments: Sequence[str], *, prog_name: str, name: str = "") -> int:
    """Run a command and return its exit code. A user's mistake prints one message, never a stack trace.

    - prog_name: name of the command on help pages.
    - name: name of the job in the line for a scheduler; by default the first argument.
    """
    with stderr_apart(), outlive_readers(), ends_with_a_message():
        dashed = [_dashed(word) for word in arguments]
        code = _ended(command, dashed, prog_name=prog_name, name=name or next(iter(dashed), ""))
        if code == 0:
            _make_later_starts_quick()
        return code


def _make_later_starts_quick() -> None:
    """Make an archive of Spark's classes in the background, once, if this command started a session without one."""
    session = sys.modules.get("spladelake.spark.session.start")
    if session is None or not session.started_without_archive:
        return
    from spladelake.spark.session.class_archive import VARIABLE, begin_in_background

    if (folder := begin_in_background(session.started_without_archive.pop())) is not None:
        click.echo(
            f"a background process now makes an archive of Spark's classes in {folder} (200 MB), so that later starts "
            f"take half the time. The process runs once for some minutes. {VARIABLE}=off prevents the archive.",
            err=True,
        )


def _dashed(word: str) -> str:
    """Return an option with dashes; users also write it with underscores, as in a pipeline file."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}"


def _ended(command: click.Command, arguments: list[str], *, prog_name: str, name: str) -> int:
    debug = "--debug" in arguments
    _configure_logging(debug=debug)
    try:
        code = int(command.main(arguments, prog_name=prog_name, standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except click.ClickException as error:
        error.show()
        _say_failed(name, error.exit_code, error.format_message())
        return error.exit_code
    except ReaderGone:
        click.echo("the program that reads stdout has ended, so spladelake dropped the rest of the output", err=True)
        return 0
    except KeyboardInterrupt as stop:
        return _interrupted(stop)
    except Exception as error:
        cause = _interrupt(error)
        return _fail(error, name, debug=debug) if cause is None else _interrupted(cause)


def _interrupted(stop: BaseException) -> int:
    click.echo("interrupted; every table has either its old rows or its new rows", err=True)
    return getattr(stop, "exit_code", 130)


def _interrupt(error: BaseException | None) -> BaseException | None:
    """Return the interrupt that an error is or follows from; None if there was none.

    click turns an interrupt into an Abort. If the signal ended Java too, what the job does at its end fails.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        if isinstance(error, click.Abort) and error.__cause__ is None:
            return error
        error = error.__cause__ or error.__context__
    return error


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
    """Print the line of JSON on stdout that a scheduler reads."""
    with suppress(OSError, ReaderGone):
        click.echo(json.dumps({"job": name, "exit_code": code, "error": message}))


def _cause(error: Exception) -> str:
    """Return the first line of an unexpected error; of an error from Java, the first line of its root cause."""
    java = getattr(error, "java_exception", None)
    while java is not None and java.getCause() is not None:
        java = java.getCause()
    text = str(error) if java is None else str(java.toString())
    return (text.strip().splitlines() or [""])[0]


def _explained(error: Exception) -> SpladelakeError | None:
    """Return the SpladelakeError for an error of the system, of a missing extra or of Spark; None if unknown."""
    known = explained_by_system(error) or explained_import(error)
    if known is not None or "pyspark" not in sys.modules:
        return known
    from spladelake.spark.session.failures import known_error

    return known_error(error)


def _configure_logging(*, debug: bool) -> None:
    # On a terminal, a message overwrites the progress line.
    line = "\r\x1b[K%(message)s" if sys.stderr.isatty() else "%(message)s"
    logging.basicConfig(format=line, level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("spladelake").setLevel(logging.DEBUG if debug else logging.INFO)
    if not sys.stderr.isatty():
        # Libraries draw their own progress bars, which are noise in a scheduler's log.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
