"""Counts of what is wrong with tables, many of them in one Spark job, and the constraints' among them.

A job for each count costs a small lake more than its rows do. So counts of one table are made in one pass over it, and
those of all tables are the rows of one result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.files.delta_folder import folder_table
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema

Found = dict[str, Any]
# Bytes of a table's data files up to which they are read without Delta's plan of the scan.
MOST_BYTES = 64 * 2**20
# Spark would take the first of these in a path for patterns, and the last for the value of a column.
_SIGNS = set("*?[]{}\\=")
ROWS, REPEATED = "number of rows", "keys that stand more than once"


def rows_of(session: SparkSession, ref: TableRef) -> DataFrame:
    """Rows of a table at its newest version, of a small one in a folder of this machine straight from its data files.

    For each scan Delta runs a Spark job or two over the table's log, which cost more than the rows of a small table.
    """
    rows = ref.read(session)
    if ref.path is None or "://" in ref.path or _SIGNS & set(ref.path):
        return rows
    found = folder_table(Path(ref.path))
    if found is None or not found.sizes or found.bytes > MOST_BYTES or _SIGNS & set("".join(found.sizes)):
        return rows
    return session.read.schema(rows.schema).parquet(*(str(found.folder / name) for name in found.sizes))


def collected(session: SparkSession, counts: Sequence[DataFrame]) -> list[Found]:
    """The only row of each of the frames, all from one Spark job. What is null has no entry."""
    rows = [
        frame.select(F.lit(number).alias("number"), F.to_json(F.struct("*")).alias("row"))
        for number, frame in enumerate(counts)
    ]
    found = (
        {row["number"]: json.loads(row["row"]) for row in reduce(DataFrame.unionAll, rows).collect()} if rows else {}
    )
    return [found[number] for number in range(len(counts))]


def table_counts(
    rows: DataFrame, schema: TableSchema | None, *, keys: Sequence[str] = (), more: Mapping[str, str] | None = None
) -> DataFrame:
    """One row: ROWS; of each constraint by its name how many rows break it; and so of more conditions, when they hold.

    keys: columns of which each combination stands once; REPEATED counts those that do not. more: SQL conditions.
    """
    counted = {
        name: f"NOT coalesce({sql}, false)" for name, sql in ({} if schema is None else schema.constraints).items()
    }
    counted |= more or {}
    sums = [F.count("*").alias(ROWS), *(F.expr(f"count_if({sql})").alias(name) for name, sql in counted.items())]
    if not keys:
        return rows.agg(*sums)
    by_key = rows.groupBy(*keys).agg(*sums)
    repeated = F.count_if(F.col(ROWS) > 1).alias(REPEATED)
    return by_key.agg(repeated, *(F.coalesce(F.sum(F.col(name)), F.lit(0)).alias(name) for name in (ROWS, *counted)))


def constraint_sentences(
    ref: TableRef, schema: TableSchema | None, found: Found, properties: Mapping[str, str]
) -> list[str]:
    """Constraints that the table lacks, and constraints that rows of it break. found: of its `table_counts`."""
    constraints = {} if schema is None else schema.constraints
    missing = [name for name in constraints if f"delta.constraints.{name}" not in properties]
    return [
        *(f"{ref}: the constraint {name} is missing" for name in missing),
        *(f"{ref}: {found[name]:,} rows break {name} ({sql})" for name, sql in constraints.items() if found[name]),
    ]
