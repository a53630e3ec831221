"""The samples for schedulers name jobs that are there, with options that the command line takes."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.command_lines import parsed, words

REPOSITORY = Path(__file__).resolve().parents[3]
DAG = REPOSITORY / "conf" / "airflow" / "spladelake_daily.py"
DATABRICKS = REPOSITORY / "conf" / "databricks"
BUNDLE: dict[str, Any] = yaml.safe_load((DATABRICKS / "databricks.yml").read_text(encoding="utf-8"))
(JOB,) = BUNDLE["resources"]["jobs"].values()
TASKS = {task["task_key"]: task for task in JOB["tasks"]}


def constants(file: Path) -> dict[str, Any]:
    """Module-level names of a file that are bound to literals."""
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


FOUND = constants(DAG)


@pytest.mark.parametrize("job", FOUND["STEPS"])
def test_every_task_of_the_dag_is_a_job_with_options_it_takes(job: str) -> None:
    line = f"{FOUND['COMMON']} {FOUND['STEPS'][job]}"
    values = {f"params.{name}": value for name, value in FOUND["PARAMETERS"].items()} | {"ds": "2026-11-24"}
    for name, value in values.items():
        line = line.replace(f"{{{{ {name} }}}}", value)
    assert "{{" not in line
    assert (REPOSITORY / "jobs" / f"{job}.py").is_file()
    assert parsed([job, *words(line)]) == [job]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_of_the_bundle_is_a_job_file_with_parameters_it_takes(name: str) -> None:
    task = TASKS[name]["spark_python_task"]
    file = (DATABRICKS / task["python_file"]).resolve()
    assert file.is_file()
    assert file.parent == REPOSITORY / "jobs"
    variables = {f"${{var.{key}}}": value.get("default") for key, value in BUNDLE["variables"].items()}
    variables["{{job.parameters.run_date}}"] = "2026-11-24"
    given = [variables.get(parameter, parameter) for parameter in task["parameters"]]
    assert None not in given
    assert parsed([file.stem, *given]) == [file.stem]


def test_the_tasks_of_the_bundle_are_those_of_the_dag_in_the_same_order() -> None:
    assert list(TASKS) == list(FOUND["STEPS"])
    for before, task in zip([None, *TASKS], TASKS.values(), strict=False):
        assert [wanted["task_key"] for wanted in task.get("depends_on", [])] == ([before] if before else [])
        assert task["job_cluster_key"] == JOB["job_clusters"][0]["job_cluster_key"]


def test_every_variable_of_the_bundle_is_declared_and_every_synced_path_is_there() -> None:
    text = (DATABRICKS / "databricks.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) == set(BUNDLE["variables"])
    for path in BUNDLE["sync"]["paths"]:
        assert (DATABRICKS / path).exists()
    (script,) = JOB["job_clusters"][0]["new_cluster"]["init_scripts"]
    path = script["workspace"]["destination"].removeprefix("${workspace.file_path}/")
    assert (REPOSITORY / path).is_file()


def test_the_init_script_installs_every_requirement_that_the_platform_does_not_bring() -> None:
    script = DATABRICKS / "install.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["bm25"]]
    wanted = {re.split(r"[=<>,]", name)[0].lower() for name in requirements}
    (installed,) = re.findall(r"pip install ((?!--no-deps).*)", script.read_text(encoding="utf-8"))
    platform = {"numpy", "pyarrow"}
    assert set(installed.lower().split()) == wanted - platform
