"""Settings of a session that hold while a block of code runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spladelake.spark.session.connect import is_connect

log = logging.getLogger(__name__)

# Settings that the server of Spark Connect refuses.
_refused: set[str] = set()


def set_setting(session: SparkSession, key: str, value: str) -> bool:
    """Set a setting of the session; return whether it holds.

    A server of Spark Connect may refuse it, as serverless compute does. The log names it then, once.
    """
    if key in _refused and is_connect(session):
        return False
    try:
        session.conf.set(key, value)
    except PySparkException:
        if not is_connect(session):
            raise
        _refused.add(key)
        log.info("the server of Spark Connect refuses %s=%s, so the job goes on without this setting", key, value)
        return False
    return True


def unset_setting(session: SparkSession, key: str) -> None:
    """Unset a setting of the session. A server of Spark Connect may refuse that."""
    try:
        session.conf.unset(key)
    except PySparkException:
        if not is_connect(session):
            raise


def all_settings(session: SparkSession) -> list[tuple[str, str]]:
    """Return the settings with which the session or its server was started, as (name, value)."""
    if is_connect(session):
        return list(session.conf.getAll.items())
    return session.sparkContext.getConf().getAll()


@contextmanager
def session_settings(session: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Apply settings to the session while the body runs, then restore the earlier values.

    They apply to the files that writers, MERGE and OPTIMIZE write, and to the views and functions that are defined.
    """
    before = {key: session.conf.get(key, None) for key in settings}
    held = [key for key, value in settings.items() if set_setting(session, key, value)]
    try:
        yield
    finally:
        for key in held:
            if (old := before[key]) is None:
                session.conf.unset(key)
            else:
                session.conf.set(key, old)


# Except for DataFrame writers, Delta reads the metadata of a commit from the session, which threads share.
_metadata_free = threading.Condition()
_metadata_in_use: list[str] = []
_METADATA_SETTING = "spark.databricks.delta.commitInfo.userMetadata"


@contextmanager
def commit_metadata(session: SparkSession, text: str) -> Iterator[None]:
    """Record a text in the commits of commands such as CREATE TABLE, MERGE and ALTER TABLE.

    Threads with the same text run side by side. A thread with another text waits.
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
    """Restore the session's settings when the body ends.

    If bodies run side by side in threads, the last one to end restores the settings that the first one found.
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
    # Compare in Java: to read a Java map from Python takes one message per entry.
    if before == after:
        return
    wanted, found = dict(before), dict(after)
    for key in found.keys() - wanted.keys():
        unset_setting(session, key)
    for key, value in wanted.items():
        if found.get(key) != value:
            set_setting(session, key, value)


def _settings(session: SparkSession) -> Any:
    """Return a copy of all explicit settings of the session: a Java map, or on Spark Connect a dictionary."""
    if is_connect(session):
        return session.conf.getAll
    return session.conf._jconf.getAllAsJava()
