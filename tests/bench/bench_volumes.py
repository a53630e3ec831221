"""Bytes that each job shuffles and leaves on disk, by the number of documents, for `spladelake forecast`.

    python tests/bench/bench_volumes.py --collection ../shared/data/debian-packages-en [--sizes 2000,8000,32000]

Bytes depend neither on the machine nor on what else runs on it. Those of shuffles are what Spark's event log says that
the tasks of a job have written for others to read. The last line is JSON, also written to --out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from spladelake.config import JOBS, checked
from spladelake.spark.jobs import run_job
from spladelake.spark.session.start import spark_session
from spladelake.spark.tables.refs import Lake

MODEL = "splade-tiny"
K = 100


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True, help="folder with corpus.jsonl and queries.jsonl")
    parser.add_argument("--sizes", default="2000,8000,32000", help="numbers of documents, comma separated")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        events = Path(folder) / "events"
        events.mkdir()
        session = spark_session("bench_volumes", settings=settings(events))
        figures: dict[str, Any] = {"model": MODEL, "k": K, "slots": session.sparkContext.defaultParallelism}
        spans: dict[tuple[int, str], tuple[float, float]] = {}
        for size in map(int, options.sizes.split(",")):
            figures[str(size)] = measured(session, options.collection, Path(folder) / str(size), size, spans)
        session.stop()
        for (size, step), written in shuffled(events, spans).items():
            figures[str(size)][step]["shuffle_bytes"] = written
    if options.out is not None:
        options.out.write_text(json.dumps({"command": " ".join(["python", *sys.argv]), **figures}, indent=1) + "\n")
    print(json.dumps(figures))


def settings(events: Path) -> dict[str, str]:
    """Of a session of two slots whose event log is one file of plain lines."""
    return {
        "spark.master": "local[2]",
        "spark.driver.memory": "3g",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }


def measured(
    session: SparkSession, collection: Path, lake: Path, size: int, spans: dict[tuple[int, str], tuple[float, float]]
) -> dict[str, Any]:
    """Bytes on disk after each job, and how much work it was; when each of them ran goes into `spans`."""
    sources = copied(collection, lake.with_suffix(".source"), size)
    steps: dict[str, tuple[str, dict[str, Any]]] = {
        "ingest": ("ingest_texts", {"documents": sources["corpus"], "queries": sources["queries"]}),
        "encode": ("encode_texts", {"model": MODEL}),
        "index": ("index_vectors", {"model": MODEL}),
        "vectors": ("retrieve_run", {"model": MODEL, "k": K, "strategy": "blocks", "index": "off"}),
        "indexed": ("retrieve_run", {"model": MODEL, "k": K, "strategy": "blocks", "run_id": "indexed"}),
    }
    results = {}
    for step, (job, given) in steps.items():
        with span(spans, (size, step)):
            options = checked(JOBS[job].options, {"lake": str(lake), **given}, place=step)
            results[step] = run_job(session, job, options)
        print(size, step, results[step], flush=True)
    rows = Lake(str(lake)).vectors(MODEL, "documents").read(session)
    postings = rows.selectExpr("sum(size(indices))").first()[0]  # type: ignore[index]
    runs = {
        step: {key: results[step][key] for key in ("queries", "rows", "candidates")} for step in ("vectors", "indexed")
    }
    runs["vectors"]["table_bytes"] = table_bytes(lake / "runs") // 2
    vectors = lake / "vectors" / MODEL
    return {
        "ingest": {"table_bytes": table_bytes(lake / "documents")},
        "encode": {"table_bytes": table_bytes(vectors / "documents"), "postings": postings},
        "index": {"table_bytes": table_bytes(vectors / "index")},
        **runs,
    }


def copied(collection: Path, folder: Path, size: int) -> dict[str, str]:
    """The first documents of a collection and all its queries as files of their own."""
    folder.mkdir()
    with (collection / "corpus.jsonl").open(encoding="utf-8", newline="\n") as lines:
        first = [line for _, line in zip(range(size), lines, strict=False)]
    (folder / "corpus.jsonl").write_text("".join(first), encoding="utf-8")
    shutil.copy(collection / "queries.jsonl", folder)
    return {name: str(folder / f"{name}.jsonl") for name in ("corpus", "queries")}


@contextmanager
def span(spans: dict[tuple[int, str], tuple[float, float]], key: tuple[int, str]) -> Iterator[None]:
    """Note from when to when the body ran, in milliseconds since 1970."""
    began = time.time() * 1000
    yield
    spans[key] = (began, time.time() * 1000)


def table_bytes(folder: Path) -> int:
    """Bytes of the data files of a table that was written once."""
    return sum(file.stat().st_size for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts)


def shuffled(events: Path, spans: dict[tuple[int, str], tuple[float, float]]) -> dict[tuple[int, str], int]:
    """Bytes that the tasks started in each span wrote into shuffles."""
    found = dict.fromkeys(spans, 0)
    (log,) = events.iterdir()
    for line in log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["Event"] != "SparkListenerTaskEnd" or not event.get("Task Metrics"):
            continue
        launched = event["Task Info"]["Launch Time"]
        written = event["Task Metrics"]["Shuffle Write Metrics"]["Shuffle Bytes Written"]
        for key, (began, ended) in spans.items():
            if began <= launched <= ended:
                found[key] += written
    return found


if __name__ == "__main__":
    main()
