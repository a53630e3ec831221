"""References to tables in a folder or in a catalog."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from delta.tables import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from spladelake.errors import UsageError
from spladelake.spark.session.connect import is_connect
from spladelake.spark.tables import delta_log
from spladelake.spark.tables.accesses import note_read
from spladelake.spark.tables.delta.small_tables import small_rows
from spladelake.spark.tables.split_files import make_readable
from spladelake.spark.tables.sql_text import quoted, quoted_parts

SCHEMA_PREFIX = "schema:"
# Signs in the error of a folder that is missing or holds no Delta table.
_ABSENT = re.compile(r"PATH_(?:DOES_)?NOT|MISSING_DELTA_TABLE|TABLE_NOT_FOUND|NOT_A_DELTA_TABLE|FileNotFoundException")


@dataclass(frozen=True)
class TableRef:
    """The place of a Delta table: a folder (`path`), or a dotted name in the session's catalog (`name`)."""

    path: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        return self.path or self.name or ""

    @classmethod
    def parse(cls, text: str) -> TableRef:
        """Return the reference that `str` wrote as text. A path has a slash, a catalog name has none."""
        return cls(path=text) if "/" in text else cls(name=text)

    @property
    def identifier(self) -> str:
        """The table's name in Spark SQL."""
        if self.path is not None:
            return f"delta.{quoted(self.path)}"
        return quoted_parts(self.name or "")

    def delta(self, session: SparkSession) -> DeltaTable:
        """Return Delta's handle on the table, which must exist. Spark Connect has none."""
        if self.path is not None:
            return DeltaTable.forPath(session, self.path)
        return DeltaTable.forName(session, self.identifier)

    def exists(self, session: SparkSession) -> bool:
        """Return whether the Delta table exists."""
        if self.path is not None and is_connect(session):
            return self._is_described(session)
        if self.path is not None:
            return bool(DeltaTable.isDeltaTable(session, self.path))
        return session.catalog.tableExists(self.identifier)

    def _is_described(self, session: SparkSession) -> bool:
        try:
            self.detail(session).first()
        except PySparkException as error:
            if _ABSENT.search(str(error)):
                return False
            raise
        return True

    def history(self, session: SparkSession, most: int | None = None) -> DataFrame:
        """Return the rows of DESCRIBE HISTORY, newest first.

        - most: number of commits; None for all that the log still holds.
        """
        return session.sql(f"DESCRIBE HISTORY {self.identifier}{'' if most is None else f' LIMIT {most}'}")

    def detail(self, session: SparkSession) -> DataFrame:
        """Return the row of DESCRIBE DETAIL."""
        return session.sql(f"DESCRIBE DETAIL {self.identifier}")

    def version(self, session: SparkSession) -> int:
        """Return the number of the table's newest commit."""
        return delta_log.newest_version(session, self)

    def read(self, session: SparkSession, *, version: int | None = None) -> DataFrame:
        """Return the table's rows, at a version if one is given. The driver reads those of a small table now."""
        make_readable(session, self)
        rows = small_rows(session, self.path, version)
        if rows is None:
            return self._scanned(session, version)
        if version is not None:
            note_read(str(self), version)
        return rows

    def scan(self, session: SparkSession, *, version: int | None = None) -> DataFrame:
        """Return the table's rows as a scan of its data files, so that the plan knows the files."""
        make_readable(session, self)
        return self._scanned(session, version)

    def _scanned(self, session: SparkSession, version: int | None) -> DataFrame:
        if version is None and not is_connect(session):
            return self.delta(session).toDF()
        reader = session.read.format("delta")
        if version is not None:
            note_read(str(self), version)
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path) if self.path is not None else reader.table(self.identifier)


@dataclass(frozen=True)
class Lake:
    """The tables of one collection, in a folder or in a catalog schema written `schema:NAME`."""

    root: str

    def __post_init__(self) -> None:
        if not self.root or self.root == SCHEMA_PREFIX:
            raise UsageError(
                "--lake",
                "the value is empty",
                "wanted a folder or schema:NAME",
                "Set --lake to the folder or the schema of the tables.",
            )

    def table(self, name: str) -> TableRef:
        """Return a table of the collection: documents, queries, judgements, runs, measures, quarantine."""
        return self._ref(name)

    def vectors(self, model: str, side: str) -> TableRef:
        """Return the vectors of one side (documents, queries) under a model's short name, or its vocabulary."""
        return self._ref("vectors", model, side)

    def staged(self, model: str, side: str) -> TableRef:
        """Return the table of vectors that an unfinished encode has made so far. The finished encode removes it."""
        return self._ref("vectors", model, f"{side}_staged")

    def changed(self, model: str, side: str) -> TableRef:
        """Return the table of ids whose texts a stream saw change and whose vectors are still the old ones."""
        return self._ref("vectors", model, f"{side}_changed")

    def training(self, training_set: str, name: str) -> TableRef:
        """Return a table of a training set: parts, pairs, teacher_scores, scored_pairs."""
        return self._ref("training", training_set, name)

    def _ref(self, *parts: str) -> TableRef:
        if self.root.startswith(SCHEMA_PREFIX):
            schema = self.root.removeprefix(SCHEMA_PREFIX)
            return TableRef(name=f"{schema}.{re.sub(r'[^0-9A-Za-z]+', '_', '_'.join(parts))}")
        root = self.root if "://" in self.root else str(Path(self.root).expanduser().absolute())
        return TableRef(path="/".join([root.rstrip("/"), *parts]))
