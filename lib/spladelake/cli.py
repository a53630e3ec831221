"""The command `spladelake`, and the entry of every file in jobs/. Nothing heavy is imported until a job runs."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from spladelake import __version__
from spladelake.commands.forecast import forecast
from spladelake.commands.init import init
from spladelake.commands.options import field_option, session_options, styled
from spladelake.commands.package import package
from spladelake.commands.prepare import prepare
from spladelake.commands.quarantine import quarantine
from spladelake.commands.report import report_command
from spladelake.commands.search import search
from spladelake.commands.sql import sql
from spladelake.config import STEPS, Job, Options, checked, load_pipeline
from spladelake.errors import SpladelakeError, UsageError
from spladelake.examples import EXAMPLES
from spladelake.streams import stderr_apart

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="spladelake")
def cli() -> None:
    """Learned sparse retrieval on Spark and Delta Lake: encode, retrieve, evaluate.

    Exit codes: 0 done or already current, 1 unexpected failure, 2 wrong option or setting, 3 unusable data,
    4 conflict with another writer, 5 something missing on this machine.
    """


def _job_command(name: str, model: type[Options]) -> click.Command:
    @session_options
    def command(debug: bool, properties_file: str | None, spark_conf: tuple[str, ...], **given: Any) -> None:
        values = {key: value for key, value in given.items() if value is not None}
        options = checked(model, values, place=f"spladelake {name}")
        settings = spark_settings(properties_file, spark_conf)
        report(name, run_step(name, options, settings, alone=True))

    function: Any = command
    # What is common to all jobs comes last, the lake apart.
    common = Job.model_fields.keys() - {"lake"}
    shown = sorted(model.model_fields.items(), key=lambda item: (item[0] in common, item[0] != "lake"))
    for field_name, field in reversed(shown):
        function = field_option(field_name, field)(function)
    text = f"{model.__doc__}\n\nExamples:\n\n{EXAMPLES[name]}"
    return click.command(name, help=text)(function)


for _name, _model in STEPS.items():
    cli.add_command(_job_command(_name, _model))


def spark_settings(properties_file: str | None, pairs: Sequence[str]) -> dict[str, str]:
    """Spark settings from a spark-defaults style file and KEY=VALUE pairs; the pairs win."""
    settings: dict[str, str] = {}
    if properties_file is not None:
        path = Path(properties_file)
        if not path.is_file():
            raise UsageError(
                properties_file, "there is no such file", "--properties-file names it", "Correct the path."
            )
        for line in path.read_text(encoding="utf-8").splitlines():
            # As java.util.Properties reads it: key and value apart by =, : or white space.
            words = re.split(r"\s*[=:\s]\s*", line.strip(), maxsplit=1)
            if words[0] and not words[0].startswith(("#", "!")):
                settings[words[0]] = words[1].strip() if len(words) > 1 else ""
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.startswith("spark."):
            raise UsageError(f"--conf {pair}", "it is not spark.KEY=VALUE", "wanted one Spark setting", "Correct it.")
        settings[key] = value
    return settings


def run_step(name: str, options: Options, settings: dict[str, str], *, alone: bool = False) -> dict[str, Any]:
    """Run one job in the current or a new Spark session and return its result. alone: no other job comes after it."""
    from spladelake.spark.session.progress import stage_line
    from spladelake.spark.session.quick_settings import LAKE_JOBS, is_small_lake
    from spladelake.spark.session.start import spark_session
    from spladelake.spark.session.step_descriptions import step_description
    from spladelake.spark.tables.run_log import recorded, run_id_of

    quick = alone and name in LAKE_JOBS and is_small_lake(str(getattr(options, "lake", "schema:")))
    # The modules of all jobs take a second or two to import, in which Java can start.
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(_job, name)
        session = spark_session(f"spladelake {name}", settings=settings, quick=quick)
    with step_description(session, name), stage_line(session, name):
        result = recorded(session, name, options, job.result())
    run_date = getattr(options, "run_date", None)
    called = {"run_id": run_id_of(name, options, result), "run_date": run_date and str(run_date)}
    return {**{key: value for key, value in called.items() if value}, **result}


def _job(name: str) -> Callable[..., dict[str, Any]]:
    from spladelake.spark.jobs import JOBS

    return JOBS[name]


def report(name: str, result: dict[str, Any]) -> None:
    """The result for people on stderr, and as one line of JSON on stdout for the program that called."""
    from spladelake.display import show_result

    show_result(name, result)
    click.echo(json.dumps({"job": name, "exit_code": 0, **result}))


@cli.group()
def pipeline() -> None:
    """Run the steps of a pipeline file."""


@pipeline.command("run")
@click.argument("file")
@click.option("--lake", help="Where the tables go, instead of what the file says.")
@click.option("--run-id", help="Name of this run, for every step.")
@click.option("--run-date", help="Day that the run is for, YYYY-MM-DD, for every step.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="steps.retrieve_run.k=1000; repeatable.")
@session_options
def pipeline_run(
    file: str,
    lake: str | None,
    run_id: str | None,
    run_date: str | None,
    overrides: tuple[str, ...],
    debug: bool,
    properties_file: str | None,
    spark_conf: tuple[str, ...],
) -> None:
    """Run every step of FILE (yaml or toml) in its order, in one Spark session, and print a summary.

    \b
    Example:
      spladelake pipeline run conf/beir.yaml --lake my-lake --set model=splade-tiny --run-date 2026-11-24
    """
    given = {}
    for pair in overrides:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair}", "it has no =", "wanted KEY=VALUE", "Correct it.")
        given[key] = value
    given |= {name: v for name, v in (("lake", lake), ("run_id", run_id), ("run_date", run_date)) if v is not None}
    loaded = load_pipeline(file, overrides=given)
    steps = loaded.options(place=file)
    settings = {**loaded.spark, **spark_settings(properties_file, spark_conf)}
    from spladelake.display import show_summary

    results = {}
    for label, (name, options) in zip(loaded.labels, steps, strict=True):
        results[label] = run_step(name, options, settings)
        click.echo(f"{label}: {results[label]['status']}", err=True)
    show_summary(results)
    click.echo(json.dumps({"job": "pipeline", "file": file, "exit_code": 0, "steps": results}))


for _command in (forecast, init, package, prepare, quarantine, report_command):
    cli.add_command(_command)


@cli.command()
@click.option("--model", default=None, help="Model to look for instead of the demo's, e.g. rasyosef/splade-mini.")
@click.option("--lake", default=".", show_default=True, help="Folder that tables shall be written to.")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def doctor(model: str | None, lake: str, debug: bool) -> None:
    """Check this machine: Java, Delta jars, interpreters, model, write access, memory. Ends with 5 if one fails."""
    from spladelake.doctor import examine

    if not examine(model=model, lake=lake):
        raise SystemExit(5)


@cli.command()
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


for _command in (search, sql):
    cli.add_command(session_options(_command))


@cli.command()
def jars() -> None:
    """Print the paths of the two Delta jars, comma separated, fetching them on first use: for spark-submit --jars."""
    from spladelake.spark.session.jars import delta_jars

    click.echo(",".join(str(jar) for jar in delta_jars()))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; a user's mistake is one message, never a stack trace."""
    with stderr_apart():
        code = _main([_dashed(word) for word in (sys.argv[1:] if argv is None else argv)])
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


def _main(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    _configure_logging(debug=debug)
    try:
        return int(cli.main(arguments, prog_name="spladelake", standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except click.ClickException as error:
        error.show()
        _say_failed(arguments, error.exit_code, error.format_message())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; tables hold either their old rows or their new ones", err=True)
        return 130
    except Exception as error:
        return _fail(error, arguments, debug=debug)


def _fail(error: Exception, arguments: list[str], *, debug: bool) -> int:
    known = error if isinstance(error, SpladelakeError) else _explained(error)
    code = known.exit_code if known else 1
    if debug:
        traceback.print_exception(error)
    if known is None:
        message = f"unexpected {type(error).__name__}: {_cause(error)} (run again with --debug for the stack trace)"
    else:
        message = str(known)
    click.echo(styled("error: ", fg="red", bold=True) + message, err=True)
    _say_failed(arguments, code, message)
    return code


def _say_failed(arguments: list[str], code: int, message: str) -> None:
    """The line on stdout that a scheduler reads."""
    click.echo(json.dumps({"job": next(iter(arguments), ""), "exit_code": code, "error": message}))


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


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
