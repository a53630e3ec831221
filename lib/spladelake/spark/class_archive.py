"""Java's archive of Spark's classes (AppCDS), from which a local session starts in about half the time.

It is made once by a session that does a little of everything and ends, and is found by the Java and the Spark that it
was made with. Java itself ignores an archive that does not fit it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyspark

from spladelake.errors import MachineError
from spladelake.spark.jars import cache_folder

# Java prints warnings, such as those about classes that it leaves out, to stdout, which is the result's.
_WARNINGS = "-Xlog:disable -Xlog:all=warning:stderr"
_SECONDS_TO_WRITE = 120


@dataclass(frozen=True)
class Made:
    """An archive: whether it was there already, and the seconds that it took if not."""

    path: Path
    was_there: bool
    seconds: float


def found_archive(java: str) -> Path | None:
    """The archive of this Java and the installed Spark; None where there is none, or a piece of one.

    Its name ends in its size: Java dies of an archive that was cut.
    """
    files = _folder().glob(f"{_stem(java)}-*.jsa")
    return next((file for file in files if file.stem.endswith(f"-{file.stat().st_size}")), None)


def _folder() -> Path:
    return cache_folder() / "classes"


def _stem(java: str) -> str:
    """How the names of the archives of this Java and the installed Spark begin."""
    spark_jars = sorted((Path(pyspark.__file__).parent / "jars").glob("*.jar"))
    digest = hashlib.sha256()
    for file in (Path(java).resolve(), *spark_jars):
        stat = file.stat()
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return f"spark-{pyspark.__version__}-{digest.hexdigest()[:16]}"


def java_options(java: str) -> str:
    """Options of a JVM that is to start from the archive; empty where there is none."""
    found = found_archive(java)
    return "" if found is None else f'"-XX:SharedArchiveFile={found}" {_WARNINGS}'


def make_archive(java: str) -> Made:
    """Make the archive unless it is there. Raises MachineError where Java makes none."""
    started, folder, stem = time.monotonic(), _folder(), _stem(java)
    if (there := found_archive(java)) is not None:
        return Made(there, True, 0.0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise MachineError(
            str(folder), f"it cannot be written to ({error.strerror})", "the archive goes there",
            "Set XDG_CACHE_HOME to a folder that can.",
        ) from error  # fmt: skip
    # Java writes in place; under its name there must only be a whole one.
    with tempfile.TemporaryDirectory(dir=folder) as work:
        part = Path(work) / "part"
        command = [sys.executable, "-m", __name__, str(part)]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not part.is_file():
            said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it says nothing")
            raise MachineError(
                java, f"it made no archive of its classes ({said.strip()[:300]})", "HotSpot of Java 17 or newer does",
                "Go on without: only the start of a session takes longer.",
            )  # fmt: skip
        for broken in folder.glob(f"{stem}-*.jsa"):
            broken.unlink()
        target = part.replace(folder / f"{stem}-{part.stat().st_size}.jsa")
    return Made(target, False, round(time.monotonic() - started, 1))


def _same(batches: Iterable[object]) -> Iterable[object]:
    return batches


def _record(target: str) -> None:
    """Start a session that writes, when its JVM ends, all classes that it has used, and use those that jobs use."""
    from pyspark import SparkContext
    from pyspark.sql import functions as F

    from spladelake.spark.session import spark_session
    from spladelake.spark.tables import TableRef

    record = f'"-XX:ArchiveClassesAtExit={target}" {_WARNINGS}'
    session = spark_session("spladelake prepare", settings={"spark.driver.defaultJavaOptions": record})
    ref = TableRef(path=str(Path(target).parent / "table"))
    rows = session.range(10).select("id", F.array(F.col("id").cast("int")).alias("indices"))
    rows.write.format("delta").mode("overwrite").save(str(ref))
    ref.delta(session).alias("old").merge(rows.alias("new"), "old.id = new.id").whenMatchedUpdateAll().execute()
    worked = ref.read(session).mapInArrow(_same, "id long, indices array<int>")  # type: ignore[arg-type]
    joined = worked.join(rows.select("id"), "id").groupBy("id").agg(F.count("*").alias("n"))
    joined.orderBy("n").collect()
    session.sql(f"DESCRIBE HISTORY {ref.identifier}").collect()
    gateway = SparkContext._gateway
    assert gateway is not None
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    if gateway.proc.wait(timeout=_SECONDS_TO_WRITE) != 0:
        raise SystemExit("Java could not write all of it")


if __name__ == "__main__":
    _record(sys.argv[1])
