"""A few rows of the driver as a DataFrame, without a Python worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import DataType, StructType


def frame_of(session: SparkSession, rows: Sequence[Mapping[str, Any]], schema: StructType | str) -> DataFrame:
    """The rows, in one partition.

    - rows: a value for each column by its name; an absent one is null.
    - schema: Spark's, or its DDL.

    Spark makes rows of Arrow itself. Of a list of tuples a Python worker does it, which takes a second to start.
    """
    struct = DataType.fromDDL(schema) if isinstance(schema, str) else schema
    assert isinstance(struct, StructType)
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=to_arrow_schema(struct, timezone="UTC"))
    return session.createDataFrame(table, struct).coalesce(1)
