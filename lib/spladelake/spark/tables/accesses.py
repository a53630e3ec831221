"""Which versions of which tables a job read and wrote, for its row in the run log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Accesses:
    """Tables by their path or name, with the version that was read, or the newest that was written."""

    read: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)


_current: ContextVar[Accesses | None] = ContextVar("accesses", default=None)


@contextmanager
def noted() -> Iterator[Accesses]:
    """Collect what this thread reads and writes while the body runs."""
    accesses = Accesses()
    token = _current.set(accesses)
    try:
        yield accesses
    finally:
        _current.reset(token)


def note_read(table: str, version: int) -> None:
    """A version of a table is read."""
    if (accesses := _current.get()) is not None:
        accesses.read[table] = version


def note_written(table: str, version: int) -> None:
    """A commit made a version of a table."""
    if (accesses := _current.get()) is not None:
        accesses.written[table] = version
