"""Inputs of unusual sizes: what every step takes, in seconds and memory, and how it ends.

    python tests/bench/bench_sizes.py [--documents 1000000] [--repeats 100000] [--text-mb 50] [--cases words,long]
                                      [--out FILE]

- words: a million documents of one word each, encoded by BM25 and splade-tiny; rankings of 100 and of all documents.
- long: one text of 50 MB beside a short one; by default in quarantine, and encoded with a higher --max-text-bytes.
- repeated: one text as 100,000 documents, so that all scores are equal.
- query: a query of 20,000 words over the one-word documents of the first 10,000 words.

Memory is that of the driver, its JVM and the Python workers together, each shared page counted once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench_retrieve_spark import peak_memory
from bench_small import machine
from pyspark.sql import SparkSession

from spladelake.config import JOBS, checked
from spladelake.errors import SpladelakeError
from spladelake.spark.jobs import run_job
from spladelake.spark.session.start import spark_session

# What of a result shows that nothing was lost.
SHOWN = ("status", "rows", "rejected", "truncated", "queries", "documents", "queries_without_hit", "strategy")
WORDS_OF_QUERY = 20_000


def main() -> None:
    """Parse the command line, run the cases, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=100_000)
    parser.add_argument("--text-mb", type=int, default=50)
    parser.add_argument("--cases", default=",".join(CASES), help="which of the cases, comma separated")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON")
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), "load_at_start": round(os.getloadavg()[0], 2)}
    session = spark_session("bench_sizes")
    for name in options.cases.split(","):
        folder = Path(tempfile.mkdtemp(prefix="spladelake-sizes-"))
        try:
            figures[name] = CASES[name](Steps(session, folder), options)
        finally:
            shutil.rmtree(folder)
    session.stop()
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


class Steps:
    """Runs jobs on a lake of its own; notes seconds, memory and results."""

    def __init__(self, session: SparkSession, folder: Path) -> None:
        self.session, self.folder = session, folder
        self.lake = str(folder / "lake")
        self.done: dict[str, Any] = {}

    def lines(self, name: str, texts: Iterable[str]) -> str:
        """Write the texts as a jsonl file of documents or queries."""
        path = self.folder / name
        with path.open("w", encoding="utf-8") as file:
            for number, text in enumerate(texts):
                file.write(json.dumps({"_id": f"t{number}", "text": text}) + "\n")
        return str(path)

    def __call__(self, step: str, job: str, **given: Any) -> None:
        """Run a job; an error of the documented kinds is its result."""
        options = checked(JOBS[job].options, {"lake": self.lake, **given}, place=step)
        began = time.monotonic()
        with peak_memory() as peak:
            try:
                result = run_job(self.session, job, options)
            except SpladelakeError as error:
                result = {"status": f"exit {error.exit_code}: {error}"}
        seconds = round(time.monotonic() - began, 1)
        self.done[step] = {"seconds": seconds, "peak_mb": peak["mb"], **shown(result)}
        print(f"{step:44} {seconds:8.1f} s {peak['mb']:8.0f} MB  {json.dumps(shown(result))}", flush=True)


def shown(result: dict[str, Any]) -> dict[str, Any]:
    """Counts of a result, those of each side with the side's name."""
    found = {key: result[key] for key in SHOWN if key in result and not isinstance(result[key], dict)}
    for side in ("documents", "queries"):
        if isinstance(result.get(side), dict):
            found |= {f"{side}.{key}": value for key, value in shown(result[side]).items()}
    return found


def word(number: int) -> str:
    """A word of letters for every number, so that no stemmer or tokenizer takes two for one."""
    letters = ""
    while True:
        number, rest = divmod(number, 20)
        letters += "bcdfghjklmnpqrstvwxz"[rest] + "aeiou"[rest % 5]
        if not number:
            return letters + "q"


def words(steps: Steps, options: argparse.Namespace) -> dict[str, Any]:
    """Documents of one word each: a fifth of the words occur twice, one occurs in half of them."""
    texts = ("common" if n % 2 else word(n * 4 // 5) for n in range(options.documents))
    steps("ingest one-word documents", "ingest_texts", documents=steps.lines("documents.jsonl", texts))
    steps(
        "ingest 3 queries",
        "ingest_texts",
        queries=steps.lines("queries.jsonl", ["common", word(8), "common " + word(8)]),
    )
    steps("encode by bm25", "encode_texts", model="bm25")
    steps("retrieve bm25, k = 100", "retrieve_run", model="bm25", k=100)
    steps("retrieve bm25, k = 1,000,000", "retrieve_run", model="bm25", k=1_000_000, run_id="million")
    steps("encode by splade-tiny", "encode_texts", model="splade-tiny")
    steps("retrieve splade-tiny, k = 100", "retrieve_run", model="splade-tiny", k=100)
    steps("retrieve splade-tiny, k = 1,000,000", "retrieve_run", model="splade-tiny", k=1_000_000, run_id="million-s")
    return steps.done


def long(steps: Steps, options: argparse.Namespace) -> dict[str, Any]:
    """A text of many megabytes beside a short one."""
    text = " ".join(word(n) for n in range(options.text_mb * 1_000_000 // 9 + 1))
    steps("ingest a long text", "ingest_texts", documents=steps.lines("documents.jsonl", [text, "short"]))
    steps("encode by splade-tiny, default", "encode_texts", model="splade-tiny", side="documents", max_rejected=1)
    most = len(text) + 1
    steps(
        "encode by splade-tiny, all",
        "encode_texts",
        model="splade-tiny",
        side="documents",
        vectors="all",
        max_text_bytes=most,
    )
    steps("encode by bm25, default", "encode_texts", model="bm25", side="documents", max_rejected=1)
    steps(
        "encode by bm25, all", "encode_texts", model="bm25", side="documents", vectors="bm25-all", max_text_bytes=most
    )
    return steps.done


def repeated(steps: Steps, options: argparse.Namespace) -> dict[str, Any]:
    """One text as all documents."""
    text = "the boundary layer of a flat plate in supersonic flow grows with the square root of the distance"
    steps(
        "ingest one text repeated", "ingest_texts", documents=steps.lines("documents.jsonl", [text] * options.repeats)
    )
    steps("ingest a query", "ingest_texts", queries=steps.lines("queries.jsonl", ["boundary layer flow"]))
    for model in ("bm25", "splade-tiny"):
        steps(f"encode by {model}", "encode_texts", model=model)
        steps(f"retrieve {model}, k = 1000", "retrieve_run", model=model, k=1000)
    steps("index_vectors splade-tiny", "index_vectors", model="splade-tiny")
    return steps.done


def query(steps: Steps, options: argparse.Namespace) -> dict[str, Any]:
    """A query of very many words, which a model cuts and BM25 does not."""
    asked = " ".join(word(n) for n in range(WORDS_OF_QUERY))
    steps("ingest documents", "ingest_texts", documents=steps.lines("documents.jsonl", map(word, range(10_000))))
    steps("ingest the query", "ingest_texts", queries=steps.lines("queries.jsonl", [asked]))
    for model in ("bm25", "splade-tiny"):
        steps(f"encode by {model}", "encode_texts", model=model)
        steps(f"retrieve {model}, k = 20,000", "retrieve_run", model=model, k=20_000)
    return steps.done


CASES: dict[str, Callable[[Steps, argparse.Namespace], dict[str, Any]]] = {
    "words": words, "long": long, "repeated": repeated, "query": query,
}  # fmt: skip


if __name__ == "__main__":
    main()
