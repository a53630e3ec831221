"""`spladelake prepare`: sessions start from an archive of Spark's classes, and without a whole one as before."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spladelake.spark.session.jars import jars_folder
from support.processes import environment

Command = Any
# Starts a session and prints, by its system calls' leave, whether its JVM has mapped an archive that was made for it.
SESSION = """
from pathlib import Path
from spladelake.spark.session.start import spark_session
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
    assert "could not create the archive of Spark's classes" in done.err
    assert "Traceback" not in done.err
    assert not list((tmp_path / "spladelake" / "classes").iterdir())


def test_a_cache_folder_that_cannot_be_written_to_is_named(spladelake: Command, tmp_path: Path) -> None:
    (tmp_path / "spladelake").write_text("a file stands where the folder would be", encoding="utf-8")
    done = spladelake("prepare", env={"XDG_CACHE_HOME": str(tmp_path), "SPLADELAKE_JARS": str(jars_folder())})
    assert done.code == 5
    assert f"{tmp_path}/spladelake/classes: the folder is not writable" in done.err
    assert "XDG_CACHE_HOME" in done.err


LATER = "a background process now makes an archive"
# A process that has started a session without an archive, as far as the end of a command is concerned.
ENDS = """
import sys, spladelake.cli as cli
from spladelake.spark.session import class_archive, start as session
session.started_without_archive.append(session.java_version()[0])
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def own_cache(tmp_path: Path) -> dict[str, str]:
    """A cache folder of the test's own, and a Java that notes how it is called and makes no archive."""
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    said = "echo 'openjdk version \"17.0.2\" 2022-01-18' >&2"
    java.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{said}\n[ "$1" = -version ]\n', encoding="utf-8")
    java.chmod(0o755)
    return {
        "XDG_CACHE_HOME": str(tmp_path / "cache"), "SPLADELAKE_JARS": str(jars_folder()),
        "JAVA_HOME": str(tmp_path / "java"), "SPLADELAKE_PREPARE": "",
    }  # fmt: skip


def ends(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that ends after a session without an archive; `jars` unless another is named."""
    line = [sys.executable, "-c", ENDS, *(arguments or ("jars",))]
    return subprocess.run(line, env=environment(**env), capture_output=True, text=True, check=False)


def recordings(folder: Path) -> int:
    """How often a Java was started to record an archive."""
    calls = folder / "calls"
    return calls.read_text(encoding="utf-8").count("org.apache.spark.launcher.Main") if calls.exists() else 0


def wait_for_end(folder: Path) -> None:
    """Until no process holds the lock on the folder of archives, after the one in the background has taken it."""
    for _ in range(1500):  # it has the lowest priority
        if recordings(folder):
            break
        time.sleep(0.1)
    descriptor = os.open(folder / "cache" / "spladelake" / "classes", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def test_the_first_command_begins_an_archive_and_says_so_and_one_that_fails_is_not_begun_again(
    own_cache: dict[str, str], tmp_path: Path
) -> None:
    first, second = ends(own_cache), ends(own_cache)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert first.stderr.count(LATER) == 1
    assert "SPLADELAKE_PREPARE=off" in first.stderr
    assert LATER not in second.stderr
    wait_for_end(tmp_path)
    assert LATER not in ends(own_cache).stderr, "it failed, and is not tried again on this day"
    assert recordings(tmp_path) == 1
    left = list((tmp_path / "cache" / "spladelake" / "classes").iterdir())
    assert [file.suffix for file in left] == [".tried"], "nothing else is left of the attempt"


def test_of_two_commands_that_end_at_once_one_begins_an_archive(own_cache: dict[str, str], tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: ends(own_cache), range(2)))
    assert sum(LATER in one.stderr for one in done) == 1
    wait_for_end(tmp_path)
    assert recordings(tmp_path) == 1


@pytest.mark.parametrize("reason", ["off", "failed", "file", "no session"])
def test_no_archive_is_begun_where_it_is_not_wanted_or_cannot_be(
    own_cache: dict[str, str], tmp_path: Path, reason: str
) -> None:
    arguments, code = ("jars",), 0
    if reason == "off":
        own_cache["SPLADELAKE_PREPARE"] = "off"
    elif reason == "failed":
        arguments, code = ("no-such-command",), 2
    elif reason == "file":
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "spladelake").write_text("a file stands where the folder would be", encoding="utf-8")
    line = (sys.executable, "-m", "spladelake", "jars") if reason == "no session" else None
    if line is None:
        done = ends(own_cache, *arguments)
    else:
        done = subprocess.run(line, env=environment(**own_cache), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert LATER not in done.stderr
    assert "Traceback" not in done.stderr
    assert recordings(tmp_path) == 0


@pytest.mark.slow
def test_a_command_does_not_wait_for_the_archive(own_cache: dict[str, str], tmp_path: Path) -> None:
    """Neither for the process, nor for the end of its output: `capture_output` above reads both streams to the end."""
    java = Path(own_cache["JAVA_HOME"]) / "bin" / "java"
    java.write_text(
        java.read_text(encoding="utf-8").replace("#!/bin/sh\n", '#!/bin/sh\n[ "$1" = -version ] || sleep 20\n')
    )
    began = time.monotonic()
    assert LATER in ends(own_cache).stderr
    assert time.monotonic() - began < 15
    wait_for_end(tmp_path)
