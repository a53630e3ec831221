"""The README and the pages say what is so: their commands, tables, links and trees are those of the repository."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from spladelake.cli import cli
from spladelake.commands.docs import pages, without_comments
from spladelake.config import load_pipeline
from support.command_lines import parsed, words
from support.made_pages import environment, make, records
from support.pages import MARKS, PAGES, README, REPOSITORY, RUN, SHOWN, Block, blocks, every_block

BLOCKS = [block for page in PAGES for block in blocks(page)]
LINES = sorted({line for block in every_block("sh") for line in block.lines})


def test_the_readme_fits_into_200_lines() -> None:
    assert len(README.splitlines()) <= 200


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = [line for line in LINES if line.endswith("-m pytest -n 2 --dist loadfile")]
    assert command in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def commands(lines: list[str]) -> list[str]:
    """The arguments of spladelake in lines of shell: of the command itself, and of jobs under spark-submit."""
    found = [line.removeprefix("spladelake ") for line in lines if line.startswith("spladelake ")]
    return found + [
        line.split(" jobs/")[1].replace(".py ", " ")
        for line in lines
        if line.startswith("spark-submit ") and " jobs/" in line
    ]


def test_every_command_is_one_that_the_command_line_takes() -> None:
    for line in commands(LINES):
        assert parsed(words(line)), line


def test_every_command_in_a_sentence_is_there_with_its_options() -> None:
    prose = "\n".join(text for page, text in PAGES.items() if page != "changelog")
    for found in sorted(set(re.findall(r"`spladelake ([a-z_]+[^`]*)`", prose))):
        name, *rest = words(found)
        assert name in cli.commands, found
        options = {spelled for param in cli.commands[name].params for spelled in param.opts}
        assert {word for word in rest if word.startswith("--")} <= options, found


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_run_by_the_walk_or_by_another_test_or_says_why_not(block: Block) -> None:
    assert block.language in (*RUN, *SHOWN)
    assert {kind for kind, _ in block.marks} <= set(MARKS)
    assert all(text.strip() for _, text in block.marks)
    for said in block.marked("run by"):
        file, name = said.split("::")
        assert f"def {name}(" in (REPOSITORY / file).read_text(encoding="utf-8")
    if block.walked and block.language == "sh":
        assert [line for line in block.lines if not line.startswith("spladelake ")] == []
    for line in block.marked("before"):
        assert parsed(words(line)[1:])


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"], ids=str)
def test_a_pipeline_file_on_a_page_is_valid(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(block.code, encoding="utf-8")
    assert load_pipeline(str(file)).options(place=str(block))


@pytest.mark.parametrize("topic", make.MAKERS)
def test_a_page_that_is_made_from_the_code_is_current(topic: str) -> None:
    file = make.FOLDER / f"{topic}.md"
    assert file.read_text(encoding="utf-8") == make.text(topic), f"{file.name} is stale: run {make.COMMAND}"


def test_the_figures_of_the_readme_are_those_of_the_records() -> None:
    assert make.readme() == README, f"README.md is stale: run {make.COMMAND}"


def test_every_kept_record_is_on_the_page_of_figures() -> None:
    named = set(re.findall(r"tests/bench/results/([\w-]+)\.json", PAGES["figures"]))
    assert named == set(records.names())


@pytest.mark.parametrize("topic", pages())
def test_a_page_begins_with_its_title_and_one_sentence_about_it(topic: str) -> None:
    page = pages()[topic]
    assert re.match(r"# [A-Z].+\n\n[A-Z`]", page.text)
    assert page.summary.endswith(".")
    assert len(page.summary) <= 80


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_are_there(page: str) -> None:
    folder = REPOSITORY if page == "README" else make.FOLDER
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGES[page]):
        assert target.startswith("https://") or (folder / target).is_file(), target


def test_files_named_on_pages_are_there() -> None:
    text = "\n".join(PAGES.values())
    for path in set(re.findall(r"\b((?:conf|jobs|tests|\.ci)/[\w./-]+\w)", text)):
        assert (REPOSITORY / path).exists(), path
    for path in set(re.findall(r"`((?:config|spark|encoder|lib)/[\w./-]+\.(?:py|ipynb))`", text)):
        assert (REPOSITORY / path).exists() or (REPOSITORY / "lib" / "spladelake" / path).exists(), path


# Variables that programs set for each other: spark-submit for the driver, torchrun for the processes of a training, a
# platform for all programs on it.
OF_PROGRAMS = {"PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS", "LOCAL_WORLD_SIZE", "DATABRICKS_RUNTIME_VERSION"}
# Code that reads variables whose names it gets: those that a pipeline file uses, those that it restores or hides, and
# the function whose calls are followed instead.
ANY_NAME = {"config/pipeline.py", "machine.py", "spark/train/job.py", "training/run.py"}
READERS = {"os.environ.get", "os.environ.setdefault", "os.environ.pop", "os.getenv", "user_folder"}


def variable_of(node: ast.AST) -> ast.expr | None:
    """The name in an expression that reads a variable of the environment."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in READERS:
        return node.args[0]
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ" and isinstance(node.ctx, ast.Load):
        return node.slice
    if isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) == "os.environ":
        return node.left
    return None


def assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement of a module assigns, with their values: of `A = x`, and of `A, B = x, y`."""
    if isinstance(node, ast.Assign):
        target, value = node.targets[0], node.value
        both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        pairs = zip(target.elts, value.elts, strict=True) if both else [(target, value)]  # type: ignore[attr-defined]
        yield from ((ast.unparse(name), one) for name, one in pairs)


@cache
def variables_read() -> tuple[set[str], set[str]]:
    """The names of variables that the package reads, and the modules that read variables of any name."""
    names, any_name = set(), set()
    package = REPOSITORY / "lib" / "spladelake"
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_bytes())
        constants = dict(chain.from_iterable(map(assigned, tree.body)))
        for name in filter(None, map(variable_of, ast.walk(tree))):
            value = constants.get(ast.unparse(name), name)
            if isinstance(value, ast.Constant):
                names.add(str(value.value))
            else:
                any_name.add(path.relative_to(package).as_posix())
    return names, any_name


def test_the_page_of_environment_variables_names_those_that_the_code_reads() -> None:
    names, any_name = variables_read()
    assert (names - OF_PROGRAMS, any_name) == (environment.listed(), ANY_NAME)
    assert names >= OF_PROGRAMS


def test_the_tree_of_the_readme_names_what_is_there() -> None:
    (tree,) = [block.code for block in blocks("README") if block.code.startswith("jobs/")]
    names = re.findall(r"(?:^|\s)([\w.]+(?:/|\.py))(?=\s|$)", tree)
    assert len(names) > 30
    for name in names:
        assert [p for p in REPOSITORY.glob(f"**/{name.rstrip('/')}") if ".venv" not in p.parts], name


def test_nothing_waits_to_be_filled_in() -> None:
    for page, text in PAGES.items():
        assert not re.findall(r"@[A-Z]{3,}@|TODO|TBD", text), page


def test_comments_for_the_tests_are_not_shown() -> None:
    assert "<!--" not in "".join(without_comments(text) for text in PAGES.values())
