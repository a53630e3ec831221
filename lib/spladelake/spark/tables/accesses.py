"""The versions of tables that a job reads and writes, for its row in the run log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Accesses:
    """Versions of tables by the table's path or name.

    - read: the version that was read.
    - written: the newest version that was written.
    """

    read: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)


_current: ContextVar[Accesses | None] = ContextVar("accesses", default=None)


@contextmanager
def noted() -> Iterator[Accesses]:
    """Collect the reads and writes of this thread while the body runs."""
    accesses = Accesses()
    token = _current.set(accesses)
    try:
        yield accesses
    finally:
        _current.reset(token)


def note_read(table: str, version: int) -> None:
    """Note that the job reads a version of a table."""
    if (accesses := _current.get()) is not None:
        accesses.read[table] = version


def note_written(table: str, version: int) -> None:
    """Note that a commit of the job made a version of a table."""
    if (accesses := _current.get()) is not None:
        accesses.written[table] = version
