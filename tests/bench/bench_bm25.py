"""Seconds of encoding documents with BM25 beside bm25s, which tokenises and indexes the same texts in memory.

    python tests/bench/bench_bm25.py --data ../shared/data [--sizes 27170,60000] [--out tests/bench/results/bm25.json]

Both take the same stemmer, stop words, k1 and b. The job reads a Delta table and writes vectors and vocabulary, with a
session that is warm. Rounds of both alternate; the best of each counts. The last sizes are 8 documents and 2 queries:
what they cost is the job's fixed cost, with its Spark jobs, commits and tasks of Python workers.

cpu_s: processor seconds of this process, its JVM and its workers. On a shared machine they say more than seconds do.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bm25s
import Stemmer
from bench_small import Counters, machine

from spladelake.bm25 import Bm25Settings
from spladelake.config import JOBS, checked
from spladelake.spark.jobs import run_job
from spladelake.spark.session.start import spark_session

CORPORA = ("msmarco-dl1920", "debian-packages-en")
# On the tiny lake, before the first round that counts.
WARM_UPS = 4
QUERIES = [{"_id": "q1", "text": "what is a river"}, {"_id": "q2", "text": "library for reading files"}]


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds the collections")
    parser.add_argument("--sizes", default="27170,60000", help="documents, comma separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), "rounds": options.rounds, "load_at_start": load()}
    records = read_records(options.data)
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        bench = Bench(Path(folder))
        for _ in range(WARM_UPS):
            bench.tiny(records[:8])
        figures["tiny"] = best_of([bench.tiny(records[:8]) for _ in range(options.rounds + 2)])
        print(f"8 documents, 2 queries: {figures['tiny']}", flush=True)
        for size in map(int, options.sizes.split(",")):
            figures[str(size)] = bench.beside(records[:size], options.rounds)
            print(f"{size:,} documents: {figures[str(size)]}", flush=True)
    figures["load_at_end"] = load()
    if options.out is not None:
        options.out.write_text(json.dumps({"command": " ".join(["python", *sys.argv]), **figures}, indent=1) + "\n")
    print(json.dumps(figures))


def load() -> float:
    """Processes that want to run, of everybody on the machine, over the last minute."""
    return round(os.getloadavg()[0], 2)


def read_records(data: Path) -> list[dict[str, str]]:
    """The documents of all corpora, in an order that makes the first so many like all."""
    lines = [line for name in CORPORA for line in (data / name / "corpus.jsonl").open(encoding="utf-8", newline="\n")]
    random.Random(0).shuffle(lines)
    return [{**json.loads(line), "_id": f"d{number}"} for number, line in enumerate(lines)]


def best_of(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Of each side the fastest round."""
    return {side: min((r[side] for r in rounds), key=lambda figures: figures["seconds"]) for side in rounds[0]}


class Bench:
    """Lakes of the first documents, in one local session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ["SPLADELAKE_WORKER_STARTS"] = str(folder / "worker_starts")
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        settings = {"spark.driver.memory": "2g", "spark.python.daemon.module": "counting_daemon"}
        self.session = spark_session("bench_bm25", settings=settings)
        self.counters = Counters(self.session, folder / "worker_starts")

    def tiny(self, records: list[dict[str, str]]) -> dict[str, dict[str, float]]:
        """What a new encode of a few documents costs, and one of two queries."""
        lake = self._lake(records)
        return {side: self._encode(lake, side) for side in ("documents", "queries")}

    def beside(self, records: list[dict[str, str]], rounds: int) -> dict[str, Any]:
        """Seconds of the job and of bm25s, and their ratio."""
        texts = [" ".join(filter(str.strip, (record.get("title") or "", record["text"]))) for record in records]
        job, peer, peer_cpu = [], [], []
        for _ in range(rounds):
            lake = self._lake(records)
            before = cpu_seconds()
            peer.append(bm25s_seconds(texts))
            peer_cpu.append(cpu_seconds() - before)
            job.append(self._encode(lake, "documents"))
            print(f"  bm25s {peer[-1]:.2f} s, job {job[-1]}", flush=True)
        best = min(job, key=lambda figures: figures["seconds"])
        seconds = round(min(peer), 2)
        return {
            "job": best,
            "bm25s_s": seconds,
            "ratio": round(best["seconds"] / seconds, 2),
            "job_cpu_s": min(figures["cpu_s"] for figures in job),
            "bm25s_cpu_s": round(min(peer_cpu), 2),
        }

    def _lake(self, records: list[dict[str, str]]) -> Path:
        """The lake of these documents, without vectors."""
        lake, source = self.folder / f"lake{len(records)}", self.folder / f"source{len(records)}"
        shutil.rmtree(lake / "vectors", ignore_errors=True)
        if not source.exists():
            source.mkdir()
            for name, rows in (("corpus", records), ("queries", QUERIES)):
                text = "".join(json.dumps(row) + "\n" for row in rows)
                (source / f"{name}.jsonl").write_text(text, encoding="utf-8")
            self._run("ingest_texts", lake=str(lake), source=str(source))
        return lake

    def _encode(self, lake: Path, side: str) -> dict[str, float]:
        before = {**self.counters.read(lake), "cpu_s": cpu_seconds()}
        self._run("encode_texts", lake=str(lake), model="bm25", side=side)
        seconds = time.monotonic()
        after = {**self.counters.read(lake), "seconds": seconds, "cpu_s": cpu_seconds()}
        return {key: round(after[key] - before[key], 3) for key in after}

    def _run(self, job: str, **given: Any) -> None:
        run_job(self.session, job, checked(JOBS[job].options, given, place=job))


def cpu_seconds() -> float:
    """Processor seconds so far of this process and of all that it started and that still run, Linux only."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name before the last bracket may hold spaces.
            fields = stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        except OSError:
            continue  # it ended since it was listed
        process = int(stat.parent.name)
        parents[process], seconds[process] = int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    ours = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(seconds[process] for process in ours)


def bm25s_seconds(texts: list[str]) -> float:
    """Of tokenising and indexing in memory, with the words and the weights of the job."""
    settings = Bm25Settings()
    began = time.monotonic()
    tokens = bm25s.tokenize(
        texts, stopwords=list(settings.stop_words), stemmer=Stemmer.Stemmer(settings.stemmer), show_progress=False
    )
    bm25s.BM25(method="lucene", k1=settings.k1, b=settings.b).index(tokens, show_progress=False)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
