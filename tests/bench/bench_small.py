"""What small jobs cost beyond their rows: Spark jobs, commits, worker starts, generated code and seconds of each step.

    python tests/bench/bench_small.py --data ../shared/data [--rounds 3] [--commands] [--out FILE]

Each step runs in one warm session on three collections: all of cranfield, its first 420 documents with 21 queries, and
its first 8 with two. The time on the last is the fixed cost of a job. A round is a lake of its own; the first round of
the smallest collection warms the session and is not counted. The figures are those of the fastest round.
--commands also times commands as processes of their own on a lake of the 420 documents.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from spladelake.config import JOBS, checked
from spladelake.spark.jobs import run_job
from spladelake.spark.session.start import spark_session

# Documents and queries of each slice of the collection; None for all.
SIZES: dict[str, tuple[int | None, int | None]] = {"tiny": (8, 2), "slice": (420, 21), "whole": (None, None)}
WARM_UPS = 3


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds the collection")
    parser.add_argument("--collection", default="cranfield")
    parser.add_argument("--sizes", default=",".join(SIZES), help="which of the slices, comma separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", default="", help="regular expression: only the steps that match are shown")
    parser.add_argument("--commands", action="store_true", help="also commands as processes of their own")
    parser.add_argument("--no-warm", action="store_true", help="only the commands")
    parser.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), "load_at_start": round(os.getloadavg()[0], 2)}
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        sources = {
            name: cut(options.data / options.collection, Path(folder) / name, *SIZES[name])
            for name in options.sizes.split(",")
        }
        if not options.no_warm:
            figures["warm"] = warm(Path(folder), sources, options)
        if options.commands:
            figures["commands"] = commands(
                Path(folder), cut(options.data / options.collection, Path(folder) / "c", 420, 21)
            )
    figures["load_at_end"] = round(os.getloadavg()[0], 2)
    if options.out is not None:
        options.out.write_text(json.dumps({"command": " ".join(["python", *sys.argv]), **figures}, indent=1) + "\n")
    print(json.dumps(figures))


def machine() -> str:
    """The processor, and which of the instruction sets that matter here it has."""
    said = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", said)
    sets = [name for name in ("avx2", "avx512_vnni", "amx_int8") if name in said]
    return f"{os.cpu_count()} x {model[1] if model else 'unknown'}, {' '.join(sets)}"


def cut(collection: Path, target: Path, documents: int | None, queries: int | None) -> Path:
    """A BEIR folder of the first documents, and of the first queries that have a relevant one among them."""
    (target / "qrels").mkdir(parents=True)
    corpus = (collection / "corpus.jsonl").read_text(encoding="utf-8").split("\n")
    corpus = [line for line in corpus if line][:documents]
    ids = {str(json.loads(line)["_id"]) for line in corpus}
    header, *judged = (collection / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    judged = [line for line in judged if line.split("\t")[1] in ids]
    relevant = {line.split("\t")[0] for line in judged if int(line.split("\t")[2]) > 0}
    asked = [line for line in (collection / "queries.jsonl").read_text(encoding="utf-8").split("\n") if line]
    asked = [line for line in asked if str(json.loads(line)["_id"]) in relevant][:queries]
    kept = {str(json.loads(line)["_id"]) for line in asked}
    judged = [line for line in judged if line.split("\t")[0] in kept]
    (target / "corpus.jsonl").write_text("\n".join(corpus) + "\n", encoding="utf-8")
    (target / "queries.jsonl").write_text("\n".join(asked) + "\n", encoding="utf-8")
    (target / "qrels" / "test.tsv").write_text("\n".join([header, *judged]) + "\n", encoding="utf-8")
    return target


def steps(source: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name of each step, its job and the job's options, in their order."""
    return {
        "ingest documents": ("ingest_texts", {"documents": str(source / "corpus.jsonl")}),
        "ingest queries": ("ingest_texts", {"queries": str(source / "queries.jsonl")}),
        "ingest judgements": ("ingest_texts", {"judgements": str(source / "qrels" / "test.tsv")}),
        "encode documents": ("encode_texts", {"model": "splade-tiny", "side": "documents"}),
        "encode queries": ("encode_texts", {"model": "splade-tiny", "side": "queries"}),
        "bm25 documents": ("encode_texts", {"model": "bm25", "side": "documents"}),
        "bm25 queries": ("encode_texts", {"model": "bm25", "side": "queries"}),
        "retrieve": ("retrieve_run", {"model": "splade-tiny"}),
        "retrieve bm25": ("retrieve_run", {"model": "bm25"}),
        "fuse": ("fuse_runs", {"runs": ["splade-tiny", "bm25"]}),
        "evaluate": ("evaluate_run", {"model": "splade-tiny", "measures": ["all"]}),
        "evaluate bm25": ("evaluate_run", {"model": "bm25", "measures": ["all"]}),
        "compare": ("compare_runs", {"run_ids": ["splade-tiny", "bm25"]}),
    }


@dataclass(frozen=True)
class Counters:
    """What a step may cost, counted where it happens; differences of two readings are a step's."""

    session: SparkSession
    workers: Path

    def read(self, lake: Path) -> dict[str, float]:
        """All counts as they are now; commits are those of the lake's tables."""
        jvm = self.session._jvm
        assert jvm is not None
        generator = jvm.org.apache.spark.sql.catalyst.expressions.codegen.CodeGenerator
        return {
            "seconds": time.monotonic(),
            "jobs": self.session._jsc.sc().dagScheduler().nextJobId(),
            "commits": sum(1 for _ in lake.rglob("_delta_log/*.json")),
            "workers": len(self.workers.read_text(encoding="utf-8").splitlines()) if self.workers.exists() else 0,
            "compile_s": generator.compileTime() / 1e9,
        }


def warm(folder: Path, sources: dict[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    """Figures of every step on every collection, of the fastest round, all in one session."""
    starts = folder / "worker_starts"
    os.environ["SPLADELAKE_WORKER_STARTS"] = str(starts)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    given = dict(pair.split("=", 1) for pair in options.conf)
    session = spark_session("bench_small", settings={"spark.python.daemon.module": "counting_daemon", **given})
    counters = Counters(session, starts)
    smallest = sources.get("tiny") or next(iter(sources.values()))
    for number in range(WARM_UPS):
        began = time.monotonic()
        one_round(counters, folder / f"warm-{number}", smallest)
        print(f"warm-up {number}: {time.monotonic() - began:.1f} s", flush=True)
    found: dict[str, Any] = {}
    for name, source in sources.items():
        rounds = [one_round(counters, folder / f"{name}-{number}", source) for number in range(options.rounds)]
        found[name] = {step: min((r[step] for r in rounds), key=lambda f: f["seconds"]) for step in rounds[0]}
        print(f"\n{name:20} seconds  jobs  commits  workers  compile_s")
        for step, f in found[name].items():
            if re.search(options.steps, step):
                counts = f"{f['jobs']:5.0f} {f['commits']:8.0f} {f['workers']:8.0f}"
                print(f"{step:20} {f['seconds']:7.2f} {counts} {f['compile_s']:10.2f}")
    session.stop()
    return found


def one_round(counters: Counters, lake: Path, source: Path) -> dict[str, dict[str, float]]:
    """Run all steps into a new lake; what each of them cost."""
    lake.mkdir()
    found = {}
    for step, (job, given) in steps(source).items():
        checked_options = checked(JOBS[job].options, {"lake": str(lake), **given}, place=step)
        before = counters.read(lake)
        run_job(counters.session, job, checked_options)
        seconds = time.monotonic()
        after = {**counters.read(lake), "seconds": seconds}
        found[step] = {key: round(after[key] - before[key], 3) for key in after}
    return found


COMMANDS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "evaluate_run": lambda lake: (
        "evaluate_run",
        "--lake",
        lake,
        "--model",
        "splade-tiny",
        "--measures",
        "all",
        "--force",
    ),
    "search": lambda lake: ("search", "boundary layer flow", "--lake", lake, "--model", "splade-tiny", "-k", "5"),
    "doctor": lambda lake: ("doctor", "--lake", lake),
    "verify_tables": lambda lake: ("verify_tables", "--lake", lake),
    "maintain_tables": lambda lake: ("maintain_tables", "--lake", lake),
}


def commands(folder: Path, source: Path, *, rounds: int = 2) -> dict[str, float]:
    """Seconds of commands from the prompt to their end, on a lake of the slice; the best of two."""
    lake = str(folder / "command-lake")
    for job, given in steps(source).values():
        flags = [
            part
            for key, value in given.items()
            for part in (f"--{key.replace(chr(95), chr(45))}", ",".join(value) if isinstance(value, list) else value)
        ]
        _command(job, "--lake", lake, *flags)
    found = {}
    for name, line in COMMANDS.items():
        found[name] = round(min(_command(*line(lake)) for _ in range(rounds)), 1)
        print(f"{name:20} {found[name]:7.1f}", flush=True)
    return found


def _command(*arguments: str) -> float:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "spladelake", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{arguments} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.monotonic() - began


if __name__ == "__main__":
    main()
