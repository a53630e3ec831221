"""What the rows of a table were made from, as its commits say."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.errors import UsageError
from spladelake.spark.tables import delta_log
from spladelake.spark.tables.refs import TableRef

# Commits that leave the rows of a table as they are.
_HOUSEKEEPING = re.compile(
    r"^(OPTIMIZE|VACUUM.*|SET TBLPROPERTIES|UNSET TBLPROPERTIES|ADD CONSTRAINT|DROP CONSTRAINT|CHANGE COLUMN.*"
    r"|ADD COLUMNS|CREATE TABLE|COMPUTE STATS|UPGRADE PROTOCOL|CLUSTER BY|REORG)$"
)


# Commits that are looked at one by one, of which one most often tells where the rows come from; older ones, of which a
# shared table has many, are read by a Spark job.
_COMMITS_AT_ONCE = 8


@dataclass(frozen=True)
class Lineage:
    """What a table's rows were made from: equal lineage means equal rows, so the work need not be done again.

    scope: the part of a shared table that the job replaces (a run_id), "" for the whole table. retry: input and options
    to run the job with again, of rows in quarantine; it does not tell rows apart.
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
        """For the commit: all of it, readable in DESCRIBE HISTORY."""
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
    """Whether the table's rows (of the lineage's scope) were made from exactly these inputs and not touched since."""
    found = newest_lineage(session, ref, scope=lineage.scope)
    return found is not None and found["fingerprint"] == lineage.fingerprint


def refuse_other_makers(session: SparkSession, *refs: TableRef, job: str, option: str) -> None:
    """Refuse to replace tables whose rows another job, or somebody by hand, has made; an empty table is nobody's."""
    for ref in refs:
        found = newest_lineage(session, ref)
        if (found is None or found["job"] != job) and ref.exists(session) and not ref.read(session).isEmpty():
            made = "not made by a job" if found is None else f"made by {found['job']}"
            raise UsageError(
                str(ref),
                f"its rows were {made}",
                f"{job} would replace these rows",
                f"Choose another name with {option}.",
            )


def newest_lineage(session: SparkSession, ref: TableRef, *, scope: str = "") -> dict[str, Any] | None:
    """What the rows of a scope were made from, as the commit says; None if somebody else wrote to the table since."""
    if not ref.exists(session):
        return None
    for commit in _commits(session, ref):
        found = _lineage_of(commit.metadata)
        if found is not None and found.get("scope") == scope:
            return found
        if found is None and not _HOUSEKEEPING.match(commit.operation):
            return None
    return None


def _commits(session: SparkSession, ref: TableRef) -> Iterator[delta_log.Commit]:
    """The commits of a table that its log still holds, the newest first."""
    newest = delta_log.newest_commits(session, ref, _COMMITS_AT_ONCE)
    yield from newest
    if newest and newest[-1].version > 0:
        history = ref.delta(session).history().select("version", "operation", "userMetadata")
        older = history.where(F.col("version") < newest[-1].version).orderBy(F.desc("version"))
        for row in older.toLocalIterator():
            yield delta_log.Commit(row["version"], row["operation"], row["userMetadata"])


def _lineage_of(metadata: str | None) -> dict[str, Any] | None:
    """What a commit's metadata says of where the rows come from, if it is ours."""
    try:
        found = json.loads(metadata or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) and "fingerprint" in found else None
