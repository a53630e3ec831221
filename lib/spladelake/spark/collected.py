"""Small tables in the driver's memory: read by deltalake from a folder of this machine, else by Spark.

Two Spark jobs, one for the list of files and one for the rows, take some tenths of a second a table. deltalake reads
the same version of the same files in some milliseconds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.spark import delta_log
from spladelake.spark.accesses import note_read
from spladelake.spark.tables import TableRef

log = logging.getLogger(__name__)


def collected(
    session: SparkSession,
    ref: TableRef,
    columns: Sequence[str],
    *,
    version: int,
    most_bytes: int,
    equals: Mapping[str, str] | None = None,
) -> pa.Table | None:
    """The columns of a table, one chunk each; None if the table's data files have more than most_bytes.

    equals: wanted values by column; rows with others are left out.
    """
    plain = _plain_folder(ref, version)
    if plain is not None and sum(pa.table(plain.get_add_actions()).column("size_bytes").to_pylist()) > most_bytes:
        return None
    if plain is not None:
        wanted = [ds.field(column) == value for column, value in (equals or {}).items()]
        try:
            rows = plain.to_pyarrow_dataset().to_table(columns=list(columns), filter=_all(wanted))
        except Exception as error:
            log.debug("%s: deltalake cannot read it, Spark tries: %s", ref, error)
        else:
            note_read(str(ref), version)
            return rows.combine_chunks()
    if delta_log.size_in_bytes(session, ref) > most_bytes:
        return None
    frame = ref.read(session, version=version)
    for column, value in (equals or {}).items():
        frame = frame.where(F.col(column) == value)
    return frame.select(*columns).toArrow().combine_chunks()


def _all(conditions: Sequence[ds.Expression]) -> ds.Expression | None:
    return reduce(and_, conditions) if conditions else None


def row_count(session: SparkSession, ref: TableRef, *, version: int | None = None) -> int:
    """Rows of a table, of a local folder by the footers of its files."""
    plain = _plain_folder(ref, version)
    return ref.read(session, version=version).count() if plain is None else plain.to_pyarrow_dataset().count_rows()


def _plain_folder(ref: TableRef, version: int | None) -> DeltaTable | None:
    """The table of a local folder whose files hold just its rows, under their own names; None of any other."""
    if ref.path is None or not ref.path.startswith("/"):
        return None
    try:
        found = DeltaTable(ref.path, version=version)
        # Version 1 has neither renamed columns nor deleted rows.
        return found if found.protocol().min_reader_version == 1 else None
    except Exception:
        # What is wrong with the table, or unknown to deltalake, Spark finds out and says.
        return None
