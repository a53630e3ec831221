"""Processes that die: after every one of these faults the tables are those of a run that nothing disturbed.

Each fault is a real one: SIGKILL of the driver at a named point, of a Python worker, of an executor; a fault in native
code; a full disk; two writers. They take minutes: `pytest -m faults tests/jobs/test_killed.py`.
"""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spladelake.spark.tables.locks import exclusive
from support.documents import text
from support.ledger import LEDGER
from support.processes import (
    CHANGED,
    SMALL,
    SUBMIT_ENVIRONMENT,
    TEXTS,
    TWO_EXECUTORS,
    VECTORS,
    Lakes,
    Signaller,
    assert_same_tables,
    command,
    crashing_on,
    encode,
    environment,
    first_executor,
    first_worker,
    rows_of,
)
from support.stop_at import POINTS
from support.tables import table_rows

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(1200)]
Command = Any


@pytest.mark.parametrize("start", ["fresh", "changed"])
@pytest.mark.parametrize("point", POINTS)
def test_a_driver_killed_twice_at_a_point_loses_nothing(
    spladelake: Command, tmp_path: Path, lakes: Lakes, point: str, start: str
) -> None:
    lake = Path(shutil.copytree(getattr(lakes, start), tmp_path / "lake"))
    before = rows_of(lake)
    killed = [spladelake(*encode(lake, *SMALL), stop_at=point) for _ in range(2)]
    LEDGER.injected(f"driver SIGKILL {point}", sum(done.code == -signal.SIGKILL for done in killed))
    if point == "after_commit":
        # There is nothing left to do, so the second run is not killed.
        assert [done.code for done in killed] == [-signal.SIGKILL, 0]
        assert killed[1].result["status"] == "skipped"
    else:
        assert [done.code for done in killed] == [-signal.SIGKILL] * 2
        assert rows_of(lake) == before, "readers see the old rows, all of them"
        done = spladelake(*encode(lake, *SMALL))
        assert done.code == 0, done.err
        resumed = done.result["documents"]["resumed"]
        assert resumed > (2 if point == "after_staging" else TEXTS - 2 if start == "fresh" else CHANGED - 2)
    assert_same_tables(lake, lakes.clean)


def test_a_killed_python_worker_is_replaced_and_every_row_is_there(tmp_path: Path, lakes: Lakes) -> None:
    lake = Path(shutil.copytree(lakes.fresh, tmp_path / "lake"))
    with subprocess.Popen(command(*encode(lake, *SMALL)), cwd=tmp_path, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:  # fmt: skip
        killer = Signaller(running.pid, first_worker, lake, sign=signal.SIGKILL)
        out, err = running.communicate(timeout=900)
        killer.join()
    assert killer.victim, "the fault was injected"
    LEDGER.injected("Python worker SIGKILL")
    assert running.returncode == 0, err[-3000:]
    assert json.loads(out.splitlines()[-1])["status"] == "written"
    assert_same_tables(lake, lakes.clean)


def test_a_killed_executor_is_replaced_and_every_row_is_there(
    submit_line: Callable[..., list[str]], shipped: tuple[str, ...], tmp_path: Path, lakes: Lakes
) -> None:
    """On two executors that spark-submit starts, each with a JVM and a Python of its own."""
    lake = Path(shutil.copytree(lakes.fresh, tmp_path / "lake"))
    job, *options = encode(lake)
    line = submit_line(job, *options, options=(*TWO_EXECUTORS, *shipped))
    with subprocess.Popen(line, cwd=tmp_path, env=environment(**SUBMIT_ENVIRONMENT), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:  # fmt: skip
        killer = Signaller(running.pid, first_executor, lake, sign=signal.SIGKILL)
        out, err = running.communicate(timeout=900)
        killer.join()
    assert killer.victim, err[-3000:]
    LEDGER.injected("executor SIGKILL")
    assert running.returncode == 0, err[-3000:]
    assert json.loads(out.splitlines()[-1])["status"] == "written"
    assert_same_tables(lake, lakes.clean)


def test_a_text_that_ends_the_process_in_native_code_is_quarantined_and_no_other_is_lost(
    spladelake: Command, tmp_path: Path, lakes: Lakes
) -> None:
    lake = Path(shutil.copytree(lakes.fresh, tmp_path / "lake"))
    done = spladelake(*encode(lake, "--max-rejected", "0.05", *SMALL), env=crashing_on("number 33"))
    LEDGER.injected("SIGSEGV in the encoder, on one text")
    assert done.code == 0, done.err
    assert done.result["documents"]["rejected"] == 1
    assert text(33) not in done.out + done.err, "a text is never logged"
    (row,) = table_rows(lake / "quarantine")
    assert (
        row["reason"] == '"d33": the model failed on the text: the process that encoded the text ended with signal 11'
    )
    assert json.loads(row["raw"]) == {"id": "d33", "text": text(33)}
    assert_same_tables(lake, lakes.clean, without=frozenset({"d33"}))
    assert spladelake(*encode(lake, "--retry-rejected", *SMALL)).code == 0
    assert table_rows(lake / "quarantine") == []
    assert_same_tables(lake, lakes.clean)


def fill(file: Path, *, left: int) -> None:
    """Write until no space is left but so many bytes."""
    with file.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"\0" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - any other fault is the test's own
        filler.truncate(filler.tell() - left)


def test_a_disk_that_is_full_ends_with_5_and_with_room_again_the_job_ends_as_ever(
    spladelake: Command, tmp_path: Path, lakes: Lakes
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        lake = Path(shutil.copytree(lakes.changed, mount / "lake"))
        before = rows_of(lake)
        # Room for the staging table's first commit, not for a chunk of vectors.
        fill(mount / "filler", left=24 * 1024)
        failed = spladelake(*encode(lake, *SMALL))
        LEDGER.injected("disk full")
        assert failed.code == 5, failed.err
        assert "the disk is full" in failed.err
        assert rows_of(lake) == before
        (mount / "filler").unlink()
        done = spladelake(*encode(lake, *SMALL))
        assert done.code == 0, done.err
        assert_same_tables(lake, lakes.clean)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def test_two_processes_on_one_target_end_with_one_correct_table(tmp_path: Path, lakes: Lakes) -> None:
    lake = Path(shutil.copytree(lakes.changed, tmp_path / "lake"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    line = command(*encode(lake, *SMALL))
    both = [subprocess.Popen(line, cwd=tmp_path, env=environment(), **pipes) for _ in range(2)]
    ended = [running.communicate(timeout=600) for running in both]
    LEDGER.injected("second writer at the same time")
    assert [running.returncode for running in both] == [0, 0], [err[-2000:] for _, err in ended]
    assert sorted(json.loads(out.splitlines()[-1])["status"] for out, _ in ended) == ["skipped", "written"]
    assert_same_tables(lake, lakes.clean)


def test_a_writer_that_does_not_end_in_time_ends_the_other_with_4(
    spladelake: Command, tmp_path: Path, lakes: Lakes
) -> None:
    lake = Path(shutil.copytree(lakes.changed, tmp_path / "lake"))
    before = rows_of(lake)
    with exclusive(str(lake / VECTORS), "encode"):
        done = spladelake(*encode(lake, *SMALL), env={"SPLADELAKE_LOCK_SECONDS": "1"})
    LEDGER.injected("lock held by another process")
    assert done.code == 4, done.err
    assert "another job is still writing to the same place" in done.err
    assert rows_of(lake) == before
