"""The program that creates Java's archive of Spark's classes, in a session that uses a little of every feature.

`spladelake.spark.session.class_archive` starts it with one argument: the path of the archive, or IN_BACKGROUND.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.spark.session import quick_settings
from spladelake.spark.session.arrow_functions import Batches, map_arrow
from spladelake.spark.session.class_archive import IN_BACKGROUND, SECONDS_TO_WRITE, WARNINGS, make_archive
from spladelake.spark.session.start import java_version, spark_session
from spladelake.spark.tables.create import ensure_table
from spladelake.spark.tables.lineage import Lineage, newest_lineage
from spladelake.spark.tables.properties import set_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import RUN_LOG, VECTORS
from spladelake.spark.tables.write import replace_rows
from spladelake.spark.upkeep.counts import counts_of, table_counts


def _make_in_background() -> None:
    """Create the archive at the lowest priority, or do nothing if another process creates it."""
    os.nice(19)
    make_archive(java_version()[0], wait=False)


def _same(batches: Batches) -> Batches:
    return batches


def _record(target: str) -> None:
    """Run a session that uses what jobs use. When its JVM ends, it writes all the classes that it used to `target`."""
    options = f'{quick_settings.java_options({})} "-XX:ArchiveClassesAtExit={target}" {WARNINGS}'
    settings = {
        "spark.driver.defaultJavaOptions": options,
        "spark.driver.memory": "1g",
        # By default VACUUM spreads ten files over 10,000 tasks.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    }
    session = spark_session("spladelake prepare", settings=settings)
    place = f"{Path(target).parent}/table"
    # Once with generated code, for long jobs, and once without, for quick commands.
    for number, plans in enumerate(({}, quick_settings.SETTINGS)):
        for key, value in plans.items():
            session.conf.set(key, value)
        _use(session, f"{place}-{number}")
    gateway = SparkContext._gateway
    assert gateway is not None
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    if gateway.proc.wait(timeout=SECONDS_TO_WRITE) != 0:
        raise SystemExit("Java could not write the whole archive")


def _use(session: SparkSession, path: str) -> None:
    """Use a little of every feature that jobs use."""
    ref, log = TableRef(path=path), TableRef(path=f"{path}-log")
    ensure_table(session, ref, VECTORS, properties={"model": "prepare"})
    rows = session.range(10).selectExpr(
        "CAST(id AS STRING) AS id", "array(CAST(id AS INT)) AS indices", "array(CAST(id + 1 AS FLOAT)) AS `values`",
        "1 AS tokens", "false AS truncated", "sha2('', 256) AS text_sha256", "'ok' AS status", "'prepare' AS model_id",
    )  # fmt: skip
    for where in (None, "id < '5'"):
        written = rows if where is None else rows.where(where)
        replace_rows(session, ref, VECTORS, written, lineage=Lineage("prepare", {}, {}), where=where)
    newest_lineage(session, ref)
    set_properties(session, ref, {"of": "prepare"})
    merge = ref.delta(session).alias("old").merge(rows.alias("new"), "old.id = new.id")
    merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()
    worked = map_arrow(ref.read(session, version=ref.version(session)), _same, VECTORS.struct)
    joined = worked.join(rows.select("id", F.col("tokens").alias("n")), "id").groupBy("id").agg(F.max("n").alias("n"))
    joined.orderBy("n").limit(3).collect()
    exploded = ref.read(session).selectExpr("id", "posexplode(indices) AS (place, term)").repartition(2, "id")
    exploded.selectExpr("*", "row_number() OVER (PARTITION BY term ORDER BY place DESC, id) AS rank").toArrow()
    counts_of(session, [table_counts(ref.read(session), VECTORS, keys=("id",))])
    ref.read(session).groupBy("model_id").agg(F.collect_set("status"), F.count_distinct("id")).collect()
    session.createDataFrame([("a", 1)], "id string, n int").join(rows, "id", "left_anti").persist().count()
    ensure_table(session, log, RUN_LOG)
    for statement in ("DESCRIBE HISTORY {}", "DESCRIBE DETAIL {}", "OPTIMIZE {}", "VACUUM {} RETAIN 720 HOURS"):
        session.sql(statement.format(ref.identifier)).collect()
    session.sql(f"CREATE TABLE delta.`{path}-copy` USING delta AS SELECT * FROM {ref.identifier}")  # noqa: S608


if __name__ == "__main__":
    if sys.argv[1] == IN_BACKGROUND:
        _make_in_background()
    else:
        _record(sys.argv[1])
