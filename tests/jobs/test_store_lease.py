"""Drivers that write at once to one table on S3 lose nothing, also if one dies while it holds the lock.

The server is moto's, in a process of its own on 127.0.0.1. It is no requirement of this project, and neither is the
client of S3 (hadoop-aws with the AWS bundle, 686 MB): SPLADELAKE_S3_JARS names a folder with the client's jars.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.connect import LIB
from support.ledger import LEDGER
from support.processes import environment
from support.standalone import free_ports, stop

JARS = os.environ.get("SPLADELAKE_S3_JARS", "")
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
TIMES, DIES_AT = 15, 6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not list(Path(JARS).glob("hadoop-aws-*.jar")) if JARS else True, reason="no SPLADELAKE_S3_JARS"),
    pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="moto is not installed"),
]


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """A server of S3 with an empty bucket."""
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={**os.environ, **KEYS}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with suppress(urllib.error.URLError, OSError):
                request = urllib.request.Request(f"{address}/bucket", method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                break
            time.sleep(0.3)
        yield address
    finally:
        stop(server)


def test_three_drivers_lose_no_write_though_one_dies_with_the_lock(endpoint: str, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "support.lease_driver", endpoint, JARS, str(TIMES)]
    env = environment(PYTHONPATH=LIB, SPARK_LOCAL_IP="127.0.0.1", **KEYS)
    drivers = [
        subprocess.Popen(
            [*line, *dies], env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for dies in ((), (), (str(DIES_AT),))
    ]
    outs = [driver.communicate(timeout=400) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0, -signal.SIGKILL], [err[-2000:] for _, err in outs]
    LEDGER.injected("driver SIGKILL with the lock of a table on S3")
    counted = [len([word for word in out.split("\n") if word.isdecimal()]) for out, _ in outs]
    assert counted == [TIMES, TIMES, DIES_AT]
    totals = [int(out.split("total ")[1]) for out, _ in outs[:2]]
    assert max(totals) == sum(counted)
