"""The start of a Spark session with the settings that the jobs rely on. Other settings of the caller stay."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pyspark
from pyspark import SparkConf, SparkContext
from pyspark.find_spark_home import _find_spark_home
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from spladelake.config import Options
from spladelake.config.job import Job
from spladelake.errors import MachineError
from spladelake.signals import take_interrupts
from spladelake.spark.session import delta_classes
from spladelake.spark.session import quick_settings as quick_sessions
from spladelake.spark.session.class_archive import archive_options
from spladelake.spark.session.connect import SETTING, check_job, connect_session, refuse_connect, wants_connect
from spladelake.spark.session.settings import set_setting
from spladelake.spark.session.worker_daemon import daemon_settings

log = logging.getLogger(__name__)

JAVA_MINIMUM = 17

# SQL settings that correct results depend on. Each can be changed on a running session.
REQUIRED_SETTINGS = {
    # mapInArrow takes columns by position. Spark 4.0 ignores this setting: `arrow_functions` checks its own functions.
    "spark.sql.execution.arrow.pyspark.validateSchema.enabled": "true",
    # If native code kills a worker, the error shows where, instead of "exited unexpectedly".
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
    # A truncated gzip or a vanished file must fail the job, not shorten the corpus.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # Otherwise Spark would replace ${env:NAME} in an id or a path by the value of a variable.
    "spark.sql.variable.substitute": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
}


# The Java of each session that this process started without a class archive.
started_without_archive: list[str] = []


def java_version() -> tuple[str, int]:
    """Return path and major version of the Java that Spark will start.

    Raises MachineError if there is no Java or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    place = f"JAVA_HOME={home}" if home else "PATH"
    fix = f"Install Java {JAVA_MINIMUM} or newer, then put its folder bin on PATH or set JAVA_HOME."
    if home:
        fix = f"Set JAVA_HOME to the folder of Java {JAVA_MINIMUM} or newer, or unset it to use the java on PATH."
    wanted = f"wanted Java {JAVA_MINIMUM} or newer"
    if not java or not Path(java).exists():
        found = "there is no bin/java in this folder" if home else "no Java was found"
        raise MachineError(place, found, wanted, fix)
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    if not (match := re.search(r'version "(\d+)(?:\.(\d+))?', shown)):
        raise MachineError(java, "the program does not print a Java version", wanted, fix)
    major = int(match[2]) if match[1] == "1" and match[2] else int(match[1])
    if major < JAVA_MINIMUM:
        raise MachineError(java, f"the program is Java {major}", wanted, fix)
    return java, major


def spark_session(app_name: str, *, settings: Mapping[str, str] | None = None, quick: bool = False) -> SparkSession:
    """Return the running session, or start one: with spark-submit's settings under spark-submit, otherwise locally.

    - settings: Spark configuration of the caller. It overrides every default of this module.
    - quick: whether the process will end after seconds of work on few rows. A new local session then starts faster.

    Raises MachineError if Java or Delta Lake is missing, or if pyspark, Spark and Delta do not belong together.
    Raises UsageError if the session would be one of Spark Connect.
    """
    refuse_connect(settings or {})
    if not _is_hosted():
        java, _ = java_version()
        return _with_required(_local_session(app_name, java, settings or {}, quick=quick))
    active = SparkContext._active_spark_context
    conf = SparkConf() if active is None else active.getConf()
    jvm = delta_classes.running_jvm(conf)
    delta_classes.check_running(jvm)
    defaults = dict(delta_classes.SETTINGS)
    if (conf.get("spark.master", "local[*]") or "").startswith("local["):
        defaults.update(small_machine_settings())
    if delta_classes.needs_delta(jvm, conf):
        defaults["spark.jars"] = delta_classes.add_to_classpath(jvm, conf)
    builder = SparkSession.builder.appName(app_name)
    for key, value in {**defaults, **(settings or {})}.items():
        if not conf.contains(key) or key in (settings or {}):
            builder = builder.config(key, value)
    return _with_required(builder.getOrCreate())


def session_of_job(job: Job, options: Options, *, settings: Mapping[str, str], quick: bool = False) -> SparkSession:
    """Return the session for a job: one of Spark Connect if the caller names a server, else that of `spark_session`.

    Raises UsageError if the caller names a server and the job does not run on Spark Connect with these options.
    """
    check_job(job, options, settings)
    if not wants_connect(settings):
        return spark_session(f"spladelake {job.name}", settings=settings, quick=quick)
    session = connect_session(settings)
    for key, value in settings.items():
        if key != SETTING:
            set_setting(session, key, value)
    return _with_required(session)


def _is_hosted() -> bool:
    """Return whether another program started the JVM: spark-submit, a notebook, a test session."""
    return SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def small_machine_settings() -> dict[str, str]:
    """Return shuffle sizes for one machine. The defaults of Spark (200 tasks) and Delta (50) suit clusters."""
    return {"spark.sql.shuffle.partitions": str(4 * usable_cores()), "spark.databricks.delta.snapshotPartitions": "2"}


def _local_session(app_name: str, java: str, settings: Mapping[str, str], *, quick: bool) -> SparkSession:
    jars = delta_classes.jars_of(settings)
    # Workers must run this interpreter: the system's python3 lacks the packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # The host name of a laptop may not resolve. Local executors need no other address.
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    _speed_up_start()
    log4j = files("spladelake.spark").joinpath("log4j2.properties")
    defaults = {
        **delta_classes.SETTINGS,
        # Four attempts per task, as on a cluster: a worker that dies does not end the job.
        "spark.master": "local[*,4]",
        "spark.driver.memory": f"{local_driver_memory_mb()}m",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={Path(str(log4j)).as_uri()}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # PySpark looks for the caller's line at each operation on a column: half of the time that plans take in Python.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        **small_machine_settings(),
        **daemon_settings(),
        "spark.sql.warehouse.dir": _warehouse(),
    }
    if quick:
        defaults |= quick_sessions.SETTINGS
    archive = archive_options(java)
    if not archive:
        started_without_archive.append(java)
    if options := f"{quick_sessions.java_options(settings) if quick else ''} {archive}".strip():
        defaults["spark.driver.defaultJavaOptions"] = options
    builder = SparkSession.builder.appName(app_name)
    for key, value in {**defaults, **settings, **({"spark.jars": jars} if jars else {})}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _speed_up_start() -> None:
    """Make Spark's start script faster: it need not start Python to find SPARK_HOME, and its launcher JVM is quick."""
    _use_own_spark()
    # Options of the launcher JVM, which only builds a command line.
    os.environ.setdefault("SPARK_LAUNCHER_OPTS", "-XX:TieredStopAtLevel=1")


def _use_own_spark() -> None:
    """Set SPARK_HOME to the Spark inside the installed pyspark, unless it names a Spark of the same version."""
    own, given = Path(pyspark.__file__).parent, os.environ.get("SPARK_HOME")
    if not (own / "bin" / "spark-submit").exists():
        # This pyspark belongs to the Spark that SPARK_HOME names.
        os.environ.setdefault("SPARK_HOME", _find_spark_home())
        return
    if given and any(Path(given, "jars").glob(f"spark-core_*-{pyspark.__version__}.jar")):
        return
    if given:
        log.warning("SPARK_HOME=%s is not used: the installed pyspark %s has its own Spark", given, pyspark.__version__)
    os.environ["SPARK_HOME"] = str(own)


def _warehouse() -> str:
    """Return the folder for tables of Spark's catalog: below the working folder or else the temporary one."""
    try:
        folder = Path.cwd()
        if os.access(folder, os.W_OK):
            return str(folder / "spark-warehouse")
    except OSError:  # The working folder was deleted.
        os.chdir(tempfile.gettempdir())
    return str(Path(tempfile.gettempdir()) / f"spark-warehouse-{os.getpid()}")


def local_driver_memory_mb() -> int:
    """Return the heap of a local session in MiB: a quarter of the memory, 1 to 8 GiB. Python workers use the rest."""
    total_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(1024, min(8192, total_mb // 4))


def _with_required(session: SparkSession) -> SparkSession:
    for key, value in REQUIRED_SETTINGS.items():
        set_setting(session, key, value)
    take_interrupts()
    if not log.isEnabledFor(logging.DEBUG):
        # pyspark logs the error of a statement with two stack traces, on one line, and then raises it.
        for context in ("SQL", "DataFrame"):
            PySparkLogger.getLogger(f"{context}QueryContextLogger").setLevel(logging.CRITICAL + 1)
    return session
