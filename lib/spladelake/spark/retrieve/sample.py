"""A sample of documents from files spread over a table, without a read of the other files."""

from __future__ import annotations

import math
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.scoring import DocIds
from spladelake.spark.retrieve.vector_rows import VECTOR_COLUMNS, vectors_of
from spladelake.spark.tables.data_files import data_files, rows_of_files
from spladelake.spark.tables.refs import TableRef
from spladelake.vectors import SparseVectors

# Number of documents in a sample, and of data files that they come from. The driver scores these two blocks in 2 s for
# 6,980 queries. Each file costs the read of one row group.
SAMPLED_DOCUMENTS, SAMPLED_FILES = 16_384, 8
# No sample is taken from fewer files: their documents may all be alike.
FEWEST_FILES = 4
# A sample saves SPARED * ln(documents / SPARED_FROM) candidates for each row of the runs. Measured with 6,980,000 rows,
# millions of candidates without and with a sample: 27.1 and 15.9 for 0.5 million documents, 49.5 and 20.6 for
# 2 million, 70.8 (with earlier code) and 33.0 for 8.84 million.
SPARED, SPARED_FROM = 1.35, 150_000
# Number of candidates that take as long as a sample: the sample takes 9 s on two cores, a million candidates 0.8 s.
# Measured by bench_retrieve_spark.py --plain. With 2 million documents, a sample cost 9 s for 500,000 rows and saved
# 13 s for 6,980,000 rows. With 0.5 million documents, close to break-even, it cost 3 s for 6,980,000 rows.
FEWEST_SPARED = 11_000_000


def pays(*, documents: int, rows: int) -> bool:
    """Whether a sample saves more time than it costs.

    - documents: number of documents.
    - rows: number of rows of all runs, queries × k.
    """
    return rows * SPARED * math.log(max(documents, 1) / SPARED_FROM) >= FEWEST_SPARED


def sample_of(
    session: SparkSession, ref: TableRef, rows: DataFrame, *, vocabulary_size: int
) -> list[tuple[SparseVectors, DocIds]]:
    """Return the first vectors of some data files of a table, one item a file. Empty if the table has few files.

    - ref, rows: the table of document vectors and its rows.
    - vocabulary_size: dimensions of the vectors.
    """
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
