"""Processes that die: after every one of these faults the tables are those of a run that nothing disturbed.

Each fault is a real one: SIGKILL of the driver at a named point, of a Python worker, of an executor; a full disk; a
corrupt file. They take minutes: `pytest -m slow tests/jobs/test_killed.py`.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest

from spladelake.encoder import resolve_checkpoint
from spladelake.spark.faults import POINTS
from support.collections import write_lines
from support.delta_files import rows_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
Command = Any
WORDS = ["apple", "bread", "river", "train", "mouse", "stone", "paper", "light", "sugar", "cloud"]
TINY = ("--model", "splade-tiny", "--side", "documents")
SMALL = ("--conf", "spark.driver.memory=1g", "--conf", "spark.master=local[2,4]")


def corpus(folder: Path, *, count: int, changed: int = 0) -> Path:
    """That many texts, the first of them other ones where `changed` says so."""
    texts = [
        f"{WORDS[n % 10]} and {WORDS[n // 10 % 10]} number {n + (10_000 if n < changed else 0)}" for n in range(count)
    ]
    return write_lines(folder / "corpus.jsonl", [{"_id": f"d{n}", "text": text} for n, text in enumerate(texts)])


def assert_same_tables(lake: Path, clean: Path) -> None:
    """The vectors of both lakes are equal, to the rounding of sums in another order."""
    found, wanted = (rows_of(folder, "vectors/splade-tiny/documents") for folder in (lake, clean))
    assert set(found) == set(wanted)
    for i, row in wanted.items():
        assert found[i]["text_sha256"] == row["text_sha256"]
        mine, clean_terms = (dict(zip(r["indices"], r["values"], strict=True)) for r in (found[i], row))
        assert all(abs(mine.get(t, 0) - clean_terms.get(t, 0)) <= 1e-5 for t in {*mine, *clean_terms})
    left = [path.name for path in (lake / "vectors" / "splade-tiny").iterdir() if path.name.endswith("_staged")]
    assert left == []


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of 60 texts that were encoded without disturbance, then 20 of them changed and encoded again."""
    folder = tmp_path_factory.mktemp("clean")
    for changed in (0, 20):
        source = corpus(folder, count=60, changed=changed)
        for command in (["ingest_texts", "--documents", str(source)], ["encode_texts", *TINY]):
            line = [sys.executable, "-m", "spladelake", *command, "--lake", str(folder / "lake"), *SMALL]
            subprocess.run(line, cwd=folder, check=True, capture_output=True, timeout=600)
    return folder / "lake"


@pytest.mark.parametrize("point", POINTS)
def test_a_driver_killed_twice_at_a_point_loses_nothing(
    spladelake: Command, tmp_path: Path, clean: Path, point: str
) -> None:
    lake = tmp_path / "lake"
    for changed in (0, 20):
        source = corpus(tmp_path, count=60, changed=changed)
        assert spladelake("ingest_texts", "--documents", str(source), "--lake", str(lake), *SMALL).code == 0
        encode = ("encode_texts", *TINY, "--lake", str(lake), "--chunk-rows", "15", *SMALL)
        before = rows_of(lake, "vectors/splade-tiny/documents") if changed else {}
        killed = [spladelake(*encode, env={"SPLADELAKE_STOP_AT": point}) for _ in range(2)]
        # After the commit there is nothing left to do, so the second run is not killed.
        assert [done.code for done in killed] == [-signal.SIGKILL, 0 if point == "after_commit" else -signal.SIGKILL]
        if changed and point != "after_commit":
            assert rows_of(lake, "vectors/splade-tiny/documents") == before, "readers see the old rows, all of them"
        done = spladelake(*encode)
        assert done.code == 0, done.err
        assert done.result["status"] == ("skipped" if point == "after_commit" else "written")
        if point == "after_staging":
            assert done.result["documents"]["resumed"] >= 2, "both killed runs left their chunk"
    assert_same_tables(lake, clean)


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """(pid, command line) of every process below one."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        return
    for child in map(int, children.read_text().split()):
        try:
            yield child, Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        yield from descendants(child)


def kill_one(pid: int, sign: str, *, when: Path, killed: list[int]) -> None:
    """SIGKILL one process below `pid` whose command line holds a sign, once the file is there."""
    for _ in range(3000):
        found = [child for child, line in descendants(pid) if sign in line] if when.exists() else []
        if found:
            os.kill(found[-1], signal.SIGKILL)
            killed.append(found[-1])
            return
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("victim", "options"),
    [
        ("pyspark.daemon", ("--conf", "spark.master=local[2,4]")),
        (
            "CoarseGrainedExecutorBackend",
            ("--conf", "spark.master=local-cluster[2,1,1024]", "--conf", "spark.executor.memory=600m",
             "--conf", "spark.executor.memoryOverhead=384m"),
        ),
    ],
    ids=["python worker", "executor"],
)  # fmt: skip
def test_a_killed_worker_or_executor_is_replaced_and_every_row_is_there(
    spladelake: Command, tmp_path: Path, clean: Path, victim: str, options: tuple[str, ...]
) -> None:
    lake, source = tmp_path / "lake", corpus(tmp_path, count=60, changed=20)
    assert spladelake("ingest_texts", "--documents", str(source), "--lake", str(lake), *SMALL).code == 0
    command = [sys.executable, "-m", "spladelake", "encode_texts", *TINY, "--lake", str(lake), "--chunk-rows", "15"]
    env = {**os.environ, "SPARK_HOME": str(Path(pyspark.__file__).parent), "SPARK_LOCAL_IP": "127.0.0.1"}
    with subprocess.Popen([*command, *options], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as running:  # fmt: skip
        killed: list[int] = []
        # The staging table is there when the first chunk begins.
        when = lake / "vectors/splade-tiny/documents_staged/_delta_log/00000000000000000000.json"
        watcher = threading.Thread(target=kill_one, args=(running.pid, victim), kwargs={"when": when, "killed": killed})
        watcher.start()
        out, err = running.communicate(timeout=900)
        watcher.join()
    assert killed, "the fault was injected"
    assert running.returncode == 0, err[-3000:]
    assert json.loads(out.splitlines()[-1])["status"] == "written"
    assert_same_tables(lake, clean)


def fill(file: Path) -> None:
    """Write until no space is left."""
    with file.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"\0" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - any other fault is the test's own


def test_a_disk_that_is_full_ends_with_5_and_with_room_again_the_job_ends_as_ever(
    spladelake: Command, tmp_path: Path, clean: Path
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    lake, source = mount / "lake", corpus(tmp_path, count=60, changed=20)
    try:
        assert spladelake("ingest_texts", "--documents", str(source), "--lake", str(lake), *SMALL).code == 0
        filler = mount / "filler"
        fill(filler)
        encode = ("encode_texts", *TINY, "--lake", str(lake), *SMALL)
        failed = spladelake(*encode)
        assert failed.code == 5, failed.err
        assert "no space is left" in failed.err
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(mount)], check=True)
        assert spladelake(*encode).code == 0
        assert_same_tables(lake, clean)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def test_corrupt_inputs_and_models_are_refused_and_leave_the_tables(
    spladelake: Command, tmp_path: Path, clean: Path
) -> None:
    lake, source = tmp_path / "lake", corpus(tmp_path, count=60, changed=20)
    whole = gzip.compress(source.read_bytes())
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + os.urandom(200) + b"PAR1")
    ingest = ("ingest_texts", "--lake", str(lake), *SMALL, "--documents")
    assert spladelake(*ingest, str(source)).code == 0
    for file in ("cut.jsonl.gz", "bad.parquet"):
        done = spladelake(*ingest, str(tmp_path / file))
        assert done.code == 3, done.err
    model = tmp_path / "splade-tiny"
    shutil.copytree(resolve_checkpoint("splade-tiny").folder, model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    encode = ("encode_texts", "--lake", str(lake), "--side", "documents", *SMALL, "--model")
    done = spladelake(*encode, str(model))
    assert done.code == 2, done.err
    assert spladelake(*encode, "splade-tiny").code == 0
    assert_same_tables(lake, clean)
