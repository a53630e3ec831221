"""The steps that jobs share: read each input at one version, skip finished work, measure the time.

Some jobs differ. import_run skips each run of its input by itself. export_vectors and train_model write files, whose
folder says what made them. An encode with a neural model updates its table. evaluate_run reads some tables only if they
are there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pyspark.sql import DataFrame, SparkSession

from spladelake.results import Result
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.tables.create import require
from spladelake.spark.tables.lineage import Lineage, is_current
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.suggestions import Maker

R = TypeVar("R", bound=Result)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Needed:
    """A table that a job reads.

    - made_by: the maker of the table, for the message if it is missing.
    """

    ref: TableRef
    schema: TableSchema
    made_by: Maker


@dataclass(frozen=True)
class Inputs:
    """The tables that a job reads, by name, each at the version that it had when the job began."""

    refs: Mapping[str, TableRef]
    versions: Mapping[str, int]
    rows: Mapping[str, DataFrame]

    def lineage(self, names: Iterable[str] | None = None) -> dict[str, list[Any]]:
        """Return [table, version] of each input, or of the named inputs, as `Lineage.inputs` takes them."""
        return {name: [str(self.refs[name]), self.versions[name]] for name in (self.refs if names is None else names)}


def newest_inputs(session: SparkSession, needed: Mapping[str, Needed]) -> Inputs:
    """Return the tables at their newest versions. Raises DataError if one is missing or has other columns."""
    for table in needed.values():
        require(session, table.ref, table.schema, made_by=table.made_by)
    refs = {name: table.ref for name, table in needed.items()}
    versions = {name: ref.version(session) for name, ref in refs.items()}
    rows = {name: ref.read(session, version=versions[name]) for name, ref in refs.items()}
    return Inputs(refs, versions, rows)


def made_unless_current(
    session: SparkSession,
    targets: Mapping[TableRef, Lineage],
    work: Callable[[], Mapping[str, Any]],
    *,
    force: bool,
    step: str,
    known: R,
) -> R:
    """Do a job's work unless all its targets already hold its result; return the job's result.

    - targets: the tables that the work makes, with the lineage of their rows. The log names the first of them.
    - work: makes the targets and returns the counts of the result.
    - force: whether to do the work in any case.
    - step: description of the work's Spark jobs.
    - known: entries of the result that are known before the work.
    """
    if not force and all(is_current(session, ref, lineage) for ref, lineage in targets.items()):
        ref, lineage = next(iter(targets.items()))
        log.info("%s: skipped, because %s is up to date", ref, f"run {lineage.scope}" if lineage.scope else "the table")
        return cast("R", {**known, "status": "skipped"})
    started = time.monotonic()
    describe(session, step)
    try:
        made = work()
    finally:
        describe(session)
    return cast("R", {**known, "status": "written", **made, "seconds": round(time.monotonic() - started, 2)})
