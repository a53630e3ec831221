"""Options that commands share, and options made from the fields of an option model."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal

import click
from pydantic.fields import FieldInfo

from spladelake.config.base import JobOptions

query_model_option = click.option(
    "--query-model",
    default=None,
    metavar="TEXT",
    help="Model that encodes the text of queries (default: the one that the vectors were made with, else --model).",
)


def session_options(function: Any) -> Any:
    """Add the options that every command with a Spark session has."""
    for option in (
        click.option("--debug", is_flag=True, help="Show stack traces and Spark's own messages."),
        click.option("--properties-file", type=click.Path(), help="File of Spark settings, as for spark-submit."),
        click.option("--conf", "spark_conf", multiple=True, metavar="KEY=VALUE", help="One Spark setting; repeatable."),
    ):
        function = option(function)
    return function


def field_option(name: str, field: FieldInfo, synonyms: Sequence[str] = ()) -> Callable[[Any], Any]:
    """Return the command line option of one field of an option model.

    - synonyms: other names of the option.
    """
    flags = [f"--{spelled.replace('_', '-')}" for spelled in (name, *synonyms)]
    kinds = [k for k in (typing.get_args(field.annotation) or (field.annotation,)) if k is not types.NoneType]
    help_text = field.description or ""
    if field.annotation is bool:
        return click.option(*flags, name, is_flag=True, default=None, help=help_text)
    default = field.get_default(call_default_factory=True) if not field.is_required() else None
    if default not in (None, (), {}):
        help_text += f"  [default: {', '.join(default) if isinstance(default, tuple) else default}]"
    if typing.get_origin(field.annotation) is Literal:
        choice = click.Choice([str(value) for value in typing.get_args(field.annotation)])
        return click.option(*flags, name, type=choice, help=help_text, show_choices=True)
    metavar = "NUMBER" if kinds[0] in (int, float) else "TEXT"
    return click.option(*flags, name, metavar=metavar, required=field.is_required(), help=help_text)


lake_option = field_option("lake", JobOptions.model_fields["lake"])


def styled(text: str, **style: Any) -> str:
    """Return the text in colour, unless NO_COLOR is set; `click.echo` drops colours if the output is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)
