"""Tasks are dealt out so that slots end together and a slot gets few of them, whatever the table's size."""

from __future__ import annotations

import heapq

import pytest

from spladelake.spark.retrieve.task_sizes import MOST_TASK_BYTES, OPEN_BYTES, most_bytes

MB = 2**20


def tasks(files: int, file_bytes: int, most: int) -> list[int]:
    """Bytes of each task as Spark's FilePartition makes them: a file behind the other until one does not fit."""
    found, current = [], 0
    pieces = [piece for _ in range(files) for piece in cut(file_bytes, most)]
    for piece in sorted(pieces, reverse=True):
        if current and current + piece > most:
            found.append(current)
            current = 0
        current += piece + OPEN_BYTES
    return [*found, current]


def cut(file_bytes: int, most: int) -> list[int]:
    return [min(most, file_bytes - first) for first in range(0, file_bytes, most)]


def idle_share(sizes: list[int], slots: int) -> float:
    """Share of the slots' time that they wait for the last of them, each taking the next task when it is free."""
    free = [0] * slots
    for size in sizes:
        heapq.heappush(free, heapq.heappop(free) + size)
    return 1 - sum(sizes) / (slots * max(free))


@pytest.mark.parametrize(
    ("files", "file_mb", "slots"),
    [(4, 129, 2), (8, 129, 2), (16, 129, 2), (72, 129, 2), (10, 41, 2), (640, 129, 16), (1000, 1, 4)],
)
def test_slots_wait_for_each_other_a_tenth_of_the_time_at_most(files: int, file_mb: int, slots: int) -> None:
    size = files * file_mb * MB
    sizes = tasks(files, file_mb * MB, most_bytes(files, size, slots=slots))
    assert idle_share(sizes, slots) <= 0.1
    assert len(sizes) >= slots


def test_a_hundred_times_the_files_are_not_a_hundred_times_the_tasks() -> None:
    few, many = (len(tasks(n, 129 * MB, most_bytes(n, n * 129 * MB, slots=4))) for n in (4, 400))
    assert (few, many) == (4, 4 * 20)
    assert max(tasks(400, 129 * MB, most_bytes(400, 400 * 129 * MB, slots=4))) <= MOST_TASK_BYTES + 129 * MB


@pytest.mark.parametrize(("files", "size"), [(0, 0), (1, 1), (1, 300 * MB), (100_000, 100_000)])
def test_any_table_has_a_limit_that_a_file_fits_in(files: int, size: int) -> None:
    assert most_bytes(files, size, slots=3) >= OPEN_BYTES
