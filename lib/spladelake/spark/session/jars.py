"""The two Delta jars that a session needs, downloaded once into a cache folder.

`delta.configure_spark_with_delta_pip` resolves dependencies at every start. It adds some thirty jars, among them Hadoop
and Jackson versions older than Spark's own. Two jars are enough, and Spark's own Ivy client downloads them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pyspark

from spladelake.errors import MachineError
from spladelake.machine import cache_folder
from spladelake.spark_versions import INSTALL, release

log = logging.getLogger(__name__)

DELTA_VERSION = "4.4.0"
# By release of Spark, the sha256 of the published artifact. Other programs can write to the cache folder, so every use
# checks the files.
_SPARK_JARS = {
    "4.0": ("delta-spark_4.0_2.13", "49e899667168b9412f83cbe894ce264107d7b896d6c5e12edca4e216845c1104"),
    "4.1": ("delta-spark_4.1_2.13", "75a9400986853c061f5109f012547de2545a5759e5e752e5ef633dabe16a4f10"),
    "4.2": ("delta-spark_4.2_2.13", "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead"),
}
_STORAGE_JAR = ("delta-storage", "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc")
# The makers of Delta 4.4 require a later release of Spark 4.0.
_TOO_OLD = "4.0.0"
DOWNLOAD_MB = 10


def jars_folder() -> Path:
    """Return the folder of the jars: SPLADELAKE_JARS, or `jars` in the cache folder."""
    if configured := os.environ.get("SPLADELAKE_JARS"):
        return Path(configured)
    return cache_folder() / "jars"


def digests(spark: str) -> dict[str, str]:
    """Return the names of the two jars for a version of Spark, with their sha256.

    Raises MachineError if no jar is known for this version.
    """
    if release(spark) not in _SPARK_JARS or spark == _TOO_OLD:
        raise MachineError(
            "pyspark",
            f"the installed version is {spark}, and spladelake knows no Delta jar for it",
            "wanted pyspark 4.0.1 to 4.2",
            f"Install another version: {INSTALL}.",
        )
    return dict((_SPARK_JARS[release(spark)], _STORAGE_JAR))


def pyspark_version() -> str:
    """Return the version of the installed pyspark."""
    return pyspark.__version__


def delta_jars(spark: str = pyspark.__version__) -> list[Path]:
    """Return the local paths of the Delta jars, verified, after a download from Maven Central on first use.

    - spark: the version of Spark, by default that of the installed pyspark.

    Raises MachineError if no jars are known for it, or they are neither in the folder nor can be downloaded.
    """
    folder, wanted = jars_folder(), digests(spark)
    jars = [folder / f"{name}-{DELTA_VERSION}.jar" for name in wanted]
    if not all(_is_intact(jar, digest) for jar, digest in zip(jars, wanted.values(), strict=True)):
        _fetch(folder, wanted)
    for jar, digest in zip(jars, wanted.values(), strict=True):
        if not _is_intact(jar, digest):
            raise MachineError(
                str(jar),
                "the file differs from the published jar" if jar.is_file() else "the file is missing",
                f"wanted the published jar, with the sha256 {digest}",
                f"Copy io.delta:{jar.stem} from Maven Central to this path, or set SPLADELAKE_JARS to a folder with "
                "the jar.",
            )
    return jars


def _is_intact(jar: Path, digest: str) -> bool:
    return jar.is_file() and hashlib.sha256(jar.read_bytes()).hexdigest() == digest


def _fetch(folder: Path, wanted: Mapping[str, str]) -> None:
    """Download the jars with Spark's Ivy client in a Java process of its own, then move them into the folder."""
    from py4j.protocol import Py4JJavaError
    from pyspark.java_gateway import launch_gateway

    log.info("first run: downloading Delta %s (%d MB) from Maven Central into %s", DELTA_VERSION, DOWNLOAD_MB, folder)
    with tempfile.TemporaryDirectory(prefix="spladelake-ivy-") as ivy:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        submit_args = os.environ.get("PYSPARK_SUBMIT_ARGS")
        os.environ["PYSPARK_SUBMIT_ARGS"] = f"--conf spark.jars.ivy={ivy} pyspark-shell"
        try:
            gateway = launch_gateway(popen_kwargs=quiet)  # type: ignore[no-untyped-call]
        finally:
            if submit_args is None:
                del os.environ["PYSPARK_SUBMIT_ARGS"]
            else:
                os.environ["PYSPARK_SUBMIT_ARGS"] = submit_args
        try:
            gateway.jvm.java.lang.System.setProperty("spark.jars.ivy", ivy)
            resolver = gateway.jvm.org.apache.spark.util.DependencyUtils
            for name, digest in wanted.items():
                uri = gateway.jvm.java.net.URI(f"ivy://io.delta:{name}:{DELTA_VERSION}?transitive=false")
                found = Path(resolver.resolveMavenDependencies(uri).mkString(","))
                if _is_intact(found, digest):
                    _install(found, folder / f"{name}-{DELTA_VERSION}.jar")
        except Py4JJavaError as error:
            raise MachineError(
                str(folder),
                f"the Delta jars are missing and could not be downloaded ({_first_line(error)})",
                f"wanted version {DELTA_VERSION} of {' and '.join(f'io.delta:{name}' for name in wanted)}",
                "Connect to Maven Central once, or set SPLADELAKE_JARS to a folder with both jars.",
            ) from error
        finally:
            gateway.shutdown()
            gateway.proc.stdin.close()
            gateway.proc.wait(timeout=30)


def _install(source: Path, target: Path) -> None:
    """Copy a file under a temporary name, then rename it.

    So two processes can download at once, and each sees complete files only.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part:
        part.write(source.read_bytes())
    os.chmod(part.name, 0o644)
    shutil.move(part.name, target)


def _first_line(error: Exception) -> str:
    java = getattr(error, "java_exception", None)
    return str(java or error).strip().splitlines()[0]
