"""The README says what is so: its commands, tables and tree are those of the repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from spladelake.cli import cli

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = [line for block in blocks("sh") for line in block.splitlines() if line.endswith("-m pytest")]
    assert command in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_python_example_runs_and_finds_the_better_document() -> None:
    (code,) = blocks("python")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    scores = [float(number) for number in re.findall(r"\d+\.\d*", out.split("]]")[0])]
    assert scores[1] > scores[0] > 0
    assert "'bread'" in out


def test_every_command_and_option_of_the_readme_exists() -> None:
    shell = "\n".join(blocks("sh")).replace("\\\n", " ")
    found = re.findall(r"(?:spladelake |jobs/)(\w+)(?:\.py)? ?([^\n]*)", shell)
    assert {"ingest_texts", "encode_texts", "retrieve_run", "evaluate_run", "demo", "jars"} <= {
        name for name, _ in found
    }
    for name, rest in found:
        if name in ("zip", "jars"):  # the archive's name; and a command inside another one's line
            continue
        command = cli.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        if isinstance(command, click.Group):
            continue
        assert set(re.findall(r"--[\w-]+", rest.split("#")[0])) <= known, name


@pytest.mark.parametrize("language", ["sh"])
def test_files_named_in_commands_are_there(language: str) -> None:
    for path in re.findall(r"\b((?:conf|jobs)/[\w.-]+)", "\n".join(blocks(language))):
        assert (REPOSITORY / path).exists(), path


def test_the_tables_are_listed_with_their_columns() -> None:
    from spladelake.spark import schemas

    # Two tables are only there while an encode is under way.
    inner = {schemas.STAGED.name, schemas.CHANGED.name}
    tables = [value for value in vars(schemas).values() if isinstance(value, schemas.TableSchema)]
    for table in tables:
        if table.name in inner:
            continue
        assert ", ".join(f"{column.name} {column.type}" for column in table.columns) in README, table.name


def test_the_tree_names_what_is_there() -> None:
    (tree,) = [part for part in README.split("```") if part.startswith("\njobs/")]
    for line in tree.splitlines():
        for name in re.match(r"\s*((?:[\w./-]+ )*)", line + " ").group(1).split():  # type: ignore[union-attr]
            if name.endswith(("/", ".py")):
                inside = [p for p in REPOSITORY.glob(f"**/{name.rstrip('/')}") if ".venv" not in p.parts]
                assert inside, name


def test_nothing_in_the_readme_waits_to_be_filled_in() -> None:
    assert not re.findall(r"@[A-Z]{3,}@|TODO|TBD", README)
