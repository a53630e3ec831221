"""`spladelake init`: inspect a user's files and write a pipeline file for them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from spladelake.commands.options import field_option
from spladelake.commands.system_errors import cannot_write
from spladelake.config import DEFAULT_MODEL, IngestTexts, load_pipeline
from spladelake.errors import UsageError
from spladelake.names import short_name

# Options of ingest_texts that replace a guess of this command.
_INGEST = (
    "documents", "documents_format", "document_id", "document_title", "document_text",
    "queries", "queries_format", "query_id", "query_text", "judgements", "judgements_format",
)  # fmt: skip


def _ingest_options(function: Callable[..., None]) -> Callable[..., None]:
    for name in reversed(_INGEST):
        function = field_option(name, IngestTexts.model_fields[name], IngestTexts.other_names(name))(function)
    return function


@click.command("init")
@click.argument("corpus")
@_ingest_options
@click.option("--lake", default=None, metavar="TEXT", help="Folder of the lake (default: CORPUS-lake).")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, metavar="TEXT", help="Model of the vectors.")
@click.option("--output", default=None, metavar="FILE", help="Pipeline file to write (default: CORPUS.yaml).")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--debug", is_flag=True, help="Show stack traces.")
def init(
    corpus: str, lake: str | None, model: str, output: str | None, force: bool, debug: bool, **given: str | None
) -> None:
    """Inspect your files and write a commented pipeline file for them.

    CORPUS is a folder or a file. The command finds documents, queries and judgements, their columns, the number of
    records and the length of the texts. If it chooses a wrong file or column, name the right one with an option. If
    options name all files, CORPUS is only the name of the pipeline file.

    \b
    Examples:
      spladelake init my-corpus
      spladelake init papers.parquet --document-text abstract --model splade-tiny
      spladelake init mine --documents texts.jsonl --queries questions.csv
    """
    from spladelake.survey.pipeline_file import described, faults, pipeline_text, unused
    from spladelake.survey.plan import plan

    options = {name: value for name, value in given.items() if value is not None}
    path = Path(corpus)
    name = short_name(path.resolve().name if path.is_dir() else path.name.split(".")[0])
    target = Path(output or f"{name}.yaml")
    if target.exists() and not force:
        raise UsageError(
            str(target),
            "the file exists",
            "wanted a new file",
            "Choose another --output, or add --force to overwrite the file.",
        )
    made = plan(corpus, options)
    formats = {k.removesuffix("_format"): v for k, v in options.items() if k.endswith("_format") and v != "auto"}
    text = pipeline_text(made, name=name, lake=lake or f"{name}-lake", model=model, formats=formats)
    _write(target, text)
    for finding in made.findings.values():
        click.echo("\n".join(described(finding)), err=True)
    for line in unused(made):
        click.echo(line, err=True)
    command = f"spladelake pipeline run {shlex.quote(str(target))}"
    click.echo(f"\nWrote {target}. Check the file, then run:\n\n  {command}\n", err=True)
    click.echo(
        json.dumps({"job": "init", "exit_code": 0, "file": str(target), "next": command, **_facts(made, faults)})
    )


def _write(target: Path, text: str) -> None:
    """Write the file, and check that `pipeline run` can load it; a file that it cannot load is removed."""
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise cannot_write(str(target), error, option="--output") from None
    try:
        load_pipeline(str(target)).options(place=str(target))
    except UsageError:
        target.unlink()
        raise


def _facts(made: Any, faults: Callable[[Any], list[str]]) -> dict[str, Any]:
    """Return the findings of each input, for the line of JSON."""
    facts = {}
    for kind, found in made.findings.items():
        facts[kind] = {
            "location": found.location,
            "format": found.sample.source.format,
            "rows": found.rows,
            "rows_counted": found.sample.is_exact,
            "columns": found.columns,
            "characters": asdict(found.lengths) if found.lengths else None,
            "empty": found.empty,
            "faults": faults(found),
        }
    return {**facts, "unused": made.unused}
