"""A part of the long tests at a time: which of them a run takes, and those that it has no time left for.

    pytest -m slow --part 2/5 --within 900

takes every fifth of the slow tests by their seconds, so that all parts take about as long, and starts none after 900 s.
What was left out is said at the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

SECONDS_FILE = Path(__file__).parent / "slow_seconds.json"
# Of a test that has no record yet.
UNKNOWN_SECONDS = 30.0


def parts_of(tests: Iterable[str], count: int, seconds: dict[str, float]) -> list[set[str]]:
    """The tests in so many parts: the longest first, each into the part that takes the least by then."""
    parts: list[set[str]] = [set() for _ in range(count)]
    taken = [0.0] * count
    for test in sorted(set(tests), key=lambda name: (-seconds.get(name, UNKNOWN_SECONDS), name)):
        least = taken.index(min(taken))
        parts[least].add(test)
        taken[least] += seconds.get(test, UNKNOWN_SECONDS)
    return parts


def name_of(item: pytest.Item) -> str:
    """File and function of a test, whatever its parameters."""
    return item.nodeid.split("[")[0]


class Parts:
    """pytest's hooks for --part and --within."""

    def __init__(self, part: str | None, within: float | None) -> None:
        self.part, self.within = part, within
        self.began, self.left_out = time.monotonic(), list[str]()
        self.others = 0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if self.part is None:
            return
        number, count = (int(word) for word in self.part.split("/"))
        seconds = json.loads(SECONDS_FILE.read_text(encoding="utf-8")) if SECONDS_FILE.exists() else {}
        mine = parts_of(map(name_of, items), count, seconds)[(number - 1) % count]
        others = [item for item in items if name_of(item) not in mine]
        self.others = len(others)
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if name_of(item) in mine]

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.within is not None and time.monotonic() - self.began > self.within:
            self.left_out.append(item.nodeid)
            pytest.skip(f"left out: {self.within:.0f} s have passed")

    def lines(self) -> Iterator[str]:
        """What a run says of this at its end."""
        if self.part is not None:
            yield f"part {self.part}: {self.others} tests belong to the other parts"
        for test in self.left_out:
            yield f"left out, {self.within:.0f} s had passed: {test}"
