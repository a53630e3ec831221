"""A lake on S3: every job, the number of its requests, and drivers that write to one table at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.collections import write_drawn
from support.connect import LIB
from support.cross_encoders import write_cross_encoder
from support.ledger import LEDGER
from support.processes import environment
from support.s3 import KEYS, Store, missing, s3_server

TIMES, DIES_AT = 20, 6
# Requests of jobs on 60 documents, at most: half as many again as were counted. A lock takes six.
MOST_REQUESTS = {"ingest_texts": 700, "encode_texts": 1000, "index_vectors": 450, "retrieve_run": 450}
MOST_OF_OTHERS = 1200

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(missing()), reason=missing() or "never"),
]
ENVIRONMENT = environment(PYTHONPATH=LIB, SPARK_LOCAL_IP="127.0.0.1", **KEYS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with s3_server(tmp_path) as server:
        yield server


@pytest.mark.faults
def test_drivers_that_race_on_a_table_lose_no_commit_though_one_dies_with_the_lock(
    store: Store, tmp_path: Path
) -> None:
    drivers = [
        subprocess.Popen(
            [sys.executable, "-m", "support.s3_race", store.endpoint, *words],
            env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for words in (("a", str(TIMES)), ("b", str(TIMES)), ("c", str(TIMES), str(DIES_AT)))
    ]  # fmt: skip
    try:
        outs = [driver.communicate(timeout=1200) for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()
    assert [driver.returncode for driver in drivers] == [0, 0, -signal.SIGKILL], [err[-2000:] for _, err in outs]
    LEDGER.injected("driver SIGKILL with the lock of a table on S3")
    said = [line for out, _ in outs for line in out.splitlines() if line[:1] in "abc" and line[1:].isdecimal()]
    wanted = [f"{name}{n}" for name, times in (("a", TIMES), ("b", TIMES), ("c", DIES_AT)) for n in range(1, times + 1)]
    assert sorted(said) == sorted(wanted)
    found = max((out.partition("all ")[2].split() for out, _ in outs), key=len)
    assert sorted(found) == sorted(wanted), "what a driver was told is committed is in the table, once"


def test_every_job_runs_on_s3_within_a_number_of_requests(store: Store, tmp_path: Path) -> None:
    write_drawn(tmp_path / "drawn")
    write_cross_encoder(tmp_path / "teacher")
    line = [sys.executable, "-m", "support.s3_jobs", store.endpoint, str(store.log), str(tmp_path)]
    done = subprocess.run(
        line, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, timeout=1400, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    jobs: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"job"')]
    counted = [(job["job"], job["requests"]) for job in jobs]
    assert [job["job"] for job in jobs if job["code"] != 0] == [], done.stderr[-6000:]
    checks = [line for line in jobs[0]["out"].splitlines() if "store" in line]
    assert [line.split(": ")[0:2] for line in checks[1:]] == [
        ["ok   store", "write"], ["ok   store", "listing"], ["ok   store", "conditional write"]
    ]  # fmt: skip
    assert json.loads(jobs[-1]["out"].splitlines()[-1])["findings"] == []
    many = [name for name, found in counted if sum(found.values()) > MOST_REQUESTS.get(name, MOST_OF_OTHERS)]
    assert many == [], counted
