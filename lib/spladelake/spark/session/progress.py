"""Progress of a Spark job on the driver's terminal, from totals that its tasks report or from its finished tasks."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark import StatusTracker
from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from spladelake.spark.session.connect import is_connect

REFRESH_SECONDS = 0.5
# Without a terminal, progress is a line this often: a scheduler's log shows that the job runs, and stays short.
LOG_SECONDS = 30.0
# Number of bars on the screen. If there is one, the line of tasks is not shown.
_bars = 0


class RateColumn(ProgressColumn):
    """Rows per second since the start."""

    def render(self, task: Task) -> Text:
        rate = task.completed / task.elapsed if task.elapsed else 0.0
        return Text(f"{rate:,.0f}/s")


@contextmanager
def progress(label: str, *, total: int, done: Callable[[], float], unit: str = "rows") -> Iterator[None]:
    """Show progress on stderr while the body runs: a bar on a terminal, otherwise a line every LOG_SECONDS.

    - label: name of the work.
    - total: the value of `done()` at the end.
    - done: returns the amount that is done.
    - unit: noun for the amount, in the plural.
    """
    global _bars
    show = _bar if sys.stderr.isatty() else _lines
    _bars += 1
    try:
        with _beside(show, label, total, done, unit):
            yield
    finally:
        _bars -= 1


@contextmanager
def stage_line(session: SparkSession, label: str) -> Iterator[None]:
    """Show the number of finished tasks on a terminal while the body runs, unless the body shows a bar."""
    if not sys.stderr.isatty():
        yield
        return
    if is_connect(session):
        shown = _ServerStages(label)
        session.registerProgressHandler(shown)
        try:
            yield
        finally:
            session.removeProgressHandler(shown)
        return
    with _beside(_stages, label, session.sparkContext.statusTracker()):
        yield


@contextmanager
def _beside(show: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Run show(*arguments, stop) in a thread until the body ends."""
    stop = threading.Event()
    watcher = threading.Thread(target=show, args=(*arguments, stop), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _bar(label: str, total: int, done: Callable[[], float], unit: str, stop: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
        RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, unit=unit)
        while not stop.wait(REFRESH_SECONDS):
            bar.update(task, completed=min(done(), total))
        bar.update(task, completed=min(done(), total))


def _lines(label: str, total: int, done: Callable[[], float], unit: str, stop: threading.Event) -> None:
    start = time.monotonic()
    while not stop.wait(LOG_SECONDS):
        rows, seconds = done(), time.monotonic() - start
        left = f"{(total - rows) * seconds / rows:,.0f} s left" if rows else "time left unknown"
        rate = rows / seconds
        print(f"{label}: {rows:,.0f} of {total:,} {unit}, {rate:,.0f}/s, {left}", file=sys.stderr, flush=True)


def _stages(label: str, tracker: StatusTracker, stop: threading.Event) -> None:
    since: dict[int, float] = {}
    while not stop.wait(REFRESH_SECONDS):
        now, counts = time.monotonic(), []
        for stage in () if _bars else tracker.getActiveStageIds():
            info = tracker.getStageInfo(stage)
            if info is not None:
                counts.append((info.numCompletedTasks, info.numTasks, now - since.setdefault(stage, now)))
        if counts:
            # The cursor returns to the start of the line, so the next output overwrites it.
            print(f"{stage_text(label, counts)}\x1b[K", end="\r", file=sys.stderr, flush=True)
    print("\x1b[K", end="\r", file=sys.stderr, flush=True)


class _ServerStages:
    """The handler of Spark Connect: shows the stages of the operation that the client waits for."""

    def __init__(self, label: str) -> None:
        self.label, self._since = label, dict[int, float]()

    def __call__(self, stages: Iterable[Any] | None, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        now = time.monotonic()
        counts = [
            (stage.num_completed_tasks, stage.num_tasks, now - self._since.setdefault(stage.stage_id, now))
            for stage in stages or ()
            if not stage.done
        ]
        text = stage_text(self.label, counts) if counts and not done and not _bars else ""
        print(f"{text}\x1b[K", end="\r", file=sys.stderr, flush=True)


def stage_text(label: str, counts: Sequence[tuple[int, int, float]]) -> str:
    """Return one line about the running stages.

    - counts: for each stage (finished tasks, all tasks, seconds since it was first seen).
    """
    done, total = sum(c[0] for c in counts), sum(c[1] for c in counts)
    left = max((seconds / d * (n - d) for d, n, seconds in counts if d), default=None)
    rate = sum(d / seconds for d, _, seconds in counts if seconds)
    rest = f", {rate:,.1f}/s, {left:,.0f} s left" if left is not None else ""
    return f"{label}: {done:,} of {total:,} tasks{rest}"
