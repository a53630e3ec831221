"""The daily pipeline as a DAG of Airflow 3: put this file into its folder of DAGs, and set the parameters below.

Each task is one job under spark-submit with the day of the run, so that a task that is tried again or cleared does
what is left to do, and a day that is filled in later gets a run of its own name. The job's line of JSON becomes the
task's XCom. A job that ends with 2 (options) or 3 (data) will do so again: look at its log before clearing it.
"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

# What differs from place to place; `airflow dags trigger --conf` and the form in the browser change it for one run.
PARAMETERS = {
    "submit": "spark-submit --properties-file $HOME/spladelake/conf/cluster.conf "
    '--py-files $HOME/spladelake/spladelake.zip --jars "$(spladelake jars)"',
    "jobs": "$HOME/spladelake/jobs",
    "lake": "s3a://bucket/lake",
    "source": "s3a://bucket/beir",
    "model": "/models/splade-mini",
}

# The jobs in their order, each with its own options.
STEPS = {
    "ingest_texts": "--source '{{ params.source }}'",
    "encode_texts": "--model '{{ params.model }}' --changes feed",
    "index_vectors": "--model '{{ params.model }}'",
    "retrieve_run": "--model '{{ params.model }}' --k 100",
    "evaluate_run": "--model '{{ params.model }}'",
    "verify_tables": "",
}

SUBMIT = "{{ params.submit }} {{ params.jobs }}"
COMMON = "--lake '{{ params.lake }}' --run-date {{ ds }}"

with DAG(
    dag_id="spladelake_daily",
    description="Ingest, encode what changed, retrieve, evaluate, verify",
    start_date=datetime(2026, 1, 1),
    schedule="@daily",
    catchup=False,
    max_active_runs=1,
    params=PARAMETERS,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["spladelake"],
):
    before = None
    for job, options in STEPS.items():
        task = BashOperator(
            task_id=job,
            # Through tail, which ends last, the JSON comes after what Spark says as it stops.
            bash_command=f"set -o pipefail; {SUBMIT}/{job}.py {COMMON} {options} | tail -n 1",
        )
        if before is not None:
            before >> task
        before = task
