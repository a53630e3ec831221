"""Runs the command line and kills its process at a named point, the first time or the Nth that the process passes it.

    python tests/support/stop_at.py after_staging:2 encode_texts --lake …

The product knows nothing of these points: each is the begin or the end of one of its functions.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path[0] = sys.path[0].removesuffix("/support")  # whose `collections` is not Python's

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

from support.when_imported import when_imported


@dataclass(frozen=True)
class Place:
    """Before or after a function, by the name under which a module calls it."""

    when: Literal["before", "after"]
    module: str
    function: str


# In the order in which a run passes them; a point is passed at each of its places.
POINTS = {
    "after_staging": (
        Place("after", "spladelake.spark.encode.chunks", "_encode_at_once"),
        Place("after", "spladelake.spark.encode.chunks", "_commit_chunk"),
        Place("after", "spladelake.spark.train.score_pairs", "_score_chunk"),
    ),
    "before_commit": (Place("before", "spladelake.spark.encode.update", "publish"),),
    "after_commit": (Place("after", "spladelake.spark.encode.update", "publish"),),
}


@dataclass
class Stop:
    """Kills this process the Nth time that it passes."""

    times: int
    passed: int = 0

    def __call__(self) -> None:
        self.passed += 1
        if self.passed == self.times:
            os.kill(os.getpid(), signal.SIGKILL)

    def at(self, place: Place) -> None:
        """Stop at a place, once its module is imported."""

        def change(module: ModuleType) -> None:
            function = getattr(module, place.function)
            setattr(module, place.function, stopping(function, place.when, self))

        when_imported(place.module, change)


def stopping(function: Callable[..., Any], when: Literal["before", "after"], stop: Callable[[], None]) -> Any:
    """The function, with a stop before or after it."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if when == "before":
            stop()
        result = function(*arguments, **options)
        if when == "after":
            stop()
        return result

    return call


def main(point: str, *arguments: str) -> None:
    """Run a command line up to a point, NAME or NAME:N; one that never passes the point ends as ever."""
    name, _, times = point.partition(":")
    stop = Stop(int(times or 1))
    for place in POINTS[name]:
        stop.at(place)
    sys.argv = ["spladelake", *arguments]
    import_module("spladelake.cli").run()


if __name__ == "__main__":
    main(*sys.argv[1:])
