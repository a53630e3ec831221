"""The table of texts that vectors are made of: a table of the lake, or a table of the user that is read in place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, FractionalType, StringType, StructField

from spladelake.config import EncodeTexts
from spladelake.errors import DataError, UsageError
from spladelake.files.columns import chosen_columns, option_of
from spladelake.names import amount, closest
from spladelake.spark.encode.texts import SIDES, Side, SideName, hashed, texts_of
from spladelake.spark.ingest.column_values import can_be_id, id_text, number_fault
from spladelake.spark.ingest.columns import id_fault
from spladelake.spark.ingest.source import table_ref
from spladelake.spark.session.expressions import as_text, condition_on, expression_on
from spladelake.spark.tables import storage
from spladelake.spark.tables.create import require
from spladelake.spark.tables.driver_rows import row_count
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import DOCUMENTS, QUERIES
from spladelake.spark.tables.sql_text import quoted
from spladelake.spark.tables.suggestions import made_by

# The property of vectors that says how the table of their texts was read. It is empty or missing for vectors of all
# rows of a lake's own table.
PROPERTY = "texts"


@dataclass(frozen=True)
class TextTable:
    """The table of the texts of one side.

    - where: SQL condition on its rows; None takes all.
    - id: SQL expression of the ids; None if the table is the lake's own.
    - text: SQL expression of the texts; None joins the columns of the side.
    - columns: for each text column of the side its name in the table, None if there is none. Empty for the lake's own.
    """

    ref: TableRef
    side: Side
    where: str | None = None
    id: str | None = None
    text: str | None = None
    columns: tuple[tuple[str, str | None], ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether the table is the lake's own."""
        return self.id is None

    def read(self, session: SparkSession, *, version: int | None = None) -> DataFrame:
        """Return the rows of the table that are encoded."""
        return self.encoded(self.ref.read(session, version=version))

    def encoded(self, rows: DataFrame) -> DataFrame:
        """Return those of all rows of the table that are encoded."""
        return rows if self.where is None else rows.where(F.expr(self.where))

    def count(self, session: SparkSession, *, version: int) -> int:
        """Return the number of these rows."""
        if self.where is None:
            return row_count(session, self.ref, version=version)
        return self.read(session, version=version).count()

    def ids(self, rows: DataFrame) -> Column:
        """Return the ids of rows as text. An id that cannot be used is null: a null, a blank, a number such as 1.5."""
        if self.id is None:
            return F.col(self.side.id_column)
        value = F.expr(self.id)
        field = StructField(self.side.id_column, _type_of(rows, value))
        text = id_text(field, value)
        fault = F.coalesce(id_fault("", text), *([] if (wrong := number_fault(field, text)) is None else [wrong]))
        return F.when(fault.isNull(), text)

    def shown(self, rows: DataFrame) -> DataFrame:
        """Return the id and the text columns of the side, as the lake's own table has them."""
        if self.is_own:
            return rows.select(self.side.id_column, *self.side.text_columns)
        columns = {name: F.lit(None).cast("string") if of is None else F.col(quoted(of)) for name, of in self.columns}
        if self.text is not None:
            columns["text"] = F.expr(self.text)
        return rows.select(
            self.ids(rows).alias(self.side.id_column),
            *(columns[name].alias(name) for name in self.side.text_columns),
        )

    def parts(self, rows: DataFrame) -> DataFrame:
        """Return the id and what is encoded, title and text apart. An expression of texts has no title."""
        shown = self.shown(rows)
        return shown if self.text is None else shown.withColumn("title", F.lit(None).cast("string"))

    def texts(self, rows: DataFrame) -> DataFrame:
        """Return (id, text, text_sha256, repaired) of rows of the table."""
        if self.text is None:
            return texts_of(self.shown(rows), self.side)
        return hashed(rows.select(self.ids(rows).alias("id"), F.expr(self.text).alias("text")))

    def query(self, rows: DataFrame) -> str:
        """Return SQL that gives the columns of the lake's own table, and after them the others of the table."""
        kind = _type_of(rows, F.expr(self.id or self.side.id_column))
        whole = f"CAST({self.id} AS DECIMAL(38, 0))" if isinstance(kind, FractionalType) else self.id
        texts = {name: "CAST(NULL AS STRING)" if of is None else quoted(of) for name, of in self.columns}
        if self.text is not None:
            texts["text"] = self.text
        columns = {self.side.id_column: f"CAST({whole} AS STRING)", **{c: texts[c] for c in self.side.text_columns}}
        others = [quoted(name) for name in rows.columns if name not in columns]
        listed = ", ".join([*(f"{sql} AS {name}" for name, sql in columns.items()), *others])
        where = "" if self.where is None else f" WHERE {self.where}"
        return f"SELECT {listed} FROM {self.ref.identifier}{where}"  # noqa: S608

    def newest_texts(self, session: SparkSession, version: int | None = None) -> DataFrame:
        """Return (id, text, text_sha256, repaired) of all rows that are encoded."""
        return self.texts(self.read(session, version=version))

    def settings(self) -> dict[str, Any]:
        """Return what decides which texts there are, for the lineage of their vectors."""
        where = {} if self.where is None else {"where": self.where}
        if self.is_own:
            return {"text_columns": list(self.side.text_columns), **where}
        return {"id": self.id, "text": self.text, "text_columns": dict(self.columns), **where}

    def property(self) -> str:
        """Return the value of PROPERTY."""
        said = {"id": self.id, "text": self.text, "columns": self.columns, "where": self.where}
        return "" if self.is_own and self.where is None else json.dumps(said)

    def check_ids(self, texts: DataFrame, *, reason: str = "the scores of a repeated id would add up") -> None:
        """Raise DataError if a text has no usable id, or if an id occurs twice.

        texts: (id, …) rows. reason: why an id may not occur twice.
        """
        if none := texts.where(F.col("id").isNull()).count():
            lacking = f"{amount(none, 'row has', 'rows have')} no usable id in {self.id or self.side.id_column}"
            found = f"{lacking}: the id is null, blank, invalid UTF-8, or a number that is not whole or not exact"
            fix = self._ways("Correct these rows", "puts such rows into quarantine")
            raise DataError(str(self.ref), found, "wanted an id in every row", fix)
        rows = texts.groupBy("id").count().where("count > 1")
        if (first := rows.orderBy("id").first()) is not None:
            found = f"the id {first['id']!r} is in {first['count']:,} rows"
            fix = self._ways("Remove the repeated rows", "keeps the first row of an id")
            raise DataError(str(self.ref), found, f"wanted each id once, because {reason}", fix)

    def _ways(self, first: str, effect: str) -> str:
        """Return the ways to mend rows. effect: of ingest_texts, if the table is not the lake's own."""
        if self.is_own:
            return f"{first}."
        where = ", leave them out with --where" if self.side.name == "documents" else ""
        return f"{first}{where}, or ingest the table with ingest_texts, which {effect}."


def _type_of(rows: DataFrame, value: Column) -> DataType:
    return rows.select(value.alias("value")).schema["value"].dataType


def sides_of(session: SparkSession, lake: Lake, options: EncodeTexts) -> list[SideName]:
    """Return the sides to encode. If an option names a table, `--side both` leaves out a side without any table."""
    if options.side != "both":
        return [options.side]
    both = list(SIDES.values())
    if options.documents or options.queries:
        both = [s for s in both if getattr(options, s.name) or lake.table(s.name).exists(session)]
    return [side.name for side in both]


def text_table(session: SparkSession, lake: Lake, name: SideName, options: EncodeTexts) -> TextTable:
    """Return the table of one side that an encode reads.

    Raises DataError if it is missing, UsageError if an expression of the options does not fit its columns.
    """
    side, location = SIDES[name], getattr(options, name)
    where = options.where if name == "documents" else None
    if location is None:
        schema = DOCUMENTS if name == "documents" else QUERIES
        rows = require(session, lake.table(name), schema, made_by=made_by("ingest_texts", lake, **{name: "FILE"}))
        table = TextTable(lake.table(name), side, where)
    else:
        ref = _found(session, location, option=f"--{name}")
        rows = ref.read(session)
        table = _read_as(rows, ref, side, options, where)
    if where is not None:
        condition_on(rows, where, option="--where")
    return table


def _found(session: SparkSession, location: str, *, option: str) -> TableRef:
    """Return the Delta table of an option. Raises DataError if there is none."""
    ref = table_ref(location)
    if ref.path is not None:
        ref = TableRef(path=storage.absolute(ref.path))
    names = "table:NAME for a table of the session's catalog, or table:/FOLDER for a Delta table in a folder"
    fix = f"Set {option} to {names}."
    try:
        exists = ref.exists(session)
    except AnalysisException:
        exists = False
    if not exists:
        near = None if ref.name is None else closest(ref.name, _tables_beside(session, ref.name))
        wanted = "wanted a Delta table" if near is None else f"did you mean table:{near}?"
        raise DataError(str(ref), "there is no such table", wanted, fix)
    try:
        ref.version(session)
    except AnalysisException:
        found, fix = "it is a view, or a table of another format", "Write its rows to a Delta table first."
        raise DataError(str(ref), found, "wanted a Delta table", fix) from None
    return ref


def _tables_beside(session: SparkSession, name: str) -> list[str]:
    """Return the full names of the tables in the schema of a table."""
    schema, _, _ = name.rpartition(".")
    inside = f" IN {TableRef(name=schema).identifier}" if schema else ""
    try:
        names = [row["tableName"] for row in session.sql(f"SHOW TABLES{inside}").where("NOT isTemporary").collect()]
    except AnalysisException:
        return []
    return [f"{schema}.{found}" if schema else found for found in names]


def _read_as(rows: DataFrame, ref: TableRef, side: Side, options: EncodeTexts, where: str | None) -> TextTable:
    """Return the table with the expressions of the options, or with columns of usual names."""
    given = {part: _as_sql(rows, getattr(options, f"{side.kind}_{part}")) for part in ("id", "text")}
    missing = {column: column for column, value in ((side.id_column, given["id"]), ("text", given["text"])) if value}
    # A column with an expression needs no usual name.
    present = [*rows.columns, *(name for name in missing if name not in rows.columns)]
    columns = chosen_columns(side.name, missing, present, place=str(ref))
    found_id = given["id"] or quoted(columns[side.id_column] or "")
    _check_kind(rows, found_id, option=option_of(side.name, side.id_column), is_id=True)
    if given["text"]:
        _check_kind(rows, given["text"], option=option_of(side.name, "text"), is_id=False)
        # The title is only shown, in a search for example.
        title = columns.get("title")
        if title is not None and not isinstance(rows.schema[title].dataType, StringType):
            columns["title"] = None
        return TextTable(ref, side, where, found_id, given["text"], (("title", columns.get("title")),))
    texts = tuple((name, columns[name]) for name in side.text_columns)
    for name, of in texts:
        if of is not None:
            _check_kind(rows, quoted(of), option=option_of(side.name, name), is_id=False)
    return TextTable(ref, side, where, found_id, None, texts)


def _as_sql(rows: DataFrame, given: str | None) -> str | None:
    """Return the expression of an option. The plain name of a column needs no back-ticks."""
    return quoted(given) if given in rows.columns and given is not None else given


def _check_kind(rows: DataFrame, expression: str, *, option: str, is_id: bool) -> None:
    """Raise UsageError if an expression does not fit the table's columns, or gives values of another type."""
    kind = _type_of(rows, expression_on(rows, expression, option=option))
    if not (can_be_id(kind) if is_id else isinstance(kind, StringType)):
        wanted = "wanted text or whole numbers" if is_id else "wanted text"
        place, fix = (
            f"{option} {expression!r}",
            f"Set {option} to another expression, such as {as_text(expression, kind)}.",
        )
        if option == "--document-title":  # encode_texts has no such option
            place, fix = f"column {expression}", "Rename the column, or set --document-text to the text to encode."
        raise UsageError(place, f"the type is {kind.simpleString()}", wanted, fix)


def texts_of_vectors(session: SparkSession, lake: Lake, vectors: TableRef, name: SideName) -> TextTable:
    """Return the table of the texts that vectors were made of, which may be missing.

    - vectors: the table of vectors, which may be missing too.
    """
    properties = table_properties(session, vectors) if vectors.exists(session) else {}
    return noted_text_table(lake, properties, name)


def noted_text_table(lake: Lake, properties: Mapping[str, str], name: SideName) -> TextTable:
    """Return the table of the texts that the properties of a table of vectors tell."""
    how = json.loads(properties.get(f"spladelake.{PROPERTY}") or "{}")
    if how.get("id") is None:
        return TextTable(lake.table(name), SIDES[name], how.get("where"))
    columns = tuple((column, of) for column, of in how["columns"])
    ref = TableRef.parse(properties["spladelake.source"])
    return TextTable(ref, SIDES[name], how["where"], how["id"], how["text"], columns)


def required_texts(session: SparkSession, lake: Lake, vectors: TableRef) -> TextTable:
    """Return the table of the texts that vectors of documents were made of. Raises DataError if it is missing."""
    table = texts_of_vectors(session, lake, vectors, "documents")
    if table.is_own:
        require(session, table.ref, DOCUMENTS, made_by=made_by("ingest_texts", lake, documents="FILE"))
    elif not table.ref.exists(session):
        raise DataError(
            str(table.ref), f"there is no such table, but the vectors of {vectors} were made of it",
            "wanted the table of the documents", "Restore the table, or encode the documents from their new place.",
        )  # fmt: skip
    return table
