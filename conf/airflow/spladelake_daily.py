"""The daily pipeline as a DAG of Airflow 3: copy this file into the folder of DAGs, and set the parameters below.

Each task runs one job under spark-submit with the logical date. A task that is retried or cleared does only the work
that is left, and a day that is filled in later gets its own run name. The job's line of JSON becomes the task's XCom. A
job that exits with 2 (options) or 3 (data) will fail again: read its log before you clear it.
"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

# Settings of your site. `airflow dags trigger --conf` and the form in the browser change them for one run.
PARAMETERS = {
    "submit": "spark-submit --properties-file $HOME/spladelake/conf/cluster.conf "
    '--py-files $HOME/spladelake/spladelake.zip --jars "$(spladelake jars)"',
    "jobs": "$HOME/spladelake/jobs",
    "lake": "s3a://bucket/lake",
    "source": "s3a://bucket/beir",
    "model": "/models/splade-mini",
}

# The jobs in order, each with its options.
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
            # tail ends last, so the line of JSON is printed after Spark's messages at its end.
            bash_command=f"set -o pipefail; {SUBMIT}/{job}.py {COMMON} {options} | tail -n 1",
        )
        if before is not None:
            before >> task
        before = task
