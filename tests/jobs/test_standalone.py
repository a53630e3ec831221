"""Jobs run on a standalone master with two workers that have nothing of this project but what is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.collections import write_fruit
from support.standalone import standalone_cluster
from support.tables import table_rows

Command = Any


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_jobs_run_on_a_standalone_master_with_two_workers(
    spark_submit: Command, without_package: dict[str, str], shipped: tuple[str, ...], tmp_path: Path
) -> None:
    lake, source = str(tmp_path / "lake"), str(write_fruit(tmp_path / "fruit"))
    with standalone_cluster(tmp_path / "cluster") as master:
        options = ("--master", master, "--conf", "spark.driver.host=127.0.0.1", *shipped)
        for job, given in (
            ("ingest_texts", ("--source", source)),
            ("encode_texts", ("--model", "splade-tiny", "--rows-per-task", "3")),
            ("retrieve_run", ("--model", "splade-tiny", "--k", "5", "--strategy", "blocks")),
        ):
            done = spark_submit(job, "--lake", lake, *given, options=options, env=without_package)
            assert done.code == 0, f"{job}: {done.err[-8000:]}"
            assert (done.result["job"], done.result["exit_code"]) == (job, 0)
        applications = list((tmp_path / "cluster").glob("worker*/app-*/*"))
    # Every application had an executor on each of the two workers.
    assert len(applications) == 3 * 2
    assert len({path.parents[1] for path in applications}) == 2
    first = {row["query_id"]: row["doc_id"] for row in table_rows(tmp_path / "lake" / "runs") if row["rank"] == 1}
    assert first == {"q1": "apple", "q2": "river", "q3": "bread"}
