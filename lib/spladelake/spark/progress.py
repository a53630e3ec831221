"""Progress of a Spark job on the driver's terminal, from what its finished tasks have added up."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

REFRESH_SECONDS = 0.5
# Without a terminal a line this often keeps a scheduler's log alive and short.
LOG_SECONDS = 30.0


class RateColumn(ProgressColumn):
    """Rows a second since the start."""

    def render(self, task: Task) -> Text:
        rate = task.completed / task.elapsed if task.elapsed else 0.0
        return Text(f"{rate:,.0f}/s")


@contextmanager
def progress(label: str, *, total: int, done: Callable[[], float], unit: str = "rows") -> Iterator[None]:
    """Show `done()` of `total` on stderr while the body runs: a bar on a terminal, else a line now and then."""
    stop = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    watcher = threading.Thread(target=show, args=(label, total, done, unit, stop), daemon=True)
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
