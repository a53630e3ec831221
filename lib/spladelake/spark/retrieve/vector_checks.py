"""Refuse vectors that break an invariant before any join. The error names the table and a row."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.names import listed
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import same_condition
from spladelake.spark.tables.schemas import VECTORS
from spladelake.spark.tables.sql_text import sql_string

# Found and wanted, by the name of the constraint that a row breaks. The conditions are the table's own constraints.
_FOUND = {
    "id_present": ("the id is null", "wanted an id"),
    "arrays_present": ("indices or values is null", "wanted term ids and weights"),
    "same_length": ("indices and values differ in length", "wanted one weight for each term id"),
    "weights_positive": ("a weight is null, not finite or not above 0", "wanted finite weights above 0"),
    "terms_valid": ("a term id is null or below 0", "wanted term ids from 0"),
    "terms_ascend": ("the term ids do not ascend, or one occurs twice", "wanted ascending term ids, each once"),
    "model_present": ("the model_id is null", "wanted the model of the vector"),
}
_FIX = "Correct this row, or encode its text again."
_ARRAYS_PRESENT = "indices IS NOT NULL AND `values` IS NOT NULL"


@dataclass(frozen=True)
class Survey:
    """Facts from one scan of a table of vectors.

    - rows: number of rows.
    - examples: an example id of each model_id.
    - highest: highest term id; None if there is no term.
    """

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
    """Survey (id, indices, model_id) rows in the driver."""
    by_model = table.select(["model_id", "id"]).group_by("model_id").aggregate([("id", "min")]).to_pylist()
    by_model.sort(key=lambda row: str(row["model_id"]))
    highest = pc.max(pc.list_flatten(table.column("indices"))).as_py()
    return Survey(table.num_rows, {row["model_id"]: row["id_min"] for row in by_model}, highest)


def check_same_model(*tables: tuple[TableRef, Survey]) -> None:
    """Raise DataError if the vectors are of different models, whose dimensions or weights differ in meaning."""
    examples = {str(ref): survey.examples for ref, survey in tables}
    models = {model_id for of_table in examples.values() for model_id in of_table}
    if len(models) > 1:
        said = [
            f"model_id {str(model_id)[:12]} of the vector {one!r} in {table}"
            for table, of_table in examples.items()
            for model_id, one in of_table.items()
        ]
        raise DataError(
            str(tables[0][0]),
            f"the vectors come from {len(models)} models: {listed(said, 'and')}",
            "wanted the same model_id in every row",
            "Encode documents and queries again with one --model and the same options, or import both with one --like.",
        )


def vocabulary_size(session: SparkSession, documents: TableRef, queries: TableRef) -> int:
    """Return the number of dimensions of both sides' vectors. Raises DataError if a table lacks it or they differ."""
    sizes = {}
    for ref in (documents, queries):
        found = table_properties(session, ref).get("spladelake.vocabulary_size")
        if found is None:
            raise DataError(
                str(ref),
                "the table has no property spladelake.vocabulary_size",
                "wanted the number of dimensions in this property",
                "To restore the property, rerun the job that wrote the vectors, such as encode_texts.",
            )
        sizes[str(ref)] = int(found)
    if len(set(sizes.values())) > 1:
        raise DataError(
            str(documents),
            f"the vectors have {sizes[str(documents)]:,} dimensions, but the vectors in {queries} have "
            f"{sizes[str(queries)]:,}",
            "wanted one vocabulary for documents and queries",
            "Encode documents and queries with the same model, or import both with one --like.",
        )
    return sizes[str(documents)]


def largest_weight(rows: DataFrame) -> float:
    """Return the largest weight of all vectors; 0 if there is none."""
    row = rows.agg(F.coalesce(F.max(F.array_max("values")), F.lit(0.0)).alias("largest")).first()
    assert row is not None
    return float(row["largest"])


def check_rows(session: SparkSession, ref: TableRef, rows: DataFrame, survey: Survey, *, size: int) -> None:
    """Raise DataError, which names the row, if a vector breaks an invariant; for readers that check rows again.

    Delta enforces the table's own constraints at every write. If the table has all of them, term ids ascend, and this
    check reads only the highest: no constraint knows the size of the vocabulary. An engine that ignores constraints
    may still have written bad rows. `vectors_of` finds them in the worker; a reader without it calls
    `check_every_row` instead.

    - size: size of the vocabulary.
    """
    properties = table_properties(session, ref)
    enforced = all(
        same_condition(properties.get(f"delta.constraints.{name}"), sql) for name, sql in VECTORS.constraints.items()
    )
    if enforced and (survey.highest is None or survey.highest < size):
        return
    check_every_row(ref, rows, size=size)


def check_every_row(ref: TableRef, rows: DataFrame, *, size: int) -> None:
    """Raise DataError, which names the row, if a vector breaks an invariant, whichever engine wrote it.

    Reads indices and values of all rows.

    - size: size of the vocabulary.
    """
    broken = F.coalesce(
        *(F.when(~F.coalesce(F.expr(sql), F.lit(False)), F.lit(name)) for name, sql in _conditions(size).items())
    )
    row = rows.select("id", "indices", broken.alias("broken")).where("broken IS NOT NULL").first()
    if row is not None:
        known = f"wanted term ids from 0 to {size - 1}"
        found, wanted = _FOUND.get(row["broken"], (f"the row has the term {max(row['indices'] or [0])}", known))
        raise DataError(f"{ref}, id {row['id']!r}", found, wanted, _FIX)


def checked_indices(ref: TableRef, *, size: int) -> str:
    """Return a SQL expression on a table of vectors: `indices`, or the error of `check_every_row` for a bad row."""
    of_row = r"coalesce(concat('\'', id, '\''), 'None')"
    place = f"{sql_string(f'spladelake.errors.DataError: {ref}, id ')}, {of_row}, ': '"
    cases = []
    for name, condition in _conditions(size).items():
        found, wanted = _FOUND.get(name, ("the row has the term ", f"wanted term ids from 0 to {size - 1}"))
        said = [sql_string(found), *([] if name in _FOUND else ["CAST(array_max(indices) AS STRING)"])]
        text = ", ".join([place, *said, sql_string(f"; {wanted}. {_FIX}")])
        cases.append(f"WHEN NOT coalesce({condition}, false) THEN raise_error(concat({text}))")
    return f"CASE {' '.join(cases)} ELSE indices END"


def _conditions(size: int) -> dict[str, str]:
    """Return the invariants of a vector by name, in the order in which they are checked."""
    constraints = VECTORS.constraints
    first = {"id_present": constraints["id_present"], "arrays_present": _ARRAYS_PRESENT}
    return {**first, **constraints, "terms_known": f"size(indices) = 0 OR array_max(indices) < {size}"}
