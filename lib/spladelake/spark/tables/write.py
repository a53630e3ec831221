"""Delta tables by path or name: create with their documentation, replace as one commit, recognise finished work."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError, UsageError
from spladelake.spark.tables import delta_log, storage
from spladelake.spark.tables.accesses import note_read, note_written
from spladelake.spark.tables.locks import exclusive, retrying
from spladelake.spark.tables.schemas import TableSchema
from spladelake.spark.tables.split_files import make_readable
from spladelake.spark.tables.suggestions import similar_path

SCHEMA_PREFIX = "schema:"
# Version of the table layout, kept in the table properties so that a later release can tell what it reads.
LAYOUT_VERSION = "4"

# Commits that leave the rows of a table as they are.
_HOUSEKEEPING = re.compile(
    r"^(OPTIMIZE|VACUUM.*|SET TBLPROPERTIES|UNSET TBLPROPERTIES|ADD CONSTRAINT|DROP CONSTRAINT|CHANGE COLUMN.*"
    r"|ADD COLUMNS|CREATE TABLE|COMPUTE STATS|UPGRADE PROTOCOL|CLUSTER BY|REORG)$"
)

# Commits that are looked at one by one, of which one most often tells where the rows come from; older ones, of which a
# shared table has many, are read by a Spark job.
_COMMITS_AT_ONCE = 8


def sql_string(text: str) -> str:
    """A SQL string literal, whatever characters the text holds."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """A SQL identifier, whatever characters the name holds."""
    return "`" + name.replace("`", "``") + "`"


@dataclass(frozen=True)
class TableRef:
    """Where a Delta table is: a folder (`path`), or a dotted name in the session's catalog (`name`)."""

    path: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        return self.path or self.name or ""

    @classmethod
    def parse(cls, text: str) -> TableRef:
        """The reference that `str` wrote: a path has a slash, a name in the catalog has none."""
        return cls(path=text) if "/" in text else cls(name=text)

    @property
    def identifier(self) -> str:
        """The table as Spark SQL names it."""
        if self.path is not None:
            return f"delta.{quoted(self.path)}"
        return ".".join(quoted(part) for part in (self.name or "").split("."))

    def delta(self, session: SparkSession) -> DeltaTable:
        """Delta's handle on the table, which must exist."""
        if self.path is not None:
            return DeltaTable.forPath(session, self.path)
        return DeltaTable.forName(session, self.identifier)

    def exists(self, session: SparkSession) -> bool:
        """Whether a Delta table is there."""
        if self.path is not None:
            return bool(DeltaTable.isDeltaTable(session, self.path))
        return session.catalog.tableExists(self.identifier)

    def version(self, session: SparkSession) -> int:
        """Number of the table's newest commit."""
        return delta_log.newest_version(session, self)

    def read(self, session: SparkSession, *, version: int | None = None) -> DataFrame:
        """The table's rows, at a version if one is given."""
        make_readable(session, self)
        if version is None:
            return self.delta(session).toDF()
        note_read(str(self), version)
        reader = session.read.format("delta").option("versionAsOf", version)
        return reader.load(self.path) if self.path is not None else reader.table(self.identifier)


@dataclass(frozen=True)
class Lake:
    """The tables of one collection: a folder, or a catalog schema written `schema:NAME`."""

    root: str

    def __post_init__(self) -> None:
        if not self.root or self.root == SCHEMA_PREFIX:
            raise UsageError("--lake", "it is empty", "wanted a folder or schema:NAME", "Say where the tables belong.")

    def table(self, name: str) -> TableRef:
        """A table of the collection: documents, queries, judgements, runs, measures, quarantine."""
        return self._ref(name)

    def vectors(self, model: str, side: str) -> TableRef:
        """Vectors of one side (documents, queries) under a model's short name, or its vocabulary."""
        return self._ref("vectors", model, side)

    def staged(self, model: str, side: str) -> TableRef:
        """What an unfinished encode has done so far; it is gone once the vectors hold it."""
        return self._ref("vectors", model, f"{side}_staged")

    def changed(self, model: str, side: str) -> TableRef:
        """Ids that a stream saw change and the vectors do not yet follow."""
        return self._ref("vectors", model, f"{side}_changed")

    def training(self, training_set: str, name: str) -> TableRef:
        """A table of a training set: parts, pairs, teacher_scores, scored_pairs."""
        return self._ref("training", training_set, name)

    def _ref(self, *parts: str) -> TableRef:
        if self.root.startswith(SCHEMA_PREFIX):
            schema = self.root.removeprefix(SCHEMA_PREFIX)
            return TableRef(name=f"{schema}.{re.sub(r'[^0-9A-Za-z]+', '_', '_'.join(parts))}")
        root = self.root if "://" in self.root else str(Path(self.root).expanduser().absolute())
        return TableRef(path="/".join([root.rstrip("/"), *parts]))


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


def require(session: SparkSession, ref: TableRef, schema: TableSchema, *, made_by: str) -> DataFrame:
    """The rows of an input table, after checking that it is there and has the columns of its schema."""
    if not ref.exists(session):
        near = similar_path(session, ref.path) if ref.path is not None else None
        asked = f"Did you mean {near}? If not, make it first" if near else "Make it first"
        raise DataError(str(ref), f"there is no {schema.name} table", "the job reads it", f"{asked}: {made_by}.")
    frame = ref.read(session)
    _check_columns(ref, frame, schema)
    return frame


def _check_columns(ref: TableRef, frame: DataFrame, schema: TableSchema) -> None:
    found = {f.name: f.dataType.simpleString() for f in frame.schema.fields}
    for column in schema.columns:
        if column.name not in found:
            raise DataError(
                str(ref),
                f"it has no column {column.name!r} (it has {', '.join(found)})",
                f"a {schema.name} table needs it",
                f"Point to a {schema.name} table, or rename the column.",
            )
        if found[column.name] != column.type:
            raise DataError(
                str(ref),
                f"column {column.name!r} is {found[column.name]}",
                f"wanted {column.type}",
                f"Cast it: ALTER is not enough, write the table again with {column.type}.",
            )


def ensure_table(
    session: SparkSession, ref: TableRef, schema: TableSchema, *, properties: Mapping[str, str] | None = None
) -> None:
    """Create the table with its comments and constraints unless it is there; refuse one of another schema.

    A table of an earlier release is brought to the present layout. properties: those of a new table, as
    `set_properties` takes them.
    """
    from spladelake.spark.tables.upgrade import keep_up_to_date  # it builds on this module

    if ref.exists(session):
        keep_up_to_date(session, ref, schema)
        _check_columns(ref, ref.read(session), schema)
        return
    with exclusive(str(ref)):
        _create(session, ref, schema, properties or {})


def _create(session: SparkSession, ref: TableRef, schema: TableSchema, properties: Mapping[str, str]) -> None:
    builder = DeltaTable.createIfNotExists(session).comment(schema.comment)
    # By name also where it is a path: of a location alone Delta makes a name without quoting its own back-ticks.
    builder = builder.tableName(ref.identifier)
    if ref.path is not None:
        builder = builder.location(ref.path)
    for column in schema.columns:
        builder = builder.addColumn(column.name, column.type, comment=column.comment)
    for key, value in _table_properties(schema, properties).items():
        builder = builder.property(key, value)
    builder.execute()


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
                str(ref), f"its rows were {made}", f"{job} would replace them", f"Choose another name with {option}."
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


def replace_rows(
    session: SparkSession,
    ref: TableRef,
    schema: TableSchema,
    rows: DataFrame,
    *,
    lineage: Lineage,
    where: str | None = None,
    writer_options: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
) -> int:
    """Replace all rows, or those that a SQL condition names, in one commit; returns the table's version.

    The commit carries the lineage, so readers see either the old rows or the new ones, never a mixture. Rows that
    break the condition or a constraint make the whole commit fail. A folder that holds no table yet gets one in the
    same commit.

    - where: condition that every row meets. Delta refuses rows that do not, except for a table that is new.
    - files: settings under which the data files are written, if not those of the schema.
    - properties: of the table, as `set_properties` takes them.
    """
    options = writer_options or {}
    with exclusive(str(ref)), written_as(session, schema.files if files is None else files):
        if ref.path is not None and not ref.exists(session):
            create_with_rows(session, ref, schema, rows, lineage=lineage, options=options, properties=properties or {})
        else:
            ensure_table(session, ref, schema)
            writer = rows.select(*schema.column_names).write.format("delta").mode("overwrite")
            writer = writer.option("userMetadata", lineage.as_json()).options(**options)
            if where is not None:
                writer = writer.option("replaceWhere", where)
            retrying(lambda: save(writer, ref), place=str(ref))
            set_properties(session, ref, properties or {})
        version = ref.version(session)
    note_written(str(ref), version)
    return version


def create_with_rows(
    session: SparkSession, ref: TableRef, schema: TableSchema, rows: DataFrame, *, lineage: Lineage,
    options: Mapping[str, str], properties: Mapping[str, str],
) -> None:  # fmt: skip
    """Make the table of a folder, with its comments, constraints, properties and rows, in one commit.

    The caller holds the table's lock. A process that is killed before the commit leaves data files that belong to no
    table, and a mark beside the folder that says so: the next writer removes both.
    """
    assert ref.path is not None
    mark = f"{ref.path.rsplit('/', 1)[0]}/.{ref.path.rsplit('/', 1)[1]}.unfinished"
    if storage.exists(session, mark):
        storage.remove(session, ref.path)
    elif storage.contents(session, ref.path):
        raise DataError(
            ref.path, "the folder holds files but no Delta table", f"the job makes its {schema.name} table there",
            "Choose another folder, or move the files away.",
        )  # fmt: skip
    else:
        storage.touch(session, mark)
    named = [F.col(c.name).alias(c.name, metadata={"comment": c.comment}) for c in schema.columns]
    writer = rows.select(*named).writeTo(ref.identifier).using("delta").options(**options)
    for key, value in _table_properties(schema, properties).items():
        writer = writer.tableProperty(key, value)
    try:
        with commit_metadata(session, lineage.as_json()):
            writer.tableProperty("comment", schema.comment).create()
    except Exception:
        storage.remove(session, ref.path)
        raise
    finally:
        storage.remove(session, mark)


def _table_properties(schema: TableSchema, properties: Mapping[str, str]) -> dict[str, str]:
    """Properties of a new table, as Delta names them."""
    found = {f"delta.constraints.{name}": condition for name, condition in schema.constraints.items()}
    if schema.change_feed:
        found["delta.enableChangeDataFeed"] = "true"
    ours = {"layout": LAYOUT_VERSION, "table": schema.name, **properties}
    return {**found, **{f"spladelake.{key}": value for key, value in ours.items()}}


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


@contextmanager
def written_as(session: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
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


def save(writer: DataFrameWriter, ref: TableRef) -> None:
    """Run a writer into the table."""
    if ref.path is not None:
        writer.save(ref.path)
    else:
        writer.saveAsTable(ref.identifier)


def drop_table(session: SparkSession, ref: TableRef) -> None:
    """Remove the table with its files, if it is there."""
    if ref.path is not None:
        storage.remove(session, ref.path)
    else:
        session.sql(f"DROP TABLE IF EXISTS {ref.identifier}")


def set_properties(session: SparkSession, ref: TableRef, properties: Mapping[str, str]) -> None:
    """Set table properties (keys get the prefix `spladelake.`) unless they already hold these values."""
    wanted = {f"spladelake.{key}": value for key, value in properties.items()}
    if wanted and not wanted.items() <= table_properties(session, ref).items():
        session.sql(f"ALTER TABLE {ref.identifier} SET TBLPROPERTIES ({property_list(properties)})")


def property_list(properties: Mapping[str, str]) -> str:
    """Table properties (keys get the prefix `spladelake.`) as SQL writes them."""
    return ", ".join(f"{sql_string(f'spladelake.{key}')} = {sql_string(value)}" for key, value in properties.items())


def table_properties(session: SparkSession, ref: TableRef) -> dict[str, str]:
    """All properties of the table."""
    return delta_log.all_properties(session, ref)
