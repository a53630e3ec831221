"""Differences between texts and their vectors, and the one commit that removes these differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

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
    """Differences between texts and vectors.

    - rows: number of texts.
    - kept: number of texts with a current vector.
    - new: number of texts whose id has no vector.
    - gone: number of vectors whose id has no text.
    - mean_bytes: mean size of a text that needs a vector.
    - changed: (id, text, text_sha256, repaired) of the texts that need a vector.
    - unwanted: ids of vectors to delete or replace; None if no vector is kept.
    - partial: whether only some texts were compared; the vectors of all others stay.
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
        """Number of texts that need a vector."""
        return self.rows - self.kept


def difference(
    texts: DataFrame, vectors: DataFrame | None, *, model_id: str, check_ids: Callable[[DataFrame], None]
) -> Difference:
    """Compare texts (id, text, text_sha256, repaired) with their vectors by id, hash and model.

    - vectors: `vectors` rows; None keeps no vector.
    - check_ids: raises DataError for (id, …) rows with a null id, or with an id that occurs twice. It is called only if
      there is such a row.
    """
    if vectors is None:
        size = F.avg(F.octet_length("text")).alias("mean_bytes")
        counts = texts.agg(F.count("*").alias("rows"), F.count_distinct("id").alias("ids"), size).first()
        assert counts is not None
        if counts["rows"] != counts["ids"]:
            check_ids(texts)
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
        # An id has two vectors, so another program wrote to the table: keep none of its vectors.
        return difference(texts, None, model_id=model_id, check_ids=check_ids)
    if counts["rows"] != counts["ids"]:
        check_ids(texts)
    same = _same_id() & current
    changed = texts.join(have, same, "left_anti")
    unwanted = have.join(keys, same, "left_anti").select(F.col("have_id").alias("id"))
    return Difference(
        counts["rows"], counts["kept"], counts["new"], counts["gone"], counts["mean_bytes"] or 0.0, changed, unwanted
    )


def _once(frame: DataFrame, key: str, *, rows: str) -> DataFrame:
    """Return one row for each key, and the number of rows that had it.

    This costs almost nothing before a join on the key. Counting distinct keys after the join would shuffle all rows
    again.
    """
    others = (F.first(name).alias(name) for name in frame.columns if name != key)
    return frame.groupBy(key).agg(F.count("*").alias(rows), *others)


def _same_id() -> Column:
    return F.col("id") == F.col("have_id")


def _is_current(model_id: str) -> Column:
    """Whether a vector belongs to the text: same hash, same model, and both or neither repaired."""
    encoded = F.col("have_status").isin("ok", "repaired")
    same_status = ~encoded | ((F.col("have_status") == "repaired") == F.col("repaired"))
    same_text = F.col("text_sha256").eqNullSafe(F.col("have_sha256"))
    return F.coalesce(same_text & (F.col("have_model") == model_id) & same_status, F.lit(False))


def merge_rows(
    session: SparkSession, ref: TableRef, schema: TableSchema, changes: DataFrame, *, key: tuple[str, ...],
    inserts: bool, lineage: Lineage,
) -> int:  # fmt: skip
    """Change only the given rows of a table, in one commit; return the table's version.

    Rows that do not change stay out of the table's change feed.

    - changes: the schema's columns and a boolean `_deleted`, each key once. Delta reads it twice, so it must be cheap.
    - inserts: whether keys may be new. If not, Delta broadcasts the changes instead of shuffling the whole table.

    Raises Delta's error if another writer conflicts: the caller must then compute the changes again.
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
    """Record that the lineage describes the table's present rows, and set properties; return the table's version.

    This is one commit that changes no row.
    """
    with exclusive(str(ref)), commit_metadata(session, lineage.as_json()):
        session.sql(f"ALTER TABLE {ref.identifier} SET TBLPROPERTIES ({property_list(properties)})")
        return ref.version(session)
