"""A standalone cluster of Spark on this machine: a master and two workers, each a process, none of which stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.processes import SPARK_HOME, environment

WORKERS = 2
SECONDS_TO_START = 90


@contextmanager
def standalone_cluster(folder: Path) -> Iterator[str]:
    """The master's address, of a cluster with two workers of one core and 1,200 MB; bound to 127.0.0.1 only."""
    port, page, *rest = free_ports(2 + 2 * WORKERS)
    master = f"spark://127.0.0.1:{port}"
    commands = [["master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(page)]]
    for number in range(WORKERS):
        mine, shown = rest[2 * number : 2 * number + 2]
        where = ["--host", "127.0.0.1", "--port", str(mine), "--webui-port", str(shown)]
        size = ["--cores", "1", "--memory", "1200M", "--work-dir", str(folder / f"worker{number}")]
        commands.append(["worker.Worker", *where, *size, master])
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for number, (name, *arguments) in enumerate(commands):
            processes.append(started(folder / f"{number}.log", f"org.apache.spark.deploy.{name}", *arguments))
        wait_for_workers(page, folder)
        yield master
    finally:
        for process in reversed(processes):
            stop(process)


def started(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A class of Spark as a process of a session of its own, so that all that it starts can be ended with it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    env = environment(SPARK_HOME=str(SPARK_HOME), SPARK_LOCAL_IP="127.0.0.1", PYTHONPATH="", SPARK_NO_DAEMONIZE="1")
    with log.open("wb") as out:
        command = [str(SPARK_HOME / "bin" / "spark-class"), *arguments]
        return subprocess.Popen(
            command, env=env, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and its session: first by asking, after ten seconds without."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def wait_for_workers(page: int, folder: Path) -> None:
    """Until the master's page lists all workers as alive; fails with the logs after a while."""
    ends = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
                if answer.read().decode().count('"ALIVE"') > WORKERS:  # the master itself is one
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.5)
    logs = "\n".join(log.read_text(encoding="utf-8")[-2000:] for log in sorted(folder.glob("*.log")))
    raise AssertionError(f"the cluster did not start in {SECONDS_TO_START} s:\n{logs}")
