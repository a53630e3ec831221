"""What differs between texts and the vectors made of them, and the one commit that makes it equal again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.spark.session.settings import commit_metadata, session_settings
from spladelake.spark.tables.accesses import note_written
from spladelake.spark.tables.create import ensure_table
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.locks import exclusive
from spladelake.spark.tables.properties import property_list
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema

DELETED = "_deleted"


@dataclass(frozen=True)
class Difference:
    """Texts against vectors.

    rows: texts. kept: those with a current vector. new: those whose id has no vector. gone: vectors without their text.

    changed: (id, text, text_sha256, repaired) that need a vector. mean_bytes: of such a text. unwanted: ids of vectors
    that no text stands for, or another text. partial: whether other texts, not looked at, keep their vectors.
    """

    rows: int
    kept: int
    new: int
    gone: int
    mean_bytes: float
    changed: DataFrame
    unwanted: DataFrame | None
    partial: bool = False

    @property
    def count(self) -> int:
        """Texts that need a vector."""
        return self.rows - self.kept


def difference(texts: DataFrame, vectors: DataFrame | None, *, model_id: str, place: str) -> Difference:
    """Compare texts (id, text, text_sha256, repaired) with the vectors there are, by id, hash and model.

    vectors None: nothing is kept. Raises DataError where an id stands twice in the texts.
    """
    if vectors is None:
        size = F.avg(F.octet_length("text")).alias("mean_bytes")
        counts = texts.agg(F.count("*").alias("rows"), F.count_distinct("id").alias("ids"), size).first()
        assert counts is not None
        _check_ids(counts["rows"], counts["ids"], place)
        return Difference(counts["rows"], 0, counts["rows"], 0, counts["mean_bytes"] or 0.0, texts, None)
    have = vectors.select(
        F.col("id").alias("have_id"),
        F.col("text_sha256").alias("have_sha256"),
        F.col("status").alias("have_status"),
        F.col("model_id").alias("have_model"),
    )
    keys = texts.select("id", "text_sha256", "repaired", F.octet_length("text").alias("bytes"))
    current = _is_current(model_id)
    counts = (
        _once(keys, "id", rows="rows")
        .join(_once(have, "have_id", rows="vectors"), _same_id(), "full_outer")
        .agg(
            F.coalesce(F.sum("rows"), F.lit(0)).alias("rows"),
            F.count("id").alias("ids"),
            F.avg(F.when(~current, F.col("bytes"))).alias("mean_bytes"),
            F.count_if(current).alias("kept"),
            F.count_if(F.col("have_id").isNull()).alias("new"),
            F.count_if(F.col("id").isNull()).alias("gone"),
            F.coalesce(F.sum("vectors"), F.lit(0)).alias("vectors"),
            F.count("have_id").alias("vector_ids"),
        )
        .first()
    )
    assert counts is not None
    if counts["vectors"] != counts["vector_ids"]:
        # Somebody else wrote to the table: nothing of it can be trusted.
        return difference(texts, None, model_id=model_id, place=place)
    _check_ids(counts["rows"], counts["ids"], place)
    same = _same_id() & current
    changed = texts.join(have, same, "left_anti")
    unwanted = have.join(keys, same, "left_anti").select(F.col("have_id").alias("id"))
    return Difference(
        counts["rows"], counts["kept"], counts["new"], counts["gone"], counts["mean_bytes"] or 0.0, changed, unwanted
    )


def _once(frame: DataFrame, key: str, *, rows: str) -> DataFrame:
    """One row of each key, and how many there were.

    Before a join on the key this costs next to nothing, where counting different keys after it shuffles all rows again.
    """
    others = (F.first(name).alias(name) for name in frame.columns if name != key)
    return frame.groupBy(key).agg(F.count("*").alias(rows), *others)


def _same_id() -> Column:
    return F.col("id") == F.col("have_id")


def _is_current(model_id: str) -> Column:
    """Whether a vector is that of the text: the same hash and model, and the same word on whether it was repaired."""
    encoded = F.col("have_status").isin("ok", "repaired")
    same_status = ~encoded | ((F.col("have_status") == "repaired") == F.col("repaired"))
    same_text = F.col("text_sha256").eqNullSafe(F.col("have_sha256"))
    return F.coalesce(same_text & (F.col("have_model") == model_id) & same_status, F.lit(False))


def _check_ids(rows: int, ids: int, place: str) -> None:
    if ids != rows:
        raise DataError(
            place,
            f"it has {rows:,} rows but {ids:,} different ids",
            "every id must stand once: the scores of repeated ones would add up",
            "Remove the repeated rows.",
        )


def merge_rows(
    session: SparkSession, ref: TableRef, schema: TableSchema, changes: DataFrame, *, key: tuple[str, ...],
    inserts: bool, lineage: Lineage,
) -> int:  # fmt: skip
    """Change the named rows of a table in one commit, and no other; returns the table's version.

    changes: the schema's columns and a boolean `_deleted`, each key once; it must be cheap to read twice. Rows that
    are not in it stay out of the table's change feed. inserts: whether keys may be new; without any, Delta broadcasts
    the changes instead of shuffling the whole table.
    A conflict with another writer is raised: what changes must then be found anew.
    """
    ensure_table(session, ref, schema)
    new = {name: F.col(f"new.`{name}`") for name in schema.column_names}
    same = F.expr(" AND ".join(f"old.`{name}` = new.`{name}`" for name in key))
    builder = ref.delta(session).alias("old").merge(changes.alias("new"), same)
    builder = builder.whenMatchedDelete(F.col(f"new.{DELETED}"))
    builder = builder.whenMatchedUpdate(set=dict(new))
    if inserts:
        builder = builder.whenNotMatchedInsert(~F.col(f"new.{DELETED}"), values=dict(new))
    with exclusive(str(ref)), session_settings(session, schema.files), commit_metadata(session, lineage.as_json()):
        builder.execute()
        version = ref.version(session)
    note_written(str(ref), version)
    return version


def mark_current(session: SparkSession, ref: TableRef, properties: Mapping[str, str], *, lineage: Lineage) -> int:
    """Record that the table's rows, as they are, are what the lineage makes, and what its properties then say.

    One commit that touches no row; returns the table's version.
    """
    with exclusive(str(ref)), commit_metadata(session, lineage.as_json()):
        session.sql(f"ALTER TABLE {ref.identifier} SET TBLPROPERTIES ({property_list(properties)})")
        return ref.version(session)
