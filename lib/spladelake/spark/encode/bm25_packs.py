"""Packs of counted words between the two passes of BM25: an Arrow table in the driver, or a DataFrame on disk.

The driver counts small tables itself; workers count larger ones. Both make the same rows (bm25_worker.PACKS) with the
same functions. Spark shuffles the word totals of packs, never the words of a text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.spark.encode.bm25_worker import (
    FACT,
    IDS,
    PACK_BATCH,
    PACKS,
    STATUS,
    TEXTS,
    TOKENS,
    CountWords,
    Vocabulary,
    WeighWords,
)
from spladelake.spark.encode.text_tables import TextTable
from spladelake.spark.encode.worker import VECTOR_BATCH
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.settings import session_settings
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.tables.delta_log import size_in_bytes
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import VECTORS

# The driver counts up to so many texts in less time than a Python worker takes to start. A table of more bytes goes to
# workers at once: nothing counts its texts first.
DRIVER_TEXTS, DRIVER_BYTES = 2_000, 4 * 2**20
# Bytes of table files per counting task: some seconds of work.
TASK_BYTES = 8 * 2**20
# Packs are large rows, so a limit in bytes bounds the Arrow batches between Java and Python too.
BATCHES = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "4096",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 * 2**20),
}
# For up to so many words Spark reads only the vocabulary files that may hold them; for more words it reads all files.
WORDS_LOOKED_UP = 100

Packs: TypeAlias = "pa.Table | DataFrame"


@dataclass(frozen=True, eq=False)
class Tally:
    """Totals over all packs.

    - facts: TEXTS, IDS (different ids) and TOKENS.
    - statuses: number of texts of each status.
    - words: different words, in the order of their UTF-8 bytes.
    - amounts: amount of each word, see CountWords.
    """

    facts: dict[str, int]
    statuses: dict[str, int]
    words: pa.StringArray
    amounts: NDArray[np.int64]


@contextmanager
def counted_texts(session: SparkSession, table: TextTable, version: int, count: CountWords) -> Iterator[Packs]:
    """Count the words of a table's texts; yield the packs, which exist until the body ends."""
    texts, size = table.newest_texts(session, version), size_in_bytes(session, table.ref)
    if size <= DRIVER_BYTES:
        few = texts.limit(DRIVER_TEXTS + 1).toArrow()
        if len(few) <= DRIVER_TEXTS:
            yield counted_here(few, count)
            return
    slots = session.sparkContext.defaultParallelism
    tasks = slots * math.ceil(size / TASK_BYTES / slots)
    # Partition by id: a task then sees all texts of an id and can count the different ids.
    texts = texts.repartition(max(tasks, 1), "id")
    with session_settings(session, BATCHES):
        packs = map_arrow(texts, count, PACKS).persist(StorageLevel.DISK_ONLY)
        try:
            yield packs
        finally:
            packs.unpersist()
            describe(session)


def counted_here(texts: pa.Table, count: CountWords) -> pa.Table:
    """Count (id, text, text_sha256, repaired) rows in the driver; return their packs."""
    return pa.Table.from_batches(count(iter(texts.to_batches())), PACK_BATCH)


def tallied(packs: Packs) -> Tally:
    """Add up the facts and amounts of all packs."""
    found = _sums_here(packs) if isinstance(packs, pa.Table) else _sums(packs)
    found = found.sort_by("name").combine_chunks()
    names, amounts = found["name"].combine_chunks().cast(pa.string()), found["amount"].to_numpy()
    # Facts sort before words.
    facts = pc.sum(pc.starts_with(names, FACT)).as_py() or 0
    by_name = dict(zip(names[:facts].to_pylist(), amounts[:facts].tolist(), strict=True))
    statuses = {name.removeprefix(STATUS): number for name, number in by_name.items() if name.startswith(STATUS)}
    plain = {name: by_name.get(name, 0) for name in (TEXTS, IDS, TOKENS)}
    return Tally(plain, statuses, names[facts:], amounts[facts:])


def _sums_here(packs: pa.Table) -> pa.Table:
    table = pa.table([pc.list_flatten(packs["names"]), pc.list_flatten(packs["amounts"])], ["name", "amount"])
    return table.group_by("name").aggregate([("amount", "sum")]).rename_columns(["name", "amount"])


def _sums(packs: DataFrame) -> pa.Table:
    entries = packs.select(F.explode(F.arrays_zip("names", "amounts")).alias("entry"))
    by_name = entries.groupBy(F.col("entry.names").alias("name"))
    return by_name.agg(F.sum("entry.amounts").alias("amount")).toArrow()


def weighed(session: SparkSession, packs: Packs, weigh: WeighWords) -> DataFrame:
    """Return the `vectors` rows of all texts in the packs."""
    if isinstance(packs, pa.Table):
        batches = list(weigh(iter(packs.to_batches())))
        # Spark does not accept a table without batches.
        table = pa.Table.from_batches(batches, VECTOR_BATCH) if batches else VECTOR_BATCH.empty_table()
        return session.createDataFrame(table, VECTORS.struct).coalesce(1)
    rows: DataFrame = map_arrow(packs.select("names", "pack"), weigh, VECTORS.struct)
    return rows


def learnt_vocabulary(session: SparkSession, table: TableRef, words: pa.StringArray) -> Vocabulary:
    """Read a vocabulary table: all of it, or only the rows of the given words if they are few."""
    rows = table.read(session).select("term_id", "token")
    if len(words) <= WORDS_LOOKED_UP:
        rows = rows.where(F.col("token").isin(words.to_pylist()))
    found = rows.toArrow().sort_by("term_id").combine_chunks()
    return Vocabulary(found["token"].combine_chunks().cast(pa.string()), found["term_id"].to_numpy().astype(np.int32))
