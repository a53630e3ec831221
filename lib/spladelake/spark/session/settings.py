"""Settings of a session that hold while a block runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession


@contextmanager
def session_settings(session: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """While the body runs, the session has these settings: files are written under them by writers, by MERGE and by
    OPTIMIZE alike, and views and functions are defined under them.
    """
    before = {key: session.conf.get(key, None) for key in settings}
    for key, value in settings.items():
        session.conf.set(key, value)
    try:
        yield
    finally:
        for key, old in before.items():
            if old is None:
                session.conf.unset(key)
            else:
                session.conf.set(key, old)


# Delta takes the metadata of commands that are no writers from the session, which threads share.
_metadata_free = threading.Condition()
_metadata_in_use: list[str] = []
_METADATA_SETTING = "spark.databricks.delta.commitInfo.userMetadata"


@contextmanager
def commit_metadata(session: SparkSession, text: str) -> Iterator[None]:
    """Have commands such as CREATE TABLE, MERGE and ALTER TABLE record a text with their commit.

    Threads that record the same text run side by side; another one waits.
    """
    with _metadata_free:
        _metadata_free.wait_for(lambda: all(used == text for used in _metadata_in_use))
        _metadata_in_use.append(text)
        session.conf.set(_METADATA_SETTING, text)
    try:
        yield
    finally:
        with _metadata_free:
            _metadata_in_use.remove(text)
            if not _metadata_in_use:
                session.conf.unset(_METADATA_SETTING)
            _metadata_free.notify_all()


_jobs_free = threading.Lock()
_jobs_running = 0
_settings_before: Any = None


@contextmanager
def settings_kept(session: SparkSession) -> Iterator[None]:
    """Give the session back the settings that it has now when the body ends, whatever the body sets.

    Of bodies that run side by side in threads, the last one to end gives back what the first one found.
    """
    global _jobs_running, _settings_before
    with _jobs_free:
        _jobs_running += 1
        if _jobs_running == 1:
            _settings_before = _settings(session)
    try:
        yield
    finally:
        with _jobs_free:
            _jobs_running -= 1
            if _jobs_running == 0:
                _give_back(session, _settings_before)


def _give_back(session: SparkSession, before: Any) -> None:
    after = _settings(session)
    # Compared in Java: going through a map of Java's from here takes a message an entry.
    if before.equals(after):
        return
    wanted, found = dict(before), dict(after)
    for key in found.keys() - wanted.keys():
        session.conf.unset(key)
    for key, value in wanted.items():
        if found.get(key) != value:
            session.conf.set(key, value)


def _settings(session: SparkSession) -> Any:
    """All settings of the session that were set, as a map of Java's that stays as it is."""
    return session.conf._jconf.getAllAsJava()
