"""The first module of a local session's Python daemon: it takes pyspark from its folder instead of its zip file.

Spark puts pyspark and py4j first on the path of its workers, as zip files. Python compiles a module of a zip file again
in each process: 1.5 s of processor time for a daemon. An installed pyspark is the same files with their compiled form.
This module imports neither pyspark nor a room that does, so that it can change the path before.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def without_copies(path: Sequence[str]) -> list[str]:
    """Return a module path without the zip files of packages that the rest of the path has, in the same version."""
    zips = [place for place in path if place.endswith(".zip")]
    rest = [place for place in path if place not in zips]
    return [place for place in path if place not in zips or not _is_copy(Path(place), rest)]


def _is_copy(archive: Path, rest: list[str]) -> bool:
    name = archive.name.partition("-")[0].removesuffix(".zip")
    if name not in ("pyspark", "py4j"):
        return False
    found = PathFinder.find_spec(name, rest)
    if found is None or found.origin is None:
        return False
    if name == "pyspark":
        # An installed pyspark carries its own zip file, in pyspark/python/lib.
        return Path(found.origin).parent in archive.parents
    try:
        return archive.name == f"py4j-{version('py4j')}-src.zip"
    except PackageNotFoundError:
        return False


def start_daemon() -> None:
    """Change the path, then start the daemon."""
    sys.path[:] = without_copies(sys.path)
    from spladelake.spark.session.worker_daemon import start_workers

    start_workers()


if __name__ == "__main__":
    start_daemon()
