"""A server of S3 with an empty bucket, in a process of its own on 127.0.0.1, and how drivers reach it.

The server is moto's. It is no requirement of this project, and neither is the client of S3 (hadoop-aws with the AWS
bundle, 686 MB): SPLADELAKE_S3_JARS names a folder with the client's jars.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.standalone import free_ports, stop

JARS = os.environ.get("SPLADELAKE_S3_JARS", "")
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "s3a://bucket"


def missing() -> str:
    """Why no test can use S3 here; empty if one can."""
    if not JARS or not list(Path(JARS).glob("hadoop-aws-*.jar")):
        return "SPLADELAKE_S3_JARS names no folder with hadoop-aws and the AWS bundle"
    return "" if importlib.util.find_spec("moto") else "moto is not installed"


@dataclass(frozen=True)
class Store:
    """A running server.

    - log: has a line for each request.
    """

    endpoint: str
    log: Path


@contextmanager
def s3_server(folder: Path) -> Iterator[Store]:
    """A server, which ends with the context."""
    (port,) = free_ports(1)
    store = Store(f"http://127.0.0.1:{port}", folder / "server.log")
    with store.log.open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={**os.environ, **KEYS}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with suppress(urllib.error.URLError, OSError):
                request = urllib.request.Request(f"{store.endpoint}/bucket", method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                break
            time.sleep(0.3)
        yield store
    finally:
        stop(server)


def settings(endpoint: str) -> dict[str, str]:
    """Settings of a session whose Hadoop has the client of S3."""
    return {
        "spark.driver.memory": "1g",
        "spark.driver.extraClassPath": os.pathsep.join(str(jar) for jar in sorted(Path(JARS).glob("*.jar"))),
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
    }


def requests(log: Path, start: int = 0) -> tuple[Counter[str], int]:
    """Requests by method in the log of a server from a byte on, and the byte at its end."""
    with log.open("rb") as file:
        file.seek(start)
        text = file.read()
    # The server writes the requests that it refuses in colour.
    return Counter(re.findall(r'"(?:\x1b\[[\d;]*m)*(\w+) /\S* HTTP', text.decode(errors="replace"))), start + len(text)
