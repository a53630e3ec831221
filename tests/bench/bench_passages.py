"""Effectiveness and cost of passages on long documents, beside the same documents cut at the end of the model's window.

    python tests/bench/bench_passages.py --data ../shared/data [--documents 280] [--queries 60] [--joined 14]

The long documents are documents of cranfield, joined in their order. A query is answered by a long document that holds
one of its relevant documents. `tokens_per_second` of `parts` is the rate for the same text as short documents.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from spladelake.config import JOBS, checked
from spladelake.measures.significance import paired_test
from spladelake.spark.jobs import run_job
from spladelake.spark.session.start import spark_session
from spladelake.spark.tables.refs import Lake

MODEL, MEASURE, SEED = "splade-tiny", "ndcg@10", 7
PASSAGES = {"passage_tokens": 128, "passage_stride": 64}
AGGREGATES = ("max", "first", "mean-of-top-2", "sum-of-top-2")


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds cranfield")
    parser.add_argument("--documents", type=int, default=280, help="documents of cranfield")
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--joined", type=int, default=14, help="documents in one long document")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        figures = measured(Path(folder), options)
    text = json.dumps({"command": " ".join(["python", *sys.argv]), **figures}, indent=1)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)


def measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Encode, rank and measure; return the figures."""
    sources = written(folder, options.data / "cranfield", options)
    session = spark_session("bench_passages")

    def job(name: str, **given: Any) -> Any:
        return run_job(session, name, checked(JOBS[name].options, given, place=name))

    for name, source in sources.items():
        job("ingest_texts", lake=f"{folder}/{name}", source=str(source))
    job("encode_texts", lake=f"{folder}/parts", model=MODEL, vectors="warm")  # loads the model
    long = f"{folder}/long"
    encoded = {
        "parts": job("encode_texts", lake=f"{folder}/parts", model=MODEL, side="documents"),
        "cut": job("encode_texts", lake=long, model=MODEL, vectors="cut"),
        "passages": job("encode_texts", lake=long, model=MODEL, vectors="passages", **PASSAGES),
    }
    runs = {"cut": {"vectors": "cut"}} | {name: {"vectors": "passages", "aggregate": name} for name in AGGREGATES}
    seconds = {}
    for run_id, given in runs.items():
        done = job("retrieve_run", lake=long, model=MODEL, ranking=run_id, k=100, **given)
        seconds[run_id] = done["seconds"]
        job("evaluate_run", lake=long, model=MODEL, ranking=run_id, measures=MEASURE)
    costs = ("rows", "truncated", "tokens_per_second", "seconds", "active_dims")
    return {
        "encode": {name: {cost: done["documents"][cost] for cost in costs} for name, done in encoded.items()},
        "retrieve_seconds": seconds,
        MEASURE: effectiveness(session, long, list(runs)),
    }


def written(folder: Path, collection: Path, options: argparse.Namespace) -> dict[str, Path]:
    """Write the short and the long documents as BEIR folders, and return the folders."""
    records = [json.loads(line) for line in (collection / "corpus.jsonl").open(encoding="utf-8")]
    records = [record for record in records if record["text"]][: options.documents]
    queries = (collection / "queries.jsonl").read_text(encoding="utf-8").splitlines()[: options.queries]
    joined, long_of = [], {}
    for first in range(0, len(records), options.joined):
        group = records[first : first + options.joined]
        joined.append({"_id": f"long-{first}", "text": "\n\n".join(record["text"] for record in group)})
        long_of |= {record["_id"]: f"long-{first}" for record in group}
    (qrels,) = sorted((collection / "qrels").glob("*.tsv"))[-1:]
    pairs = [line.split("\t") for line in qrels.read_text(encoding="utf-8").splitlines()[1:]]
    relevant = {(query, long_of[d]) for query, d, grade in pairs if d in long_of and int(grade) > 0}
    lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t1" for query, document in sorted(relevant))]
    found = {}
    for name, corpus in (("parts", records), ("long", joined)):
        found[name] = folder / f"source-{name}"
        (found[name] / "qrels").mkdir(parents=True)
        (found[name] / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in corpus), encoding="utf-8")
        (found[name] / "queries.jsonl").write_text("\n".join(queries) + "\n", encoding="utf-8")
        (found[name] / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return found


def effectiveness(session: SparkSession, lake: str, runs: list[str]) -> dict[str, Any]:
    """Return the mean of each run, and its difference from the cut documents with two p-values."""
    rows = Lake(lake).table("measures").read(session).where("query_id IS NOT NULL").collect()
    values = {run: {r["query_id"]: r["value"] for r in rows if r["run_id"] == run} for run in runs}
    names = sorted(values["cut"])
    found = {}
    for run in runs:
        differences = np.array([values[run][query] - values["cut"][query] for query in names])
        test = paired_test(differences, permutations=10_000, seed=[SEED])
        mean = float(np.mean([values[run][query] for query in names]))
        found[run] = {
            "mean": round(mean, 4), "difference": round(test.difference, 4), "wins": test.wins, "losses": test.losses,
            "t_p": test.t_p, "randomisation_p": test.randomisation_p,
        }  # fmt: skip
    return found


if __name__ == "__main__":
    main()
