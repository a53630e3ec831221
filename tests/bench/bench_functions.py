"""The functions on DataFrames beside the bare encoder and retrieve_run; the last line is JSON.

    python tests/bench/bench_functions.py --collection DIR [--docs 20000] [--vectors 30000] [--rounds 3]

- `df.select(sl.encode(...))` written to Parquet, against the bare encoder on the same texts in a process of its own.
- `sl.retrieve` written to Parquet, against the ranking of retrieve_run in blocks over the same vectors (its `seconds`).
- the first row of `sl.search` over these vectors, in a warm session.

All in local[2], after one small round each that loads the model and the kernels.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_encode_spark import MODEL, bare_seconds, read_texts
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import spladelake.functions as sl
from spladelake.config import EncodeTexts, IngestTexts, RetrieveRun
from spladelake.spark.jobs import run_job
from spladelake.spark.session.start import spark_session

QUESTION = "what is a symptom of a cold"
QUERIES, K = 500, 100


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True, help="folder with corpus.jsonl")
    parser.add_argument("--docs", type=int, default=20_000)
    parser.add_argument("--vectors", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    texts = read_texts(options.collection)
    slots = len(os.sched_getaffinity(0))
    if options.bare:
        print(bare_seconds(texts[: options.docs], slots))
        return
    settings = {"spark.master": "local[2]", "spark.driver.memory": "3g"}
    session = spark_session("bench_functions", settings=settings)
    figures: dict[str, Any] = {"cores": slots, "docs": min(options.docs, len(texts))}
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        figures |= encoding(session, Path(folder), texts[: options.docs], options)
        figures |= ranking(session, Path(folder), texts[: options.vectors], options.rounds)
    print(json.dumps(figures))


def best_of(rounds: int, action: Callable[[], Any]) -> float:
    """Seconds of the quickest of some rounds."""
    taken = []
    for _ in range(rounds):
        started = time.monotonic()
        action()
        taken.append(time.monotonic() - started)
        print(f"  {taken[-1]:.2f} s", flush=True)
    return min(taken)


def written(frame: DataFrame, folder: Path) -> None:
    frame.write.mode("overwrite").parquet(str(folder))


def encoding(session: SparkSession, folder: Path, texts: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Documents per second of sl.encode and of the bare encoder, taken in turns."""
    rows = [(f"d{number}", text) for number, text in enumerate(texts)]
    session.createDataFrame(rows, "doc_id string, text string").repartition(2).write.parquet(str(folder / "texts"))
    stored = session.read.parquet(str(folder / "texts"))
    encoded = stored.select("doc_id", sl.encode("text", model=MODEL))
    written(encoded.limit(200), folder / "warm")
    command = [sys.executable, __file__, "--collection", str(options.collection), "--docs", str(len(texts)), "--bare"]
    bare, ours = [], []
    for _ in range(options.rounds):
        bare.append(float(subprocess.check_output(command, text=True).split()[-1]))
        ours.append(best_of(1, lambda: written(encoded, folder / "encoded")))
    return {
        "bare_docs_s": round(len(texts) / min(bare), 1),
        "encode_docs_s": round(len(texts) / min(ours), 1),
        "encode_ratio": round(min(bare) / min(ours), 3),
    }


def ranking(session: SparkSession, folder: Path, texts: list[str], rounds: int) -> dict[str, Any]:
    """Seconds of sl.retrieve and of retrieve_run on the same vectors, and of the first row of sl.search."""
    lake, corpus, asked = folder / "lake", folder / "corpus.jsonl", folder / "queries.jsonl"
    lines = [json.dumps({"_id": f"d{number}", "text": text}) for number, text in enumerate(texts)]
    corpus.write_text("\n".join(lines) + "\n", encoding="utf-8")
    questions = [json.dumps({"_id": f"q{n}", "text": " ".join(t.split()[:6])}) for n, t in enumerate(texts[:QUERIES])]
    asked.write_text("\n".join(questions) + "\n", encoding="utf-8")
    run_job(session, "ingest_texts", IngestTexts(lake=str(lake), documents=str(corpus), queries=str(asked)))
    run_job(session, "encode_texts", EncodeTexts(lake=str(lake), model=MODEL))
    sides = [session.read.format("delta").load(f"{lake}/vectors/{MODEL}/{side}") for side in ("documents", "queries")]
    run = sl.retrieve(*sides, K)
    options = RetrieveRun(lake=str(lake), model=MODEL, k=K, strategy="blocks", index="off", force=True)
    written(run, folder / "run")
    run_job(session, "retrieve_run", options)
    ours = best_of(rounds, lambda: written(run, folder / "run"))
    job = min(run_job(session, "retrieve_run", options)["seconds"] for _ in range(rounds))
    found = session.read.parquet(str(folder / "run"))
    theirs = session.read.format("delta").load(f"{lake}/runs").select(*found.columns)
    different = found.exceptAll(theirs).count() + theirs.exceptAll(found).count()
    documents = sides[0].select(F.col("id").alias("doc_id"), "indices", "values")
    first = best_of(rounds + 1, lambda: sl.search(documents, QUESTION, model=MODEL).first())
    return {
        "vectors": len(texts), "queries": QUERIES, "k": K,
        "retrieve_s": round(ours, 2), "retrieve_run_s": round(job, 2), "rows_that_differ": different,
        "search_first_row_s": round(first, 2),
    }  # fmt: skip


if __name__ == "__main__":
    main()
