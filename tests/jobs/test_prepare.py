"""`spladelake prepare`: sessions start from an archive of Spark's classes, and without a whole one as before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spladelake.spark.jars import jars_folder
from support.processes import environment

Command = Any
# Starts a session and prints, by its system calls' leave, whether its JVM has mapped an archive that was made for it.
SESSION = """
from pathlib import Path
from spladelake.spark.session import spark_session
session = spark_session("test")
assert session.range(1).count() == 1
pid = int(session._jvm.java.lang.ProcessHandle.current().pid())
print("mapped" if "/spladelake/classes/spark-" in Path(f"/proc/{pid}/maps").read_text() else "not mapped")
"""


def session_says(cache: dict[str, str]) -> str:
    """stdout of a process that starts a session, whole."""
    done = subprocess.run(
        [sys.executable, "-c", SESSION], env=environment(**cache), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_session_starts_from_the_archive_that_prepare_made_and_without_a_whole_one_as_before(
    spladelake: Command, tmp_path: Path
) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "with space"), "SPLADELAKE_JARS": str(jars_folder())}
    assert session_says(cache) == "not mapped\n"
    first, second = (spladelake("prepare", env=cache) for _ in range(2))
    assert (first.code, first.result["status"]) == (0, "written"), first.err
    assert (second.code, second.result["status"]) == (0, "skipped")
    archive = Path(first.result["archive"])
    assert archive.stat().st_size == first.result["bytes"] > 50_000_000
    assert list(archive.parent.iterdir()) == [archive], "nothing else is left there"
    assert session_says(cache) == "mapped\n"
    archive.chmod(0o600)
    archive.write_bytes(archive.read_bytes()[:10_000_000])
    # Java dies of an archive that was cut, and must not see it.
    assert session_says(cache) == "not mapped\n"


def test_a_java_that_makes_no_archive_is_named(spladelake: Command, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    lines = ("#!/bin/sh", "echo 'openjdk version \"17.0.2\" 2022-01-18' >&2", '[ "$1" = -version ]', "")
    java.write_text("\n".join(lines), encoding="utf-8")
    java.chmod(0o755)
    cache = {"XDG_CACHE_HOME": str(tmp_path), "SPLADELAKE_JARS": str(jars_folder()), "JAVA_HOME": str(tmp_path)}
    done = spladelake("prepare", env=cache)
    assert done.code == 5
    assert "made no archive" in done.err
    assert "Traceback" not in done.err
    assert not list((tmp_path / "spladelake" / "classes").iterdir())


def test_a_cache_folder_that_cannot_be_written_to_is_named(spladelake: Command, tmp_path: Path) -> None:
    (tmp_path / "spladelake").write_text("a file stands where the folder would be", encoding="utf-8")
    done = spladelake("prepare", env={"XDG_CACHE_HOME": str(tmp_path), "SPLADELAKE_JARS": str(jars_folder())})
    assert done.code == 5
    assert f"{tmp_path}/spladelake/classes: it cannot be written to" in done.err
    assert "XDG_CACHE_HOME" in done.err
