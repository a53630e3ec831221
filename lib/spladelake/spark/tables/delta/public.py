"""Facts of a table through public interfaces: DESCRIBE, the names of the log's files by the protocol, deltalake.

DESCRIBE takes some tenths of a second, and a job asks some dozens of times. So the answers are kept for a version, and
the log's folder tells whether there is a later one. deltalake reads the log of a local folder in milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import deltalake
import pyarrow as pa
from pyspark.sql import SparkSession

from spladelake.spark.session.connect import is_connect
from spladelake.spark.tables import storage
from spladelake.spark.tables.delta.asked import Commit, Located

Answer = TypeVar("Answer")
# Tables whose answers are kept.
_MOST_KEPT = 256


@dataclass
class _Kept:
    """Answers for one version of a table.

    - stamp: size and time of the version's file. A table that was made anew has other ones.
    - answers: by the question.
    """

    version: int
    stamp: tuple[int, int]
    answers: dict[Any, Any] = field(default_factory=dict)


_kept: dict[str, _Kept] = {}


def newest_version(session: SparkSession, ref: Located) -> int:
    """Return the number of the newest commit."""
    if (plain := _local(session, ref)) is not None:
        return int(plain.version())
    if (found := _state(session, ref)) is not None:
        return found.version
    row = ref.history(session, 1).select("version").first()
    assert row is not None
    return int(row["version"])


def properties(session: SparkSession, ref: Located) -> dict[str, str]:
    """Return the properties at the newest commit."""
    if (plain := _local(session, ref)) is not None:
        return dict(plain.metadata().configuration or {})
    return dict(_detail(session, ref)["properties"])


def reader_version(session: SparkSession, ref: Located) -> int:
    """Return the protocol version that a reader must support."""
    return int(_detail(session, ref)["minReaderVersion"])


def file_sizes(session: SparkSession, ref: Located) -> tuple[int, int]:
    """Return the number of data files, and their bytes together."""
    if (plain := _local(session, ref)) is not None:
        sizes = pa.table(plain.get_add_actions())["size_bytes"].to_pylist()
        return len(sizes), sum(sizes)
    found = _detail(session, ref)
    return int(found["numFiles"]), int(found["sizeInBytes"])


def newest_commits(session: SparkSession, ref: Located, most: int) -> list[Commit]:
    """Return the last commits, newest first."""

    def history() -> list[Commit]:
        rows = ref.history(session, most).select("version", "operation", "userMetadata").collect()
        commits = [Commit(row["version"], row["operation"] or "", row["userMetadata"]) for row in rows]
        return sorted(commits, reverse=True)[:most]

    return list(_answered(session, ref, ("history", most), history))


def _detail(session: SparkSession, ref: Located) -> Any:
    """Return the row of DESCRIBE DETAIL."""
    return _answered(session, ref, "detail", lambda: ref.detail(session).first())


def _answered(session: SparkSession, ref: Located, question: Any, ask: Callable[[], Answer]) -> Answer:
    """Return the answer for the newest version: a kept one, or else that of Delta."""
    state = _state(session, ref)
    if state is None:
        return ask()
    if question not in state.answers:
        state.answers[question] = ask()
    answer: Answer = state.answers[question]
    return answer


def _local(session: SparkSession, ref: Located) -> deltalake.DeltaTable | None:
    """Return the table of a local folder as deltalake reads it; None for others, or if deltalake cannot read it."""
    folder = None if ref.path is None or is_connect(session) else storage.local_path(ref.path)
    if folder is None:
        return None
    try:
        return deltalake.DeltaTable(str(Path(folder)))
    except Exception:
        return None


def _state(session: SparkSession, ref: Located) -> _Kept | None:
    """Return what is kept of a folder's newest version. None if only Delta can tell the newest version.

    A catalog may keep the newest commits of its tables to itself, so tables by name are asked of Delta each time. A
    client of Spark Connect does not see folders.
    """
    if ref.path is None or is_connect(session):
        return None
    log = f"{ref.path}/_delta_log"
    known = _kept.get(ref.path)
    if known is not None and storage.stamp(session, _commit_file(log, known.version)) != known.stamp:
        known = None
    version = known.version if known is not None else _checkpoint(session, log)
    stamp = known.stamp if known is not None else storage.stamp(session, _commit_file(log, version))
    if stamp is None:
        return None
    while (later := storage.stamp(session, _commit_file(log, version + 1))) is not None:
        version, stamp = version + 1, later
    if known is None or known.version != version:
        while len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        known = _kept[ref.path] = _Kept(version, stamp)
    return known


def _commit_file(log: str, version: int) -> str:
    return f"{log}/{version:020}.json"


def _checkpoint(session: SparkSession, log: str) -> int:
    """Return the version of the newest checkpoint, 0 if there is none. Earlier commits may be gone."""
    text = storage.read_text(session, f"{log}/_last_checkpoint")
    return int(json.loads(text)["version"]) if text else 0
