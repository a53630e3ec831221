"""A few documents from all over a table, read without reading the rest."""

from __future__ import annotations

from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.scoring import DocIds
from spladelake.spark.data_files import data_files, rows_of_files
from spladelake.spark.scoring_worker import VECTOR_COLUMNS, vectors_of
from spladelake.spark.tables import TableRef
from spladelake.vectors import SparseVectors

# Documents of a sample, and data files that it takes them from: two blocks, scored by the driver in 2 s for 6,980
# queries. Each file costs the reading of one of its row groups.
SAMPLED_DOCUMENTS, SAMPLED_FILES = 16_384, 8
# Fewer files may all be alike, and a corpus of fewer documents than so many samples is ranked as soon.
FEWEST_FILES, FEWEST_SAMPLES = 4, 16


def sample_of(
    session: SparkSession, ref: TableRef, rows: DataFrame, *, documents: int, vocabulary_size: int
) -> list[tuple[SparseVectors, DocIds]]:
    """The first vectors of some of the table's data files, file by file; none where a sample would not pay.

    documents: rows of the table.
    """
    files = list(data_files(rows))
    if len(files) < FEWEST_FILES or documents < FEWEST_SAMPLES * SAMPLED_DOCUMENTS:
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
