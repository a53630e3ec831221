"""Costs of the runs of a comparison: active dimensions, products, bytes and seconds."""

from __future__ import annotations

import json
import sys
from typing import Any

import pyarrow.compute as pc
from pyspark.sql import SparkSession

from spladelake.spark.evaluate.collection import ComparedCollection
from spladelake.spark.tables.delta_log import size_in_bytes
from spladelake.spark.tables.driver_rows import collected
from spladelake.spark.tables.lineage import newest_lineage
from spladelake.spark.tables.refs import Lake, TableRef


def costs_of(session: SparkSession, collection: ComparedCollection) -> list[dict[str, Any]]:
    """Return a row for each run: the sizes that evaluate_run measured, table bytes and encoding seconds."""
    found, runs, costs = collection.means, collection.lake.table("runs"), []
    for run_id in collection.run_ids:
        made_from = (newest_lineage(session, runs, scope=run_id) or {}).get("inputs", {})
        vectors = TableRef.parse(made_from["documents"][0]) if "documents" in made_from else None
        known = vectors is not None and vectors.exists(session)
        costs.append(
            {
                "collection": collection.name,
                "run_id": run_id,
                "query_active_dims": found.get((run_id, "query_active_dims")),
                "corpus_active_dims": found.get((run_id, "corpus_active_dims")),
                "flops": found.get((run_id, "avg_flops")),
                "table_bytes": size_in_bytes(session, vectors) if known and vectors else None,
                "encode_seconds": _encode_seconds(session, collection.lake, vectors) if known and vectors else None,
            }
        )
    return costs


def _encode_seconds(session: SparkSession, lake: Lake, vectors: TableRef) -> float | None:
    """Return the seconds of the job that encoded the most texts, from the run log; None if the log has no such job."""
    log = lake.table("run_log")
    if not log.exists(session):
        return None
    columns = ["job", "status", "outputs", "rows", "seconds"]
    rows = collected(session, log, columns, version=log.version(session), most_bytes=sys.maxsize)
    assert rows is not None
    done = rows.filter((pc.field("job") == "encode_texts") & (pc.field("status") == "written")).to_pylist()
    wrote = [row for row in done if str(vectors) in json.loads(row["outputs"] or "{}")]
    most = max(wrote, key=lambda row: int(row["rows"] or 0), default=None)
    return None if most is None else float(most["seconds"])
