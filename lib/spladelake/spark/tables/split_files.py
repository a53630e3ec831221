"""Data files whose numbers are split by byte: the smallest form of weights, which not every reader knows.

Parquet's BYTE_STREAM_SPLIT puts the first bytes of all weights together, then the second ones and so on, of which zstd
makes less (tests/bench/bench_storage.py). DuckDB, Polars and pyarrow read it; Spark 4.2 does with its row reader only.
So such tables are written on demand, say so in a property, and a session that meets one reads arrays by rows from then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyspark.sql import SparkSession

from spladelake.spark.tables.delta_log import Located, property_in_memory
from spladelake.spark.tables.schemas import VECTOR_FILES

log = logging.getLogger(__name__)

# Properties of compacted vectors: the form of their files, what was done to them, and the table it was done to.
PROPERTY = "files"
COMPACTION = "compaction"
COMPACTED_FROM = "compacted_from"
SPLIT = "split"
SPLIT_FILES = {**VECTOR_FILES, "parquet.enable.bytestreamsplit": "true"}
# Rounded weights take few different values: a dictionary of them is smaller, and every reader knows it.
ROUNDED_FILES = {**VECTOR_FILES, "parquet.enable.dictionary#values.list.element": "true"}
ROW_READER = "spark.sql.parquet.enableNestedColumnVectorizedReader"


def files_of(properties: Mapping[str, str], otherwise: Mapping[str, str]) -> Mapping[str, str]:
    """How the files of a table are written, by its properties."""
    if properties.get(f"spladelake.{PROPERTY}") == SPLIT:
        return SPLIT_FILES
    done = properties.get(f"spladelake.{COMPACTION}", "")
    return ROUNDED_FILES if any(rounding in done for rounding in ("mantissa_bits", "levels")) else otherwise


def make_readable(session: SparkSession, ref: Located) -> None:
    """Let the session read the table, whatever form its files have."""
    if session.conf.get(ROW_READER, "true") == "true" and is_split(session, ref):
        log.info("%s: its files are in the split form, so this session reads arrays with the row reader", ref)
        session.conf.set(ROW_READER, "false")


def is_split(session: SparkSession, ref: Located) -> bool:
    """Whether the table says that its files are split."""
    return property_in_memory(session, ref, f"spladelake.{PROPERTY}") == SPLIT
