"""One collection of a comparison: its lake and the runs measured in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import CompareRuns
from spladelake.spark.tables.refs import Lake, TableRef


@dataclass(frozen=True)
class ComparedCollection:
    """One collection of a comparison: its lake, the version of its measures, and the runs to compare."""

    name: str
    lake: Lake
    measures: TableRef
    version: int
    run_ids: tuple[str, ...]
    # Means, counts and sizes of every run, by run and measure.
    means: Mapping[tuple[str, str], float]
    # (run_id, measure, query_id, value) of every run, collected to the driver; None if the table is too large for it.
    here: pa.Table | None

    def values_here(self, options: CompareRuns) -> pa.Table | None:
        """Return the rows of `values` from the collected table; None if the table was not collected."""
        if self.here is None:
            return None
        chosen = self.here.filter(
            pc.is_valid(pc.field("query_id"))
            & pc.field("run_id").isin(list(self.run_ids))
            & pc.field("measure").isin(list(options.measures))
        )
        return chosen.add_column(0, "collection", pa.repeat(pa.scalar(self.name, pa.string()), chosen.num_rows))

    def values(self, session: SparkSession, options: CompareRuns) -> DataFrame:
        """Return (collection, run_id, measure, query_id, value) of the compared runs and measures."""
        rows = self.measures.read(session, version=self.version).where(F.col("query_id").isNotNull())
        chosen = rows.where(F.col("run_id").isin(*self.run_ids) & F.col("measure").isin(*options.measures))
        return chosen.select(F.lit(self.name).alias("collection"), "run_id", "measure", "query_id", "value")
