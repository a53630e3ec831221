"""The lineage of a table's rows: the job, inputs and settings that made them, as the commits record them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.errors import UsageError
from spladelake.spark.tables import delta_log
from spladelake.spark.tables.refs import TableRef

# Operations that do not change the rows of a table.
_HOUSEKEEPING = re.compile(
    r"^(OPTIMIZE|VACUUM.*|SET TBLPROPERTIES|UNSET TBLPROPERTIES|ADD CONSTRAINT|DROP CONSTRAINT|CHANGE COLUMN.*"
    r"|ADD COLUMNS|CREATE TABLE|COMPUTE STATS|UPGRADE PROTOCOL|CLUSTER BY|REORG)$"
)


# The driver reads this many commits one by one, and usually one of them has the lineage. A Spark job reads the older
# ones, of which a shared table has many.
_COMMITS_AT_ONCE = 8


@dataclass(frozen=True)
class Lineage:
    """The origin of a table's rows. Equal lineage means equal rows, so the work need not be done again.

    - scope: the part of a shared table that the job replaces (a run_id); "" for the whole table.
    - retry: of rows in quarantine, the input and the options to run the job with again. The fingerprint ignores it.
    """

    job: str
    inputs: Mapping[str, Any]
    settings: Mapping[str, Any]
    scope: str = ""
    retry: Mapping[str, Any] | None = None

    @property
    def fingerprint(self) -> str:
        text = json.dumps([self.job, self.inputs, self.settings, self.scope], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def as_json(self) -> str:
        """Return everything as JSON for the commit; DESCRIBE HISTORY shows it."""
        return json.dumps(
            {
                "job": self.job,
                "inputs": self.inputs,
                "settings": self.settings,
                "scope": self.scope,
                "fingerprint": self.fingerprint,
                **({} if self.retry is None else {"retry": self.retry}),
            },
            sort_keys=True,
            default=str,
        )


def is_current(session: SparkSession, ref: TableRef, lineage: Lineage) -> bool:
    """Return whether the table's rows in the lineage's scope have this lineage and were not changed since."""
    found = newest_lineage(session, ref, scope=lineage.scope)
    return found is not None and found["fingerprint"] == lineage.fingerprint


def refuse_other_makers(session: SparkSession, *refs: TableRef, job: str, option: str) -> None:
    """Raise UsageError if another job, or a person, made the rows of a table that the job would replace.

    - job: name of the job. It may replace its own rows, and any empty table.
    - option: option that takes another name, for the message.
    """
    for ref in refs:
        found = newest_lineage(session, ref)
        if (found is None or found["job"] != job) and ref.exists(session) and not ref.read(session).isEmpty():
            other = "another program wrote or changed" if found is None else f"{found['job']} wrote"
            raise UsageError(
                str(ref),
                f"{other} rows of this table, and {job} would delete them",
                f"wanted a new table, or one to which only {job} has written",
                f"Choose a new name with {option}.",
            )


def newest_lineage(session: SparkSession, ref: TableRef, *, scope: str = "") -> dict[str, Any] | None:
    """Return the lineage of the rows in a scope, from the commits. None if another program wrote to the table since."""
    return lineage_in(_commits(session, ref), scope=scope) if ref.exists(session) else None


def lineage_in(commits: Iterable[delta_log.Commit], *, scope: str = "") -> dict[str, Any] | None:
    """Return the lineage that a table's commits record, as `newest_lineage`. commits: the newest first."""
    for commit in commits:
        found = _lineage_of(commit.metadata)
        if found is not None and found.get("scope") == scope:
            return found
        if found is None and not _HOUSEKEEPING.match(commit.operation):
            return None
    return None


def _commits(session: SparkSession, ref: TableRef) -> Iterator[delta_log.Commit]:
    """Yield the commits that the table's log still holds, newest first."""
    newest = delta_log.newest_commits(session, ref, _COMMITS_AT_ONCE)
    yield from newest
    if newest and newest[-1].version > 0:
        history = ref.history(session).select("version", "operation", "userMetadata")
        older = history.where(F.col("version") < newest[-1].version).orderBy(F.desc("version"))
        for row in older.toLocalIterator():
            yield delta_log.Commit(row["version"], row["operation"], row["userMetadata"])


def _lineage_of(metadata: str | None) -> dict[str, Any] | None:
    """Return the lineage that a commit's metadata holds; None if this package did not write it."""
    try:
        found = json.loads(metadata or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) and "fingerprint" in found else None
