"""Refusal of vectors that cannot be joined, before any of them is: the table and a row are named."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import same_condition
from spladelake.spark.tables.schemas import VECTORS

# What a row breaks, said as what was found; the conditions are the table's own constraints.
_FOUND = {
    "id_present": ("the id is null", "wanted an id"),
    "same_length": ("indices and values differ in length", "wanted a weight for each term"),
    "weights_positive": ("a weight is null, not finite or not above 0", "wanted finite weights above 0"),
    "terms_valid": ("a term id is null or below 0", "wanted term ids from 0"),
    "terms_ascend": ("the term ids do not ascend, or one stands twice", "wanted ascending term ids, each once"),
    "model_present": ("the model_id is null", "wanted the model of the vector"),
}
_FIX = "Find the row and encode it again; the encoder never writes such a vector."


@dataclass(frozen=True)
class Survey:
    """What one reading of a table of vectors says: rows, an example id of each model_id, and the highest term id."""

    rows: int
    examples: dict[str | None, str | None]
    highest: int | None


def surveyed(rows: DataFrame) -> Survey:
    """Survey a table of vectors in Spark."""
    last = F.expr("get(indices, size(indices) - 1)")
    by_model = rows.groupBy("model_id").agg(
        F.min("id").alias("id"), F.count("*").alias("rows"), F.max(last).alias("highest")
    )
    found = sorted(by_model.collect(), key=lambda row: str(row["model_id"]))
    return Survey(
        sum(row["rows"] for row in found),
        {row["model_id"]: row["id"] for row in found},
        max((row["highest"] for row in found if row["highest"] is not None), default=None),
    )


def surveyed_table(table: pa.Table) -> Survey:
    """Survey (id, indices, model_id) rows that are here already."""
    by_model = table.select(["model_id", "id"]).group_by("model_id").aggregate([("id", "min")]).to_pylist()
    by_model.sort(key=lambda row: str(row["model_id"]))
    highest = pc.max(pc.list_flatten(table.column("indices"))).as_py()
    return Survey(table.num_rows, {row["model_id"]: row["id_min"] for row in by_model}, highest)


def check_same_model(*tables: tuple[TableRef, Survey]) -> None:
    """Refuse vectors of different models, whose dimensions or weights do not mean the same; names the first table."""
    examples = {str(ref): survey.examples for ref, survey in tables}
    models = {model_id for of_table in examples.values() for model_id in of_table}
    if len(models) > 1:
        said = "; ".join(
            f"{table} has {', '.join(f'{str(m)[:12]} (for example id {i!r})' for m, i in of_table.items())}"
            for table, of_table in examples.items()
        )
        raise DataError(
            str(tables[0][0]),
            f"the vectors are of {len(models)} models ({said})",
            "wanted one model_id",
            "Encode all of them again with the same model and settings.",
        )


def vocabulary_size(session: SparkSession, documents: TableRef, queries: TableRef) -> int:
    """Dimensions of the vectors on both sides, which must be the same."""
    sizes = {}
    for ref in (documents, queries):
        found = table_properties(session, ref).get("spladelake.vocabulary_size")
        if found is None:
            raise DataError(
                str(ref),
                "its table properties lack the number of dimensions",
                "wanted spladelake.vocabulary_size",
                "Run encode_texts again: it repairs the table properties.",
            )
        sizes[str(ref)] = int(found)
    if len(set(sizes.values())) > 1:
        raise DataError(
            str(documents),
            f"its vectors have {sizes[str(documents)]:,} dimensions, those of {queries} {sizes[str(queries)]:,}",
            "wanted one vocabulary",
            "Encode both sides with the same model.",
        )
    return sizes[str(documents)]


def largest_weight(rows: DataFrame) -> float:
    """The largest weight of all vectors; 0 where there is none."""
    row = rows.agg(F.coalesce(F.max(F.array_max("values")), F.lit(0.0)).alias("largest")).first()
    assert row is not None
    return float(row["largest"])


def check_rows(session: SparkSession, ref: TableRef, rows: DataFrame, survey: Survey, *, size: int) -> None:
    """Refuse a table of vectors of which a row breaks an invariant, naming the row.

    Delta enforces the table's own constraints at every write: if the table has them all, term ids ascend, and only
    the highest is looked at, since no constraint knows the size of the vocabulary.
    """
    properties = table_properties(session, ref)
    enforced = all(
        same_condition(properties.get(f"delta.constraints.{name}"), sql) for name, sql in VECTORS.constraints.items()
    )
    if enforced and (survey.highest is None or survey.highest < size):
        return
    conditions = {**VECTORS.constraints, "terms_known": f"size(indices) = 0 OR array_max(indices) < {size}"}
    broken = F.coalesce(
        *(F.when(~F.coalesce(F.expr(sql), F.lit(False)), F.lit(name)) for name, sql in conditions.items())
    )
    row = rows.select("id", "indices", broken.alias("broken")).where("broken IS NOT NULL").first()
    if row is not None:
        known = f"the vocabulary ends at {size - 1}"
        found, wanted = _FOUND.get(row["broken"], (f"it has term {max(row['indices'] or [0])}", known))
        raise DataError(f"{ref}, id {row['id']!r}", found, wanted, _FIX)
