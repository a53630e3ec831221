"""Two attempts of one task at the same time: on a cluster of two hosts, one attempt never ends, the other one wins."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyspark
import pytest

from support.ledger import LEDGER
from support.processes import Lakes, Signaller, assert_same_tables, command, encode, environment, first_worker

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]
HOME = Path(pyspark.__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A standalone Spark with a worker on each of two addresses: its URL, and the process of the first worker.

    Spark never starts a second attempt on the host of the first, so one address would not do.
    """
    port = free_port()
    url = f"spark://127.0.0.1:{port}"
    with ExitStack() as started:

        def start(host: str, *arguments: str) -> subprocess.Popen[bytes]:
            env = environment(SPARK_HOME=str(HOME), SPARK_LOCAL_IP=host, SPARK_DAEMON_MEMORY="256m")
            line = [str(HOME / "bin" / "spark-class"), *arguments, "--host", host, "--webui-port", "0"]
            with (tmp_path / f"{host}{arguments[0]}.log").open("wb") as log:
                process = subprocess.Popen(line, env=env, stdout=log, stderr=log, cwd=tmp_path)
            started.callback(process.wait)
            started.callback(process.terminate)
            return process

        start("127.0.0.1", "org.apache.spark.deploy.master.Master", "--port", str(port))
        name = "org.apache.spark.deploy.worker.Worker"
        sizes = ("--cores", "1", "--memory", "1g", "--work-dir", str(tmp_path / "work"))
        first, _ = [start(host, name, url, *sizes) for host in ("127.0.0.2", "127.0.0.3")]
        yield url, first.pid


def test_a_speculative_attempt_replaces_one_that_never_ends_and_every_row_is_there_once(
    cluster: tuple[str, int], tmp_path: Path, lakes: Lakes
) -> None:
    url, first = cluster
    lake = Path(shutil.copytree(lakes.fresh, tmp_path / "lake"))
    events = tmp_path / "events"
    events.mkdir()
    settings = {
        "spark.master": url,
        "spark.driver.memory": "1g",
        "spark.executor.memory": "600m",
        "spark.cores.max": "2",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
        "spark.speculation": "true",
        "spark.speculation.interval": "200ms",
        "spark.speculation.quantile": "0.5",
        "spark.speculation.multiplier": "1.1",
        "spark.speculation.efficiency.enabled": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }
    options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    env = environment(SPARK_HOME=str(HOME), SPARK_LOCAL_IP="127.0.0.1")
    with subprocess.Popen(command(*encode(lake, *options)), cwd=tmp_path, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:  # fmt: skip
        stopper = Signaller(first, first_worker, lake, sign=signal.SIGSTOP)
        out, err = running.communicate(timeout=600)
        stopper.join()
    assert stopper.victim, "a worker was stopped"
    assert running.returncode == 0, err[-3000:]
    assert json.loads(out.splitlines()[-1])["status"] == "written"
    lines = [line for file in events.iterdir() for line in file.read_text(encoding="utf-8").splitlines()]
    starts = [json.loads(line) for line in lines if "SparkListenerTaskStart" in line]
    speculative = sum(event["Task Info"]["Speculative"] for event in starts)
    assert speculative >= 1
    LEDGER.injected("Python worker SIGSTOP, its task done by a speculative attempt")
    assert_same_tables(lake, lakes.clean)
    ended = time.monotonic() + 60
    while Path(f"/proc/{stopper.victim}").exists() and time.monotonic() < ended:
        time.sleep(0.2)
    if Path(f"/proc/{stopper.victim}").exists():
        os.kill(stopper.victim, signal.SIGKILL)
