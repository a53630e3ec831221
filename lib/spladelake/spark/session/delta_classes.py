"""Delta's classes for a session: the platform's own, those that the caller names, or the cached jars."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pyspark
from pyspark import SparkConf, SparkContext

from spladelake.errors import MachineError
from spladelake.spark.session.jars import delta_jars
from spladelake.spark_versions import DELTA_FOR, check_builds, check_one_spark, check_package, delta_builds, release

EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_DELTA_TABLE = "io.delta.tables.DeltaTable"
SETTINGS = {
    "spark.sql.extensions": EXTENSION,
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# Settings with which a caller names jars.
_JARS, _PACKAGES = "spark.jars", "spark.jars.packages"
# Databricks sets this variable. Its Delta has classes and settings of its own.
_DATABRICKS = "DATABRICKS_RUNTIME_VERSION"


def jars_of(settings: Mapping[str, str]) -> str:
    """Return the value of spark.jars for a local session: the caller's jars, and the cached Delta unless they have one.

    - settings: Spark configuration of the caller.

    Raises MachineError if the caller names a Delta of another Spark or Scala.
    """
    check_package(package_version(), pyspark.__version__)
    given, packages = settings.get(_JARS, ""), settings.get(_PACKAGES, "")
    check_builds((given, packages), pyspark.__version__)
    jars = [name for name in given.split(",") if name.strip()]
    if not delta_builds(given) and not delta_builds(packages):
        jars += map(str, delta_jars())
    return ",".join(jars)


def package_version() -> str | None:
    """Return the version of the package delta-spark; None if a platform brings Delta in another way."""
    try:
        return version("delta-spark")
    except PackageNotFoundError:
        return None


def running_jvm(conf: SparkConf) -> Any:
    """Return the JVM that another program started."""
    SparkContext._ensure_initialized(conf=conf)
    assert SparkContext._jvm is not None
    return SparkContext._jvm


def check_running(jvm: Any) -> None:
    """Raise MachineError unless pyspark, the JVM's Spark and its Delta are of one release."""
    if _DATABRICKS in os.environ:
        return
    java = str(getattr(getattr(jvm.org.apache.spark, "package$"), "MODULE$").SPARK_VERSION())
    check_one_spark(pyspark.__version__, java)
    found = _resource(jvm, EXTENSION)
    if found is not None:
        # For example jar:file:/opt/jars/delta-spark_4.1_2.13-4.4.0.jar!/io/delta/sql/….class
        check_builds([str(found.toString())], java)


def needs_delta(jvm: Any, conf: SparkConf) -> bool:
    """Return whether the JVM lacks the Delta classes. A platform's own Delta may have another extension."""
    configured = [name for key in SETTINGS for name in _names(conf.get(key, "") or "") if "delta" in name.lower()]
    known = [EXTENSION, _DELTA_TABLE, *configured]
    return _DATABRICKS not in os.environ and not any(_resource(jvm, name) is not None for name in known)


def _names(setting: str) -> Iterator[str]:
    return (name.strip() for name in setting.split(",") if name.strip())


def _resource(jvm: Any, name: str) -> Any:
    """Return the URL of a class; None if the JVM lacks the class."""
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    return loader.getResource(f"{name.replace('.', '/')}.class")


def add_to_classpath(jvm: Any, conf: SparkConf) -> str:
    """Add the cached jars to a local spark-submit that has no --jars; return the value of spark.jars.

    Raises MachineError for a running session or a cluster, with the way to submit.
    """
    master = conf.get("spark.master", "local[*]") or ""
    is_running = SparkContext._active_spark_context is not None
    if is_running or not master.startswith("local"):
        fix = 'Submit with --jars "$(spladelake jars)", or with the Delta package of your platform.'
        if is_running:
            fix = "Stop the session and let spladelake start one, or set spark.jars (`spladelake jars` prints them), "
            fix += " and ".join(f"{key}={value}" for key, value in SETTINGS.items()) + " before it starts."
        raise MachineError(
            "this Spark session",
            "the session has no Delta Lake classes",
            f"wanted {DELTA_FOR.get(release(pyspark.__version__), 'a Delta')} for Spark {release(pyspark.__version__)}",
            fix,
        )
    jars = [str(jar) for jar in delta_jars()]
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    for jar in jars:
        # The class loader of spark-submit accepts new jars. Spark itself adds --jars in this way in client mode.
        loader.addURL(jvm.java.io.File(jar).toURI().toURL())
    given = conf.get(_JARS, "") or ""
    return ",".join([*filter(None, given.split(",")), *jars])
