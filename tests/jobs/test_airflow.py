"""The DAG of conf/ as Airflow itself reads and runs it.

Airflow has requirements of its own, so it is looked for in the interpreter that SPLADELAKE_AIRFLOW names, else in this
one: python3 -m venv airflow && airflow/bin/pip install apache-airflow; SPLADELAKE_AIRFLOW=airflow/bin/python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.collections import write_fruit
from support.processes import REPOSITORY, SUBMIT_ENVIRONMENT, environment
from support.tables import table_rows

PYTHON = os.environ.get("SPLADELAKE_AIRFLOW", sys.executable)
DAGS = str(REPOSITORY / "conf" / "airflow")
JOBS = ["ingest_texts", "encode_texts", "index_vectors", "retrieve_run", "evaluate_run", "verify_tables"]

LOAD = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
found = bag.dags["spladelake_daily"]
tasks = [(task.task_id, sorted(task.downstream_task_ids), task.bash_command) for task in found.tasks]
print("FOUND " + json.dumps({"errors": {str(k): v for k, v in bag.import_errors.items()}, "tasks": tasks}))
"""

RUN = """
import json, sys
from datetime import datetime, timezone
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(sys.argv[1]).dags["spladelake_daily"]
run = dag.test(logical_date=datetime(2026, 11, 24, tzinfo=timezone.utc), run_conf=json.loads(sys.argv[2]))
states = {task.task_id: [str(task.state), task.xcom_pull(task_ids=task.task_id)] for task in run.get_task_instances()}
print("FOUND " + json.dumps({"state": str(run.state), "tasks": states}))
"""


@pytest.fixture
def airflow(tmp_path: Path) -> dict[str, str]:
    """Environment of an Airflow with a new home; skips where there is no Airflow."""
    env = environment(
        AIRFLOW_HOME=str(tmp_path / "airflow"), AIRFLOW__CORE__LOAD_EXAMPLES="False", AIRFLOW__CORE__DAGS_FOLDER=DAGS
    )
    env.pop("PYTHONPATH", None)
    looked = subprocess.run([PYTHON, "-c", "import airflow"], env=env, capture_output=True, check=False)
    if looked.returncode:
        pytest.skip(f"{PYTHON} has no Airflow; see this file's first lines")
    for command in (("db", "migrate"), ("dags", "reserialize")):
        subprocess.run([PYTHON, "-m", "airflow", *command], env=env, capture_output=True, check=True)
    return env


def found(code: str, *arguments: str, env: dict[str, str]) -> dict[str, object]:
    command = [PYTHON, "-c", code, DAGS, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=580)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert done.returncode == 0, done.stderr[-5000:]
    assert lines, done.stdout[-5000:]
    result: dict[str, object] = json.loads(lines[0].removeprefix("FOUND "))
    return result


@pytest.mark.slow
def test_airflow_loads_the_dag_as_one_chain_of_the_jobs(airflow: dict[str, str]) -> None:
    bag = found(LOAD, env=airflow)
    assert bag["errors"] == {}
    tasks = bag["tasks"]
    assert isinstance(tasks, list)
    assert [(name, after) for name, after, _ in tasks] == [
        (job, JOBS[number + 1 : number + 2]) for number, job in enumerate(JOBS)
    ]
    for name, _, command in tasks:
        assert f"/{name}.py --lake" in command
        assert "--run-date {{ ds }}" in command


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_airflow_runs_the_dag_and_gets_the_line_of_every_job(airflow: dict[str, str], tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    parameters = {
        "submit": "spark-submit --driver-memory 1g --conf spark.ui.enabled=false",
        "jobs": str(REPOSITORY / "jobs"),
        "lake": str(lake),
        "source": str(write_fruit(tmp_path / "fruit")),
        "model": "splade-tiny",
    }
    ran = found(
        RUN, json.dumps(parameters), env={**airflow, **SUBMIT_ENVIRONMENT, "PYTHONPATH": str(REPOSITORY / "lib")}
    )
    assert ran["state"] == "success"
    tasks = ran["tasks"]
    assert isinstance(tasks, dict)
    # Some releases of Airflow read the JSON of an XCom, others hand over the text.
    lines = {job: json.loads(line) if isinstance(line, str) else line for job, (_, line) in tasks.items()}
    assert {(job, line["job"], line["exit_code"]) for job, line in lines.items()} == {(job, job, 0) for job in JOBS}
    assert {line["run_date"] for line in lines.values()} == {"2026-11-24"}
    assert lines["evaluate_run"]["run_id"] == "splade-tiny-2026-11-24"
    assert {row["run_id"] for row in table_rows(lake / "runs")} == {"splade-tiny-2026-11-24"}
