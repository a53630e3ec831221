"""The versions of Spark and Delta Lake that belong together, and the refusal of pairs that do not.

One code runs on Spark 4.0 to 4.2. Each of these releases has a build of Delta of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from spladelake.errors import MachineError

SCALA = "2.13"
OLDEST = (4, 0)
# Versions of Delta that its makers built for each release of Spark.
DELTA_FOR = {"4.0": "Delta 4.0 to 4.4", "4.1": "Delta 4.1 to 4.4", "4.2": "Delta 4.4"}
FITTING = "; ".join(f"Spark {spark} with {delta}" for spark, delta in DELTA_FOR.items())
INSTALL = "pip install 'pyspark>=4.0.1,<4.3' 'delta-spark>=4.4,<4.5'"

# Names of Delta's jars and coordinates: delta-spark_4.1_2.13-4.4.0.jar, io.delta:delta-spark_2.13:4.0.1,
# delta-core_2.12-2.4.0.jar.
_DELTA = re.compile(r"delta-(?:spark|core)_(?:(?P<spark>\d+\.\d+)_)?(?P<scala>\d+\.\d+)[-:](?P<delta>\d+\.\d+)[\w.+-]*")


@dataclass(frozen=True)
class DeltaBuild:
    """A build of Delta, as its jar's name tells it.

    - name: the part of a path or of a list of packages that names the build.
    - spark: the release of Spark that it is built for, such as 4.1; None if the name does not tell.
    - scala: its version of Scala.
    - delta: the release of Delta, such as 4.4.
    """

    name: str
    spark: str | None
    scala: str
    delta: str


def delta_builds(text: str) -> list[DeltaBuild]:
    """Return the builds of Delta that a path, a list of jars or a list of packages names."""
    found = []
    for match in _DELTA.finditer(text):
        spark, delta = match["spark"], match["delta"]
        if spark is None and (delta.startswith("3.") or delta == "4.0"):
            # These releases were built for one Spark, which their names leave out.
            spark = "4.0" if delta == "4.0" else "3.5"
        found.append(DeltaBuild(match[0].removesuffix(".jar"), spark, match["scala"], delta))
    return found


def release(version: str) -> str:
    """Return major and minor number of a version, such as 4.0 of 4.0.1-amzn-0; "" if it has none."""
    match = re.match(r"\d+\.\d+", version)
    return match[0] if match else ""


def check_pyspark(version: str) -> None:
    """Raise MachineError if this pyspark is too old for the jobs."""
    numbers = tuple(map(int, release(version).split("."))) if release(version) else OLDEST
    if numbers < OLDEST:
        raise MachineError(
            "pyspark",
            f"the installed version is {version}",
            "wanted pyspark 4.0.1 to 4.2",
            f"Install it: {INSTALL}. On a hosted platform, choose a runtime with Spark 4.",
        )


def check_one_spark(python: str, java: str) -> None:
    """Raise MachineError if pyspark and the Spark in Java are of two releases.

    - python: the version of pyspark.
    - java: the version that the JVM reports.
    """
    if release(python) != release(java):
        raise MachineError(
            "this Spark session",
            f"pyspark is {python}, but the Spark that runs is {java}",
            "wanted the same version of both",
            f"Install pyspark {release(java)}, or set SPARK_HOME to the folder of a Spark {release(python)}.",
        )


def check_builds(texts: Iterable[str], spark: str) -> None:
    """Raise MachineError if a build of Delta that a text names does not fit the release of Spark.

    - texts: paths of jars, or values of spark.jars and spark.jars.packages.
    - spark: the version of Spark.
    """
    for text in texts:
        for build in delta_builds(text):
            if build.scala != SCALA:
                raise _unfit(
                    build,
                    f"it is built for Scala {build.scala}",
                    f"a build for Scala {SCALA}, because Spark {spark} is built for it",
                    spark,
                )
            if build.spark is not None and build.spark != release(spark):
                raise _unfit(build, f"it is built for Spark {build.spark}", f"a build for Spark {spark}", spark)


def check_package(version: str | None, spark: str) -> None:
    """Raise MachineError if the package delta-spark is of a release for Spark 3.

    - version: its version; None if it is not installed as a package.
    - spark: the version of Spark.
    """
    if version is not None and release(version) and int(release(version).split(".")[0]) < OLDEST[0]:
        raise MachineError(
            "delta-spark",
            f"the installed version is {version}, but pyspark is {spark}",
            f"wanted versions that fit together: {FITTING}",
            f"Install it: {INSTALL}.",
        )


def _unfit(build: DeltaBuild, found: str, wanted: str, spark: str) -> MachineError:
    fits = DELTA_FOR.get(release(spark))
    fix = f"Use {fits} for Spark {release(spark)}" if fits else "Use versions that fit together"
    return MachineError(build.name, found, f"wanted {wanted}", f"{fix}. These fit together: {FITTING}.")
