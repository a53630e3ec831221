"""Data files whose numbers are split by byte: the smallest form of weights, which not every reader supports.

Parquet's BYTE_STREAM_SPLIT stores the first bytes of all weights together, then the second bytes, and so on. zstd
compresses this better (tests/bench/bench_storage.py). DuckDB, Polars and pyarrow read it, but Spark 4.2 only with its
row reader. So jobs write such files on request only, and mark the table with a property. A session that meets such a
table uses the row reader for arrays from then on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyspark.sql import SparkSession

from spladelake.spark.tables.delta_log import Located, property_in_memory
from spladelake.spark.tables.schemas import VECTOR_FILES

log = logging.getLogger(__name__)

# Properties of compacted vectors: the form of their files, the settings of the compaction, and the original table.
PROPERTY = "files"
COMPACTION = "compaction"
COMPACTED_FROM = "compacted_from"
SPLIT = "split"
SPLIT_FILES = {**VECTOR_FILES, "parquet.enable.bytestreamsplit": "true"}
# Rounded weights have few distinct values. A dictionary makes them smaller, and every reader knows it.
ROUNDED_FILES = {**VECTOR_FILES, "parquet.enable.dictionary#values.list.element": "true"}
ROW_READER = "spark.sql.parquet.enableNestedColumnVectorizedReader"


def files_of(properties: Mapping[str, str], otherwise: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings under which a table's files are written, from its properties.

    - otherwise: the settings if the properties name none.
    """
    if properties.get(f"spladelake.{PROPERTY}") == SPLIT:
        return SPLIT_FILES
    done = properties.get(f"spladelake.{COMPACTION}", "")
    return ROUNDED_FILES if any(rounding in done for rounding in ("mantissa_bits", "levels")) else otherwise


def make_readable(session: SparkSession, ref: Located) -> None:
    """Let the session read the table, whether its files are split or not."""
    if session.conf.get(ROW_READER, "true") == "true" and is_split(session, ref):
        said = "%s: compact_vectors wrote the files with --files split, so this session reads arrays with Spark's "
        log.info(f"{said}row-based Parquet reader", ref)
        session.conf.set(ROW_READER, "false")


def is_split(session: SparkSession, ref: Located) -> bool:
    """Return whether the table's properties say that its files are split."""
    return property_in_memory(session, ref, f"spladelake.{PROPERTY}") == SPLIT
