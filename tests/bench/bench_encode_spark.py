"""Documents per second of the encode job, from Delta to Delta, beside the bare encoder on the same texts.

    python tests/bench/bench_encode_spark.py --collection DIR [--docs 20000] [--sizes 5000,20000,60000]

The bare encoder runs in a process of its own with as many threads as the session has slots; session start and model
loading are left out on both sides (the job runs on a few texts before). Every timed run makes the vectors of a
lake that has none. --sizes: how the seconds of the job grow with the number of texts. The last line is JSON, with how
far `encode_texts --dry-run` was from what the job then took.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from spladelake.config import EncodeTexts
from spladelake.spark.jobs import run_job
from spladelake.spark.session.start import spark_session
from spladelake.spark.tables.create import ensure_table
from spladelake.spark.tables.refs import Lake
from spladelake.spark.tables.schemas import DOCUMENTS

MODEL = "splade-tiny"
# Small jobs before the first that counts: Java then runs what plans and commits them as fast as it ever will.
WARM_ROUNDS = 3


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True, help="folder with corpus.jsonl")
    parser.add_argument("--docs", type=int, default=20_000)
    parser.add_argument("--sizes", default="", help="comma separated, such as 5000,20000,60000")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    texts = read_texts(options.collection)
    slots = len(os.sched_getaffinity(0))
    if options.bare:
        print(bare_seconds(texts[: options.docs], slots))
        return
    figures: dict[str, Any] = {"cores": slots, "docs": min(options.docs, len(texts))}
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        bench = Bench(folder, texts)
        for _ in range(WARM_ROUNDS):
            bench.seconds(200)
        command = [sys.executable, __file__, "--collection", options.collection, "--docs", options.docs, "--bare"]
        bare, job = [], []
        for _ in range(options.rounds):
            bare.append(float(subprocess.check_output(list(map(str, command)), text=True).split()[-1]))
            job.append(bench.seconds(figures["docs"]))
        figures["bare_docs_s"] = round(figures["docs"] / min(bare), 1)
        figures["job_docs_s"] = round(figures["docs"] / min(job), 1)
        figures["ratio_bare"] = round(min(bare) / min(job), 3)
        figures["forecast_error"] = bench.forecast_error(figures["docs"], min(job))
        if options.sizes:
            figures |= growth(bench, [int(size) for size in options.sizes.split(",")], options.rounds)
    print(json.dumps(figures))


def growth(bench: Bench, sizes: list[int], rounds: int) -> dict[str, Any]:
    """Seconds at each size, best of the rounds, and how much the last interval's slope differs from the first's."""
    seconds = {size: min(bench.seconds(size) for _ in range(rounds)) for size in sorted(sizes)}
    points = list(seconds.items())
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(points)]
    return {
        "seconds_by_size": {str(size): round(taken, 1) for size, taken in points},
        "slope_difference": round(slopes[-1] / slopes[0] - 1, 3) if len(slopes) > 1 else None,
    }


class Bench:
    """Lakes of the first documents of a collection, in one local session."""

    def __init__(self, folder: str, texts: list[str]) -> None:
        self.folder, self.texts = folder, texts
        self.session = spark_session("bench_encode_spark", settings={"spark.driver.memory": "3g"})

    def _options(self, docs: int, **given: Any) -> EncodeTexts:
        root = f"{self.folder}/lake{docs}"
        shutil.rmtree(f"{root}/vectors", ignore_errors=True)
        documents = Lake(root).table("documents")
        if not documents.exists(self.session):
            ensure_table(self.session, documents, DOCUMENTS)
            rows = [(f"d{number}", None, text) for number, text in enumerate(self.texts[:docs])]
            frame = self.session.createDataFrame(rows, DOCUMENTS.struct)
            frame.write.format("delta").mode("append").save(str(documents))
        return EncodeTexts(lake=root, model=MODEL, side="documents", **given)

    def seconds(self, docs: int) -> float:
        """Of encoding so many documents from table to table."""
        options = self._options(docs)
        started = time.monotonic()
        result = run_job(self.session, "encode_texts", options)
        taken = time.monotonic() - started
        print(f"{docs:,} documents in {taken:.1f} s; {result['documents']}", flush=True)
        return taken

    def forecast_error(self, docs: int, seconds: float) -> float:
        """Forecast seconds over those that were taken, less 1."""
        forecast = run_job(self.session, "encode_texts", self._options(docs, dry_run=True))["documents"]
        print(f"forecast: {forecast}", flush=True)
        return round(forecast["seconds"] / seconds - 1, 3)


def bare_seconds(texts: list[str], threads: int) -> float:
    """Of the encoder alone."""
    from spladelake.encoder import SpladeEncoder

    encoder = SpladeEncoder.load(MODEL, threads=threads, device="cpu")
    encoder.encode(texts[:200])
    started = time.monotonic()
    encoder.encode(texts)
    return time.monotonic() - started


def read_texts(collection: Path) -> list[str]:
    """Title and text of every document, as the job joins them; in an order that makes the first so many like all."""
    with (collection / "corpus.jsonl").open(encoding="utf-8", newline="\n") as lines:
        records = [json.loads(line) for line in lines if line.strip()]
    texts = [" ".join(filter(None, (record.get("title"), record["text"]))) for record in records]
    random.Random(0).shuffle(texts)
    return texts


if __name__ == "__main__":
    main()
