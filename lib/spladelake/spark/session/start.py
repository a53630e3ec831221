"""A Spark session with what the jobs rely on; apart from that, whatever the caller already set stays."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.find_spark_home import _find_spark_home
from pyspark.sql import SparkSession

from spladelake.errors import MachineError
from spladelake.spark.session import quick_settings as quick_sessions
from spladelake.spark.session.class_archive import java_options
from spladelake.spark.session.jars import delta_jars

JAVA_MINIMUM = 17

DELTA_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

# Settings of the SQL session that correctness rests on; each can be changed on a running session.
REQUIRED_SETTINGS = {
    # mapInArrow matches columns by position and would swap like-typed ones in silence.
    "spark.sql.execution.arrow.pyspark.validateSchema.enabled": "true",
    # A worker killed by native code says where, instead of "exited unexpectedly".
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
    # A truncated gzip or a vanished file must fail the job, not shorten the corpus.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # Spark would put settings and environment variables in the place of ${env:NAME} in an id or a path.
    "spark.sql.variable.substitute": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
}


# The Java of the session that this process has started without an archive of its classes, if it has.
started_without_archive: list[str] = []


def java_version() -> tuple[str, int]:
    """Path and major version of the Java that Spark will start. Raises MachineError if there is none or it is old."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    place = f"JAVA_HOME={home}" if home else "PATH"
    fix = f"Install a Java {JAVA_MINIMUM}+ runtime and put it on PATH, or set JAVA_HOME to it."
    if not java or not Path(java).exists():
        raise MachineError(place, "no Java was found", f"Spark needs Java {JAVA_MINIMUM} or newer", fix)
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    if not (match := re.search(r'version "(\d+)(?:\.(\d+))?', shown)):
        raise MachineError(java, "it does not print its version", f"Spark needs Java {JAVA_MINIMUM} or newer", fix)
    major = int(match[2]) if match[1] == "1" and match[2] else int(match[1])
    if major < JAVA_MINIMUM:
        raise MachineError(java, f"it is Java {major}", f"Spark needs Java {JAVA_MINIMUM} or newer", fix)
    return java, major


def spark_session(app_name: str, *, settings: Mapping[str, str] | None = None, quick: bool = False) -> SparkSession:
    """The running session if there is one, else a new one: under spark-submit with its settings, otherwise local.

    settings: Spark configuration of the caller; it wins over every default made here. quick: the process ends after
    seconds of work on few rows; a new local session is then made for that.
    Raises MachineError without Java or without Delta Lake.
    """
    if not _is_hosted():
        java, _ = java_version()
        return _with_required(_local_session(app_name, java, settings or {}, quick=quick))
    conf = SparkConf()
    defaults = dict(DELTA_SETTINGS)
    if (conf.get("spark.master", "local[*]") or "").startswith("local["):
        defaults.update(small_machine_settings())
    if _needs_delta(conf):
        defaults["spark.jars"] = _add_to_classpath(conf)
    builder = SparkSession.builder.appName(app_name)
    for key, value in {**defaults, **(settings or {})}.items():
        if not conf.contains(key) or key in (settings or {}):
            builder = builder.config(key, value)
    return _with_required(builder.getOrCreate())


def _is_hosted() -> bool:
    """Whether somebody else started the JVM: spark-submit, a notebook, a test session."""
    return SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def small_machine_settings() -> dict[str, str]:
    """Shuffle sizes for one machine: Spark's and Delta's defaults (200 and 50 tasks) are made for clusters."""
    return {"spark.sql.shuffle.partitions": str(4 * usable_cores()), "spark.databricks.delta.snapshotPartitions": "2"}


def _local_session(app_name: str, java: str, settings: Mapping[str, str], *, quick: bool) -> SparkSession:
    # Workers must run this interpreter: the system's python3 would not have the packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # A laptop's own host name may not resolve; local executors need no other address.
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    _spare_processes()
    log4j = files("spladelake.spark").joinpath("log4j2.properties")
    defaults = {
        **DELTA_SETTINGS,
        # Four tries for a task, as on a cluster: a worker that dies does not end the job.
        "spark.master": "local[*,4]",
        "spark.jars": ",".join(str(jar) for jar in delta_jars()),
        "spark.driver.memory": f"{local_driver_memory_mb()}m",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={Path(str(log4j)).as_uri()}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **small_machine_settings(),
        "spark.sql.warehouse.dir": str(Path("spark-warehouse").absolute()),
    }
    if quick:
        defaults |= quick_sessions.SETTINGS
    archive = java_options(java)
    if not archive:
        started_without_archive.append(java)
    if options := f"{quick_sessions.java_options(settings) if quick else ''} {archive}".strip():
        defaults["spark.driver.defaultJavaOptions"] = options
    builder = SparkSession.builder.appName(app_name)
    for key, value in {**defaults, **settings}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _spare_processes() -> None:
    """Tell Spark's start script what it would start an interpreter and a slow JVM for."""
    os.environ.setdefault("SPARK_HOME", _find_spark_home())
    # Of the JVM that only puts a command line together.
    os.environ.setdefault("SPARK_LAUNCHER_OPTS", "-XX:TieredStopAtLevel=1")


def local_driver_memory_mb() -> int:
    """Heap for a local session: a quarter of the machine's memory, 1 to 8 GiB; Python workers need the rest."""
    total_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(1024, min(8192, total_mb // 4))


def _with_required(session: SparkSession) -> SparkSession:
    for key, value in REQUIRED_SETTINGS.items():
        session.conf.set(key, value)
    return session


def _needs_delta(conf: SparkConf) -> bool:
    """Whether the running JVM lacks the Delta classes."""
    SparkContext._ensure_initialized(conf=conf)
    jvm = SparkContext._jvm
    assert jvm is not None
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    return loader.getResource("io/delta/sql/DeltaSparkSessionExtension.class") is None


def _add_to_classpath(conf: SparkConf) -> str:
    """Give a local spark-submit without --jars the cached jars; elsewhere say how to submit. Returns spark.jars."""
    master = conf.get("spark.master", "local[*]") or ""
    if SparkContext._active_spark_context is not None or not master.startswith("local"):
        raise MachineError(
            "this Spark session",
            "it has no Delta Lake classes",
            f"the jobs need Delta {DELTA_VERSION_HINT}",
            'Submit with --jars "$(spladelake jars)", or with the Delta package of your platform.',
        )
    jars = [str(jar) for jar in delta_jars()]
    jvm = SparkContext._jvm
    assert jvm is not None
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    for jar in jars:
        # spark-submit's class loader is made to grow: it is how Spark itself adds --jars in client mode.
        loader.addURL(jvm.java.io.File(jar).toURI().toURL())
    given = conf.get("spark.jars", "") or ""
    return ",".join([*filter(None, given.split(",")), *jars])


DELTA_VERSION_HINT = "4.4 for Spark 4.2"
