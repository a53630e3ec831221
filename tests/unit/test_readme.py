"""The README says what is so: its commands, tables and tree are those of the repository."""

from __future__ import annotations

import ast
import re

import pytest

from support.command_lines import parsed, words
from support.readme import README, REPOSITORY, blocks, shell_lines, spladelake_lines

# Lines that are no command of spladelake: the test that runs each of them, or what it would need to be run.
OTHER_LINES = {
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[demo]' && .venv/bin/spladelake demo": (
        "tests/jobs/test_demo.py::test_the_demo"
    ),
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[demo,test]' "
    "&& .venv/bin/python -m pytest -n 2 --dist loadfile": (
        "tests/unit/test_readme.py::test_ci_runs_the_test_command_of_the_readme"
    ),
    ".venv/bin/python -m pytest -m faults": "not run: it is these tests themselves, and takes half an hour",
    'eval "$(_SPLADELAKE_COMPLETE=bash_source spladelake)"': (
        "tests/jobs/test_cli.py::test_the_completion_script_for_bash_is_one_that_bash_takes"
    ),
    'spark-submit --properties-file conf/cluster.conf --py-files spladelake.zip --jars "$(spladelake jars)" '
    "jobs/encode_texts.py --lake s3a://bucket/lake --model /models/splade-mini": (
        "tests/jobs/test_spark_submit.py::test_every_job_runs_on_a_cluster_whose_nodes_have_nothing_but_the_zip"
    ),
    "python3 -m venv env && env/bin/pip install . venv-pack && env/bin/venv-pack -p env -o env.tar.gz": (
        "not run: it downloads and packs some GB"
    ),
    "spark-submit --archives env.tar.gz#environment --conf spark.pyspark.python=./environment/bin/python --conf "
    "spark.pyspark.driver.python=env/bin/python …": "not run: it needs the archive of the line before",
}


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = [line for line in shell_lines() if line.endswith("-m pytest -n 2 --dist loadfile")]
    assert command in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", spladelake_lines())
def test_every_spladelake_line_is_one_that_the_command_line_takes(line: str) -> None:
    """tests/spark/test_readme.py runs them."""
    assert parsed(words(line)[1:])


def test_every_other_line_of_shell_is_run_by_a_test_or_has_a_reason_why_not() -> None:
    assert [line for line in shell_lines() if not line.startswith("spladelake ")] == list(OTHER_LINES)
    for said in OTHER_LINES.values():
        if not said.startswith("not run: "):
            file, name = said.split("::")
            assert f"def {name}" in (REPOSITORY / file).read_text(encoding="utf-8")


def test_every_block_of_sql_is_in_a_section_that_a_test_runs() -> None:
    """tests/spark/test_sql.py asks the questions of the one, tests/spark/test_other_readers.py those of the other."""
    inside = [README.split(heading)[1].split("\n## ")[0] for heading in ("## In SQL", "### From other engines")]
    assert sum(section.count("```sql\n") for section in inside) == len(blocks("sql"))


def test_every_job_under_spark_submit_takes_its_options() -> None:
    (line,) = [line for line in OTHER_LINES if "jobs/" in line]
    assert parsed(words(line.split("jobs/")[1].replace(".py ", " "))) == ["encode_texts"]


def test_files_named_in_commands_are_there() -> None:
    for path in re.findall(r"\b((?:conf|jobs)/[\w.-]+)", "\n".join(shell_lines())):
        assert (REPOSITORY / path).exists(), path


def test_the_tables_are_listed_with_their_columns() -> None:
    from spladelake.spark.tables.every_schema import SCHEMAS

    # Two tables are only there while an encode is under way.
    inner = {"staged", "changed"}
    for table in SCHEMAS.values():
        if table.name in inner:
            continue
        assert ", ".join(f"{column.name} {column.type}" for column in table.columns) in README, table.name


# Variables that programs set for each other: spark-submit for the driver, torchrun for the processes of a training.
OF_PROGRAMS = {"PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS", "LOCAL_WORLD_SIZE"}
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


def variables_read() -> tuple[set[str], set[str]]:
    """The names of variables that the package reads, and the modules that read variables of any name."""
    names, any_name = set(), set()
    package = REPOSITORY / "lib" / "spladelake"
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_bytes())
        assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
        constants = {ast.unparse(node.targets[0]): node.value for node in assigned}
        for name in filter(None, map(variable_of, ast.walk(tree))):
            value = constants.get(ast.unparse(name), name)
            if isinstance(value, ast.Constant):
                names.add(str(value.value))
            else:
                any_name.add(path.relative_to(package).as_posix())
    return names, any_name


def test_the_table_of_environment_variables_names_those_that_the_code_reads() -> None:
    (section,) = [part.split("\n### ")[0] for part in README.split("### Environment variables\n")[1:]]
    listed = {name for row in section.split("\n") for name in re.findall(r"`([A-Z_]+)`", row.split(" | ")[0])}
    names, any_name = variables_read()
    assert (names - OF_PROGRAMS, any_name) == (listed, ANY_NAME)
    assert names >= OF_PROGRAMS


def test_the_tree_names_what_is_there() -> None:
    (tree,) = [part for part in README.split("```") if part.startswith("\njobs/")]
    for line in tree.splitlines():
        for name in re.match(r"\s*((?:[\w./-]+ )*)", line + " ").group(1).split():  # type: ignore[union-attr]
            if name.endswith(("/", ".py")):
                inside = [p for p in REPOSITORY.glob(f"**/{name.rstrip('/')}") if ".venv" not in p.parts]
                assert inside, name


def test_nothing_in_the_readme_waits_to_be_filled_in() -> None:
    assert not re.findall(r"@[A-Z]{3,}@|TODO|TBD", README)
