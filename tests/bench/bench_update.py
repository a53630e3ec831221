"""Time a full encode, then an update of 1 % of the documents, in one warm session; the last line is JSON.

python tests/bench/bench_update.py --data ../shared/data --documents 60000

The seconds are those of the jobs, Spark's start not included. What does not grow with the corpus (planning, commits) is
timed apart, by an update after which nothing has to be encoded; `share` is what the update took beyond that, of the
full encode.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.config import EncodeTexts, IngestTexts
from spladelake.spark.encode import encode_texts
from spladelake.spark.ingest import ingest_texts
from spladelake.spark.session import spark_session
from spladelake.spark.tables import TableRef

COLLECTION = "debian-packages-en"


def first_lines(source: Path, target: Path, *, count: int) -> int:
    """Copy so many lines of a file; returns how many there were."""
    with source.open("rb") as given, target.open("wb") as taken:
        copied = 0
        for line in given:
            if copied == count:
                break
            taken.write(line)
            copied += 1
    return copied


def timed_encode(session: SparkSession, lake: str, **options: Any) -> tuple[float, dict[str, Any]]:
    """Seconds of an encode of the documents, and its result."""
    given = EncodeTexts(lake=lake, model="splade-tiny", side="documents", **options)
    started = time.monotonic()
    result = encode_texts(session, given)["documents"]
    return time.monotonic() - started, result


def measure(session: SparkSession, folder: Path, data: Path, *, documents: int, changes: str) -> dict[str, Any]:
    """Figures of a full encode and of the updates after it."""
    count = first_lines(data / COLLECTION / "corpus.jsonl", folder / "corpus.jsonl", count=documents)
    lake = str(folder / "lake")
    ingest_texts(session, IngestTexts(lake=lake, documents=str(folder / "corpus.jsonl")))
    figures: dict[str, Any] = {"documents": count, "cores": len(os.sched_getaffinity(0)), "changes": changes}
    seconds, full = timed_encode(session, lake)
    figures["full_s"] = round(seconds, 1)
    figures["full_docs_s"] = full["docs_per_second"]
    table = TableRef(path=f"{lake}/documents").delta(session)
    table.update(
        F.expr("pmod(xxhash64(doc_id), 100) = 0"), {"text": F.concat(F.col("text"), F.lit(" in a new version"))}
    )
    seconds, update = timed_encode(session, lake, changes=changes)
    figures["update_s"] = round(seconds, 1)
    figures["update_rows"] = update["rows"]
    session.sql(f"ALTER TABLE delta.`{lake}/documents` SET TBLPROPERTIES ('spladelake.bench' = '1')")
    figures["empty_update_s"] = round(timed_encode(session, lake, changes=changes)[0], 1)
    figures["share"] = round((figures["update_s"] - figures["empty_update_s"]) / figures["full_s"], 4)
    figures["share_with_fixed_costs"] = round(figures["update_s"] / figures["full_s"], 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help=f"folder that holds {COLLECTION}")
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--changes", choices=["snapshot", "feed"], default="snapshot")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        session = spark_session("bench_update", settings={"spark.local.dir": folder})
        figures = measure(
            session, Path(folder), Path(options.data), documents=options.documents, changes=options.changes
        )
        session.stop()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
