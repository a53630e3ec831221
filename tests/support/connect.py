"""A Spark Connect server of the installed pyspark, in a process of its own, bound to 127.0.0.1."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spladelake.spark.session.delta_classes import SETTINGS
from spladelake.spark.session.jars import delta_jars
from support.processes import REPOSITORY, SPARK_HOME, SUBMIT_ENVIRONMENT, environment
from support.standalone import free_ports, stop

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
SECONDS_TO_START = 90
# Of server and client: this checkout, then what the path of this process has besides.
LIB = os.pathsep.join([*(str(REPOSITORY / folder) for folder in ("lib", "tests")), os.environ.get("PYTHONPATH", "")])


def needs_connect() -> None:
    """Skip the calling test without the packages of the extra connect."""
    for package in ("grpc", "grpc_status", "google.rpc", "google.protobuf.runtime_version"):
        pytest.importorskip(package, reason="Spark Connect needs the extra connect")


@contextmanager
def connect_server(folder: Path, *, delta: bool = False) -> Iterator[str]:
    """The address of a server with two cores, with Delta if wanted. It ends with the context."""
    (port,) = free_ports(1)
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.memory": "1500m",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
        "spark.ui.enabled": "false",
        **({**SETTINGS, "spark.jars": ",".join(map(str, delta_jars()))} if delta else {}),
    }
    options = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]", "--class", SERVER, *options]
    log = folder / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*command, "spark-internal"], env=environment(**SUBMIT_ENVIRONMENT, PYTHONPATH=LIB), cwd=folder,
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(port, server, log)
        yield f"sc://127.0.0.1:{port}"
    finally:
        stop(server)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < ends and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.3)
    raise AssertionError(f"the server did not start:\n{log.read_text(encoding='utf-8')[-3000:]}")
