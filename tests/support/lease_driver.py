"""A driver that counts up a number on S3 under the lock of a table. It reads, waits and writes, as a commit does.

python -m support.lease_driver ENDPOINT JARS TIMES [DIES_AT]: prints how often it counted; dies while it holds the lock.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext

from spladelake.spark.session import store_lease
from spladelake.spark.tables.locks import exclusive

LAKE = "s3a://bucket/lake"
LEASE_SECONDS = 4.0


def context(endpoint: str, jars: str) -> SparkContext:
    """A context whose Hadoop has the client of S3."""
    settings = {
        "spark.master": "local[1]",
        "spark.app.name": "lease",
        "spark.ui.enabled": "false",
        "spark.driver.memory": "600m",
        "spark.driver.extraClassPath": os.pathsep.join(str(jar) for jar in Path(jars).glob("*.jar")),
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        # The default keeps the etag of an object that it has read, and refuses the object once it was written again.
        "spark.hadoop.fs.s3a.input.stream.type": "classic",
    }
    conf = SparkConf()
    for key, value in settings.items():
        conf.set(key, value)
    return SparkContext(conf=conf)


class Counter:
    """A number in an object, which two writers at once would lose."""

    def __init__(self, spark: SparkContext) -> None:
        jvm: Any = spark._jvm
        self.path = jvm.org.apache.hadoop.fs.Path(f"{LAKE}/counter")
        self.system = self.path.getFileSystem(spark._jsc.hadoopConfiguration())

    def read(self) -> int:
        if not self.system.exists(self.path):
            return 0
        stream = self.system.open(self.path)
        found = int(bytes(stream.readAllBytes()).decode())
        stream.close()
        return found

    def write(self, number: int) -> None:
        stream = self.system.create(self.path, True)
        stream.write(str(number).encode())
        stream.close()


def main(endpoint: str, jars: str, times: str, dies_at: str = "0") -> None:
    store_lease.LEASE_SECONDS = LEASE_SECONDS
    counter = Counter(context(endpoint, jars))
    for number in range(1, int(times) + 1):
        with exclusive(f"{LAKE}/table"):
            found = counter.read()
            time.sleep(0.02)
            counter.write(found + 1)
            print(number, flush=True)
            if number == int(dies_at):
                os.kill(os.getpid(), signal.SIGKILL)
    print(f"total {counter.read()}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
