"""Whole lakes for processes to die on, signals to these processes, and the rows that are there afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark

from support.collections import write_lines
from support.documents import TOLERANCE, text
from support.ledger import LEDGER
from support.tables import table_rows

TEXTS, CHANGED = 60, 20
VECTORS = "vectors/splade-tiny/documents"
SMALL = ("--conf", "spark.driver.memory=1g", "--conf", "spark.master=local[2,4]")
TINY = ("--model", "splade-tiny", "--side", "documents")


SUPPORT = Path(__file__).resolve().parent
REPOSITORY = SUPPORT.parents[1]
SPARK_HOME = Path(pyspark.__file__).parent
# Of spark-submit: its Spark is the installed one, and a machine's own name need not resolve.
SUBMIT_ENVIRONMENT = {
    "SPARK_HOME": str(SPARK_HOME),
    "SPARK_LOCAL_IP": "127.0.0.1",
    "PYSPARK_PYTHON": sys.executable,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
}


TWO_EXECUTORS = ("--master", "local-cluster[2,1,1024]")


@dataclass(frozen=True)
class Lakes:
    """Three lakes of the same texts. They are copied before anything is done to them.

    fresh: without vectors. changed: with vectors made when some of the texts were others. clean: as they must become.
    """

    fresh: Path
    changed: Path
    clean: Path


def command(*arguments: str, stop_at: str | None = None) -> list[str]:
    """A command of spladelake, to be run as a process. stop_at: where it is killed, see `support/stop_at.py`."""
    program = ["-m", "spladelake"] if stop_at is None else [str(SUPPORT / "stop_at.py"), stop_at]
    return [sys.executable, *program, *arguments]


def environment(**more: str) -> dict[str, str]:
    """Of a process with a JVM that lives for seconds: its quick compiler alone takes half the time to start."""
    return {**os.environ, "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", **more}


def crashing_on(word: str) -> dict[str, str]:
    """Environment of processes in which encoding a text with that word ends the process: `support/crash_on`."""
    folders = [str(SUPPORT / "crash_on"), str(SUPPORT.parent), os.environ.get("PYTHONPATH", "")]
    return {"CRASH_ON": word, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


def encode(lake: Path, *options: str) -> tuple[str, ...]:
    """Encode the documents of a lake in chunks of a quarter of them."""
    return ("encode_texts", *TINY, "--lake", str(lake), "--chunk-rows", "15", *options)


def make_lakes(folder: Path) -> Lakes:
    """Ingest, encode, change, encode again: four processes that nothing disturbs."""
    found = Lakes(folder / "fresh", folder / "changed", folder / "clean")

    def run(*arguments: str) -> None:
        line = command(*arguments, *SMALL)
        subprocess.run(line, cwd=folder, env=environment(), check=True, capture_output=True, timeout=600)

    for changed in (0, CHANGED):
        numbers = [n + (10_000 if n < changed else 0) for n in range(TEXTS)]
        records = [{"_id": f"d{i}", "text": text(n)} for i, n in enumerate(numbers)]
        source = write_lines(folder / "corpus.jsonl", records)
        run("ingest_texts", "--documents", str(source), "--lake", str(found.clean))
        shutil.copytree(found.clean, found.changed, dirs_exist_ok=True)
        run("encode_texts", *TINY, "--lake", str(found.clean))
    shutil.copytree(found.changed, found.fresh)
    shutil.rmtree(found.fresh / "vectors")
    return found


def rows_of(lake: Path) -> dict[str, dict[str, Any]]:
    """The documents' vectors by id; none where there is no table."""
    rows = table_rows(lake / VECTORS)
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows), "no id stands twice"
    return found


def assert_same_tables(lake: Path, clean: Path, *, without: frozenset[str] = frozenset()) -> None:
    """The vectors of both lakes are equal, to the rounding of sums in another order, and no unfinished work is left."""
    found, wanted = rows_of(lake), {i: row for i, row in rows_of(clean).items() if i not in without}
    LEDGER.compared(found, wanted)
    assert set(found) == set(wanted)
    for i, row in wanted.items():
        assert (found[i]["text_sha256"], found[i]["status"]) == (row["text_sha256"], row["status"])
        mine, theirs = (dict(zip(r["indices"], r["values"], strict=True)) for r in (found[i], row))
        assert all(abs(mine.get(t, 0) - theirs.get(t, 0)) <= TOLERANCE for t in {*mine, *theirs})
    assert not list((lake / "vectors" / "splade-tiny").glob("*_staged"))


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """(pid, command line) of every process below one."""
    pids: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):  # a JVM starts processes from any of its threads
        with suppress(OSError):
            pids += map(int, children.read_text().split())
    for child in pids:
        try:
            yield child, Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        yield from descendants(child)


def first_worker(pid: int) -> int | None:
    """A Python worker below a process: a child of the daemon that started last, whose workers have models."""
    found = [child for child, line in descendants(pid) if "spladelake.worker_start" in line]
    daemons = [child for child in found if "java" in command_of_parent(child)]
    return next((worker for daemon in reversed(daemons) for worker, _ in descendants(daemon)), None)


def command_of_parent(pid: int) -> str:
    """The command line of the process that started another one."""
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
        return Path(f"/proc/{parent}/cmdline").read_text()
    except OSError:
        return ""


def first_executor(pid: int) -> int | None:
    """An executor below a process."""
    return next((child for child, line in descendants(pid) if "CoarseGrainedExecutorBackend" in line), None)


class Signaller(threading.Thread):
    """Sends a signal to a process below `pid` as soon as the encode of a lake begins its first chunk."""

    def __init__(self, pid: int, find: Callable[[int], int | None], lake: Path, *, sign: signal.Signals) -> None:
        super().__init__()
        self.pid, self.find, self.sign = pid, find, sign
        # The staging table is there when the first chunk begins.
        self.when = lake / f"{VECTORS}_staged/_delta_log/00000000000000000000.json"
        self.victim: int | None = None
        self.start()

    def run(self) -> None:
        while Path(f"/proc/{self.pid}/task").exists():
            if self.when.exists() and (victim := self.find(self.pid)) is not None:
                os.kill(victim, self.sign)
                self.victim = victim
                return
            time.sleep(0.05)
