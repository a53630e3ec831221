"""The trials of `spladelake doctor` on a remote store: a write, a listing and a conditional write in the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from pyspark.sql import SparkSession

from spladelake.errors import MachineError
from spladelake.spark.session.java_errors import full_text
from spladelake.spark.session.store_lease import is_off, needs_lease, without_conditions
from spladelake.spark.session.store_objects import StoreObject, is_absent
from spladelake.spark.session.stores import WANTED, impatient_system, in_time

_CONTENT = b"spladelake doctor"


def trials(session: SparkSession, lake: str) -> tuple[tuple[str, Callable[[], str]], ...]:
    """Return the trials by name. Each returns its finding and leaves an empty folder at most.

    Each takes `stores.MOST_SECONDS` at most. They raise MachineError if the store refuses access, and ConflictError if
    it has no conditional writes.
    """
    folder = lake.rstrip("/")
    return (
        ("store: write", lambda: in_time(folder, lambda: _write(session, folder))),
        ("store: listing", lambda: in_time(folder, lambda: _list(session, folder))),
        ("store: conditional write", lambda: in_time(folder, lambda: _write_if(session, folder))),
    )


def _write(session: SparkSession, folder: str) -> str:
    with _object(session, folder) as (system, path):
        _create(system, path)
        stream = system.open(path)
        read = bytes(stream.readAllBytes())
        stream.close()
        if read != _CONTENT:
            found = "a test file that was read back differs from the one that was written"
            raise MachineError(folder, found, WANTED, "Check the store and its proxies.")
    return f"wrote, read and deleted an object in {folder}"


def _list(session: SparkSession, folder: str) -> str:
    with impatient_system(session, folder) as (system, path):
        try:
            entries = len(system.listStatus(path))
        except Exception as error:
            if not is_absent(error):
                raise
            entries = 0
    return f"{entries:,} entries in {folder}"


def _write_if(session: SparkSession, folder: str) -> str:
    with _object(session, folder) as (system, path):
        if not needs_lease(folder):
            _create(system, path)
            try:
                _create(system, path)
            except Exception as error:
                if "FileAlreadyExists" not in full_text(error):
                    raise
                return "an object that is there already is not written again, as Delta's commits need"
            raise without_conditions(folder)
        if is_off():
            return "not tried: SPLADELAKE_LOCK=off, so no two jobs may ever write at once"
        lock = StoreObject(str(path.toString()), system)
        if not lock.has_conditions():
            raise without_conditions(folder)
        first = lock.write(b"1", None)
        second = lock.write(b"2", first)
        if first is None or second is None or lock.write(b"3", None) or lock.write(b"3", first):
            raise without_conditions(folder)
    return "two drivers on one table wait for each other"


@contextmanager
def _object(session: SparkSession, folder: str) -> Iterator[tuple[Any, Any]]:
    """Yield a client of the store and the path of a new object, which is deleted at the end."""
    with impatient_system(session, f"{folder}/.doctor-{uuid4().hex}") as (system, path):
        try:
            yield system, path
        finally:
            with suppress(Exception):
                system.delete(path, False)


def _create(system: Any, path: Any) -> None:
    """Write an object that must not be there."""
    stream = system.create(path, False)
    stream.write(_CONTENT)
    stream.close()
