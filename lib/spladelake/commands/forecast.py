"""`spladelake forecast`: time, memory and bytes of the steps at a size that was never run."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from typing import Any

import click

from spladelake.commands.options import field_option
from spladelake.config import checked
from spladelake.config.forecast import Forecast

EXAMPLES = """\b
  spladelake forecast --docs 8841823
  spladelake forecast --docs 50000000 --queries 100000 --k 100 --model rasyosef/splade-mini --executors 16 --cores 4
  spladelake forecast --docs 50000000 --model my-distilbert --docs-per-second 400 --executors 8 --cores 1"""


def _options(function: Any) -> Any:
    for name, field in reversed(Forecast.model_fields.items()):
        function = field_option(name, field)(function)
    return function


@click.command("forecast", help=f"{inspect.cleandoc(Forecast.__doc__ or '')}\n\nExamples:\n\n{EXAMPLES}")
@_options
@click.option("--debug", is_flag=True, help="Show stack traces.")
def forecast(debug: bool, **given: Any) -> None:
    """Print the forecast as a table on stderr and as one line of JSON on stdout."""
    from spladelake.forecast import estimates, extrapolations, load_slopes

    asked = checked(Forecast, {key: value for key, value in given.items() if value is not None}, place="forecast")
    slopes = load_slopes()
    made, beyond = estimates(slopes, asked), list(extrapolations(slopes, asked))
    _show(asked, made, beyond)
    steps = {estimate.step: _rounded(asdict(estimate)) for estimate in made}
    facts = {"job": "forecast", "exit_code": 0, **asked.model_dump(), "slots": asked.slots}
    click.echo(json.dumps({**facts, "steps": steps, "extrapolated": beyond}))


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    del values["step"]
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}


def _show(asked: Forecast, made: list[Any], beyond: list[str]) -> None:
    from rich.table import Table

    from spladelake.display.numbers import bytes_text, duration_text
    from spladelake.display.results import console

    slots = f"{asked.slots} parallel tasks"
    title = f"{asked.docs:,} documents, {asked.queries:,} queries, k = {asked.k:,}, {asked.model}, {slots}"
    table = Table("step", "time", "error", "memory per task", "shuffle", "storage", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for e in made:
        memory = "not measured" if e.memory_mb is None else bytes_text(e.memory_mb * 1e6)
        error = "unknown" if e.error is None else f"{e.error:+.0%}"
        shuffle, storage = bytes_text(e.shuffle_bytes), bytes_text(e.storage_bytes)
        table.add_row(e.step, duration_text(e.seconds), error, memory, shuffle, storage)
    console().print(table)
    console().print("error: forecast time / measured time - 1, for a measured size that the forecast did not use.")
    console().print(
        "memory per task: the worker process; for retrieve_run, also an equal share of the JVM and the driver."
    )
    for sentence in beyond:
        console().print(f"- {sentence}", markup=False)
