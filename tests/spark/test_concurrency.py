"""One writer at a time, conflicts tried again, and everything else left to fail: no Spark session is needed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spladelake.encoder import resolve_checkpoint
from spladelake.errors import ConflictError, DataError, UsageError
from spladelake.spark.encode.chunks import Remaining
from spladelake.spark.encode.texts import BUCKETS, ChunkSize, first_rate
from spladelake.spark.session import store_lease
from spladelake.spark.session.store_lease import Lease
from spladelake.spark.tables.locks import RETRIED, TRIES, alongside, exclusive, lock_file, retrying


@pytest.mark.parametrize("name", RETRIED)
def test_a_conflict_is_tried_again_after_growing_pauses_until_it_is_gone(name: str) -> None:
    pauses: list[float] = []
    failures = iter([RuntimeError(f"io.delta.exceptions.{name}: x"), RuntimeError(f"{name}")])

    def work() -> str:
        for error in failures:
            raise error
        return "done"

    assert retrying(work, place="t", pause=pauses.append) == "done"
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1.0


def test_a_conflict_that_stays_ends_with_exit_code_4() -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        raise RuntimeError("ConcurrentAppendException")

    with pytest.raises(ConflictError, match="during each of 5 attempts") as raised:
        retrying(work, place="t", pause=lambda _: None)
    assert (len(tries), raised.value.exit_code) == (TRIES, 4)


@pytest.mark.parametrize(
    "name", ["ValueError", "MetadataChangedException", "ProtocolChangedException", "ConcurrentTransactionException"]
)
def test_nothing_else_is_tried_again(name: str) -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        raise RuntimeError(name)

    with pytest.raises(RuntimeError, match=name):
        retrying(work, place="t", pause=lambda _: None)
    assert len(tries) == 1


def test_threads_hold_the_lock_of_a_table_one_after_the_other(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def write() -> None:
        for _ in range(20):
            with exclusive(str(tmp_path / "table")):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


HOLD = """
import sys, time
from spladelake.spark.tables.locks import exclusive
with exclusive(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_waits_for_another_and_the_lock_of_a_killed_one_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = str(tmp_path / "table")
    with subprocess.Popen([sys.executable, "-c", HOLD, table], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        monkeypatch.setenv("SPLADELAKE_LOCK_SECONDS", "0.3")
        with pytest.raises(ConflictError, match="another job is still writing"), exclusive(table):
            pass
        other.kill()
    with exclusive(table), exclusive(table):  # a thread may hold it twice
        pass


@pytest.mark.parametrize("given", ["soon", "nan", "inf", "-1"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("SPLADELAKE_LOCK_SECONDS", given)
    with pytest.raises(UsageError, match=f"SPLADELAKE_LOCK_SECONDS: the value is '{given}'; wanted a number of"):
        exclusive(str(tmp_path / "table")).__enter__()


def test_only_tables_of_the_local_file_system_have_a_lock_file() -> None:
    assert lock_file("/lake/documents", "commit") == Path("/lake/.documents.commit.lock")
    assert lock_file("s3a://bucket/lake/documents", "commit") is None
    assert lock_file("schema.documents", "commit") is None


@given(st.integers(1, 10**7), st.lists(st.integers(1, 10**6), min_size=1, max_size=30))
def test_chunks_follow_each_other_without_gap_or_overlap_to_the_last_bucket(rows: int, wanted: list[int]) -> None:
    left, ends = Remaining(rows), [0]
    for size in [*wanted, rows]:
        start, end = left.cut(size)
        assert start == ends[-1]
        assert end > start
        ends.append(end)
        if end == BUCKETS:
            break
        left = Remaining(max(0, left.rows - size), end)
    assert ends[-1] == BUCKETS


def test_the_first_chunk_goes_by_two_operations_for_each_weight_and_token(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 4000)
    tiny = resolve_checkpoint("splade-tiny")
    model = replace(tiny, folder=str(tmp_path), file_digests=(("model.safetensors", ""), ("config.json", "")))
    assert first_rate(model, tokens=100) == 50e9 / (2 * 1000 * 100)
    assert first_rate(model, tokens=10_000) == 50e9 / (2 * 1000 * tiny.max_length), "longer texts are cut"


def test_work_alongside_has_ended_before_what_waits_for_it_and_its_error_is_raised_there() -> None:
    done: list[str] = []

    def slow() -> None:
        time.sleep(0.2)
        done.append("work")

    with alongside(slow) as ready:
        assert done == []
        ready()
        assert done == ["work"]

    def failing() -> None:
        raise DataError("a", "b", "c", "d")

    with pytest.raises(DataError), alongside(failing) as ready:
        ready()


def test_a_chunk_is_as_many_texts_as_the_model_encodes_in_the_minutes_asked_for() -> None:
    chunk = ChunkSize(minutes=5, first_rate=2.5)
    assert chunk.next(done=0, seconds=0, slots=4) == 3000
    assert chunk.next(done=1200, seconds=60, slots=4) == 6000
    assert ChunkSize(minutes=5, first_rate=2.5, rows=7).next(done=1200, seconds=60, slots=4) == 7


class ObjectInMemory:
    """An object with S3's conditional writes: If-None-Match without an etag, If-Match with one."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.one_at_a_time = threading.Lock()

    def read(self) -> tuple[bool, str] | None:
        with self.one_at_a_time:
            return None if self.content is None else (bool(self.content), sha256(self.content).hexdigest())

    def write(self, content: bytes, etag: str | None) -> str | None:
        with self.one_at_a_time:
            now = None if self.content is None else sha256(self.content).hexdigest()
            if now != etag:
                return None
            self.content = content
            return sha256(content).hexdigest()


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(store_lease, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(store_lease, "_PAUSE", 0.002)
    return store_lease.LEASE_SECONDS


def nothing() -> None:
    """Between two looks at a lock that another holds."""


def test_holders_of_a_lease_count_together_without_losing_a_number(short_lease: float) -> None:
    kept_in, number = ObjectInMemory(), [0]

    def count(_: int) -> None:
        for _ in range(10):
            held = Lease(kept_in)
            held.acquire(nothing)
            found = number[0]
            time.sleep(0.001)
            number[0] = found + 1
            held.release("s3a://bucket/table")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    assert number == [40]
    assert kept_in.content == b""


def test_a_lease_is_kept_as_long_as_its_holder_renews_it_and_lost_after_that(short_lease: float) -> None:
    kept_in = ObjectInMemory()
    alive, next_one = Lease(kept_in), Lease(kept_in)
    waits: list[float] = []
    alive.acquire(nothing)
    taking = threading.Thread(target=next_one.acquire, args=(lambda: waits.append(time.monotonic()),))
    taking.start()
    time.sleep(3 * short_lease)
    assert taking.is_alive(), "the holder is alive and renews, so nobody takes its lock"
    # As a process that stands still: it renews no more, and does not free the lock either.
    alive._ended.set()
    alive._renewing.join()
    stopped = time.monotonic()
    taking.join(timeout=20)
    assert not taking.is_alive()
    assert time.monotonic() - stopped >= short_lease * 0.7
    assert waits
    with pytest.raises(ConflictError, match="could not renew its lock"):
        alive.release("s3a://bucket/table")
    next_one.release("s3a://bucket/table")


@pytest.mark.parametrize("given", ["of", "0", "false"])
def test_a_word_for_the_lock_on_s3_that_is_unknown_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("SPLADELAKE_LOCK", given)
    with pytest.raises(UsageError, match=f"SPLADELAKE_LOCK: the variable is '{given}'; wanted off, on or nothing"):
        exclusive("s3a://bucket/lake/documents").__enter__()
