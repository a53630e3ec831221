"""Counts of errors in tables, such as rows that break a constraint, many counts in one Spark job.

In a small lake a Spark job for each count takes longer than the rows. So one pass over a table makes all its counts,
and one result holds the counts of all tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.names import amount
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema

Found = dict[str, Any]
ROWS, REPEATED = "number of rows", "keys that stand more than once"


def counts_of(session: SparkSession, counts: Sequence[DataFrame]) -> list[Found]:
    """Return the only row of each frame, all from one Spark job. Null values have no entry."""
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
    """Return a frame of one row: the number of rows, and for each condition the number of rows that break or meet it.

    - schema: its constraints count the rows that break them.
    - keys: columns that are unique together. REPEATED counts the values that occur more than once.
    - more: further SQL conditions by name. They count the rows that meet them.
    """
    conditions = {
        name: f"NOT coalesce({sql}, false)" for name, sql in ({} if schema is None else schema.constraints).items()
    }
    conditions |= more or {}
    sums = [F.count("*").alias(ROWS), *(F.expr(f"count_if({sql})").alias(name) for name, sql in conditions.items())]
    if not keys:
        return rows.agg(*sums)
    by_key = rows.groupBy(*keys).agg(*sums)
    repeated = F.count_if(F.col(ROWS) > 1).alias(REPEATED)
    return by_key.agg(repeated, *(F.coalesce(F.sum(F.col(name)), F.lit(0)).alias(name) for name in (ROWS, *conditions)))


def constraint_sentences(
    ref: TableRef, schema: TableSchema | None, found: Found, properties: Mapping[str, str]
) -> list[str]:
    """Return a sentence for each constraint that the table lacks or that some of its rows break.

    - found: the table's `table_counts`.
    """
    constraints = {} if schema is None else schema.constraints
    missing = [name for name in constraints if f"delta.constraints.{name}" not in properties]
    return [
        *(f"{ref}: the constraint {name} is missing" for name in missing),
        *(
            f"{ref}: the constraint {name} ({sql}) is broken in {amount(found[name], 'row')}"
            for name, sql in constraints.items()
            if found[name]
        ),
    ]
