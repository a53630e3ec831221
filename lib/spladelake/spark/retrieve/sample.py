"""A few documents from all over a table, read without reading the rest."""

from __future__ import annotations

import math
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.scoring import DocIds
from spladelake.spark.retrieve.worker import VECTOR_COLUMNS, vectors_of
from spladelake.spark.tables.data_files import data_files, rows_of_files
from spladelake.spark.tables.refs import TableRef
from spladelake.vectors import SparseVectors

# Documents of a sample, and data files that it takes them from: two blocks, scored by the driver in 2 s for 6,980
# queries. Each file costs the reading of one of its row groups.
SAMPLED_DOCUMENTS, SAMPLED_FILES = 16_384, 8
# Fewer files may all be alike.
FEWEST_FILES = 4
# Candidates that are not handed over, for each row of the runs: so many for each time that the documents are e times
# as many as those. 6,980,000 rows gave 27.1 instead of 15.9 million of 0.5 million documents, 49.5 instead of 20.6 of 2
# million and 70.8 (of the code before) instead of 33.0 of 8.84 million.
SPARED, SPARED_FROM = 1.35, 150_000
# Those that take as long as a sample: its nine seconds on two cores, at 0.8 s for a million. Measured by
# bench_retrieve_spark.py --plain: of 2 million documents 500,000 rows took 9 s more with a sample and 6,980,000 rows
# 13 s less; of half a million, which is near where it begins to pay, those took 3 s more.
FEWEST_SPARED = 11_000_000


def pays(*, documents: int, rows: int) -> bool:
    """Whether a sample spares more than it costs. rows: of all runs together, queries × k."""
    return rows * SPARED * math.log(max(documents, 1) / SPARED_FROM) >= FEWEST_SPARED


def sample_of(
    session: SparkSession, ref: TableRef, rows: DataFrame, *, vocabulary_size: int
) -> list[tuple[SparseVectors, DocIds]]:
    """The first vectors of some of the table's data files, file by file; none where it has few files."""
    files = list(data_files(rows))
    if len(files) < FEWEST_FILES:
        return []
    count = min(SAMPLED_FILES, len(files))
    parts = [
        rows_of_files(session, ref, rows, [name])
        .select(*VECTOR_COLUMNS.names, F.lit(number).alias("part"))
        .limit(SAMPLED_DOCUMENTS // count)
        for number, name in enumerate(files[:: len(files) // count][:count])
    ]
    table = reduce(DataFrame.unionAll, parts).toArrow()
    numbers = table.column("part").to_numpy()
    found = []
    for number in range(count):
        of_part = table.filter(pa.array(numbers == number)).select(VECTOR_COLUMNS.names).cast(VECTOR_COLUMNS)
        for batch in of_part.combine_chunks().to_batches():
            found.append(vectors_of(batch, place=str(ref), vocabulary_size=vocabulary_size))
    return found
