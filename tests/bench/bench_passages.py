"""Effectiveness and cost of passages on long documents, beside the same documents cut at the end of the model's window.

    python tests/bench/bench_passages.py --data ../shared/data [--out tests/bench/results/passages.json]

The long documents are documents of cranfield, joined in their order, so the place of each answer is known. A query is
answered by a long document that holds one of its relevant documents. A needle is a sentence after three fifths of the
words of a long document, beyond the end of the window.

`same_texts` are the texts of the passages as documents of their own: encoding them, ranking them and storing them is
what passages are compared with. Of `--rounds` rounds the fastest counts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.config import JOBS, checked
from spladelake.measures.significance import paired_test
from spladelake.spark.jobs import run_job
from spladelake.spark.session.start import spark_session
from spladelake.spark.tables.data_files import data_files
from spladelake.spark.tables.refs import Lake

MODEL, MEASURE, SEED = "splade-tiny", "ndcg@10", 7
PASSAGES = {"passage_tokens": 128, "passage_stride": 64}
AGGREGATES = ("max", "first", "mean-of-top-2", "sum-of-top-2")
ANIMALS = ("zebra", "rabbit", "elephant", "penguin", "crocodile", "donkey", "camel", "tortoise", "octopus", "parrot")
FRUITS = ("banana", "cherry", "lemon", "peach", "apricot", "mango", "raspberry", "coconut", "grape", "olive")

Job = Callable[..., Any]


@dataclass
class Collection:
    """The long documents: their texts, the place of each joined document, the relevant ones, and the needles."""

    texts: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    relevant: dict[str, list[str]] = field(default_factory=dict)
    needles: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def judgements(self) -> list[tuple[str, str]]:
        """(query, long document) of all relevant documents and needles."""
        found = {(query, self.places[part][0]) for query, parts in self.relevant.items() for part in parts}
        return sorted(found | {(query, document) for query, (document, _) in self.needles.items()})


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds cranfield")
    parser.add_argument("--documents", type=int, default=1_400, help="documents of cranfield")
    parser.add_argument("--joined", type=int, default=14, help="documents in one long document")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each measured job")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    collection = joined(options.data / "cranfield", documents=options.documents, size=options.joined)
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        figures = measured(Path(folder), collection, rounds=options.rounds)
    head = {"command": " ".join(["python", *sys.argv]), "cores": len(os.sched_getaffinity(0))}
    text = json.dumps({**head, "documents": len(collection.texts), **figures}, indent=1)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)


def joined(source: Path, *, documents: int, size: int) -> Collection:
    """Join documents of a collection, with needles in some of them."""
    lines = (source / "corpus.jsonl").open(encoding="utf-8")
    records = [record for record in map(json.loads, lines) if record["text"]][:documents]
    found = Collection()
    for number, first in enumerate(range(0, len(records), size)):
        pieces, name, length = [record["text"] for record in records[first : first + size]], f"long-{number}", 0
        if number < len(ANIMALS):
            needle = f"The favourite food of the {ANIMALS[number]} is {FRUITS[number]}."
            at = len(pieces) * 3 // 5
            pieces[at] = f"{pieces[at]} {needle}"
            found.needles[f"needle-{number}"] = (name, needle)
            found.queries[f"needle-{number}"] = f"what is the favourite food of the {ANIMALS[number]}"
        for record, piece in zip(records[first : first + size], pieces, strict=True):
            found.places[record["_id"]] = (name, length, length + len(piece))
            length += len(piece) + 2
        found.texts[name] = "\n\n".join(pieces)
    (qrels,) = sorted((source / "qrels").glob("*.tsv"))[-1:]
    for line in qrels.read_text(encoding="utf-8").splitlines()[1:]:
        query, part, grade = line.split("\t")
        if part in found.places and int(grade) > 0:
            found.relevant.setdefault(query, []).append(part)
    asked = (json.loads(line) for line in (source / "queries.jsonl").open(encoding="utf-8"))
    found.queries |= {record["_id"]: record["text"] for record in asked if record["_id"] in found.relevant}
    return found


def written(folder: Path, texts: Iterable[tuple[str, str]], collection: Collection) -> str:
    """Write texts with the queries and judgements as a BEIR folder, and return the folder."""
    (folder / "qrels").mkdir(parents=True)
    queries = [{"_id": name, "text": text} for name, text in collection.queries.items()]
    for name, records in (("corpus", [{"_id": i, "text": t} for i, t in texts]), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t1" for query, document in collection.judgements)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)


def measured(folder: Path, collection: Collection, *, rounds: int) -> dict[str, Any]:
    """Encode, rank and measure; return the figures."""
    session = spark_session("bench_passages")

    def job(name: str, **given: Any) -> Any:
        model = {"model": MODEL} if "model" in JOBS[name].options.model_fields else {}
        return run_job(session, name, checked(JOBS[name].options, {**model, **given}, place=name))

    long, pieces = f"{folder}/long", f"{folder}/pieces"
    job("ingest_texts", lake=long, source=written(folder / "source-long", collection.texts.items(), collection))
    job("encode_texts", lake=long, vectors="cut")  # loads the model
    job("encode_texts", lake=long, vectors="passages", **PASSAGES)
    rows = Lake(long).vectors("passages", "documents").read(session).collect()
    texts = [(row["id"], collection.texts[row["doc_id"]][row["start"] : row["end"]]) for row in rows]
    job("ingest_texts", lake=pieces, source=written(folder / "source-pieces", texts, collection))
    job("encode_texts", lake=pieces, vectors="same_texts")
    return {
        "passages": len(rows),
        "encode_tokens_per_second": encode_rates(job, long, pieces, rounds=rounds),
        "retrieve_seconds": retrieve_times(job, long, pieces, rounds=rounds),
        "bytes_per_posting": {
            "cut": bytes_per_posting(session, long, "cut"), "passages": bytes_per_posting(session, long, "passages"),
            "same_texts": bytes_per_posting(session, pieces, "same_texts"),
        },
        **effectiveness(session, job, long, collection),
    }  # fmt: skip


def encode_rates(job: Job, long: str, pieces: str, *, rounds: int) -> dict[str, float]:
    """Return the tokens per second of the passages, and of the same texts as documents."""
    rates: dict[str, float] = {"passages": 0.0, "same_texts": 0.0}
    for number in range(rounds):
        done = {
            "same_texts": job("encode_texts", lake=pieces, vectors=f"again{number}", side="documents"),
            "passages": job("encode_texts", lake=long, vectors=f"again{number}", side="documents", **PASSAGES),
        }
        rates = {name: max(rate, done[name]["documents"]["tokens_per_second"]) for name, rate in rates.items()}
    return {**rates, "ratio": round(rates["passages"] / rates["same_texts"], 3)}


def retrieve_times(job: Job, long: str, pieces: str, *, rounds: int) -> dict[str, float]:
    """Return the seconds of each ranking of the passages, and of the same texts as documents."""
    asked = {"cut": (long, {"vectors": "cut"}), "same_texts": (pieces, {"vectors": "same_texts"})}
    asked |= {name: (long, {"vectors": "passages", "aggregate": name}) for name in AGGREGATES}
    seconds: dict[str, float] = {}
    for _ in range(rounds + 1):  # the first compiles
        for run_id, (lake, given) in asked.items():
            done = job("retrieve_run", lake=lake, ranking=run_id, k=100, strategy="blocks", force=True, **given)
            seconds[run_id] = min(done["seconds"], seconds.get(run_id, done["seconds"]))
    return seconds


def bytes_per_posting(session: SparkSession, lake: str, vectors: str) -> float:
    """Return the bytes of the document vectors' data files by their postings, ids and hashes included."""
    rows = Lake(lake).vectors(vectors, "documents").read(session)
    size = sum(Path(path.removeprefix("file:").replace("//", "/")).stat().st_size for path in data_files(rows).values())
    postings = rows.agg(F.sum(F.size("indices")).alias("postings")).collect()[0]["postings"]
    return round(size / postings, 3)


def effectiveness(session: SparkSession, job: Job, lake: str, collection: Collection) -> dict[str, Any]:
    """Return the measures of the runs that `retrieve_times` made: nDCG, and whether answers and needles were found."""
    runs = ["cut", *AGGREGATES]
    for run_id in runs:
        job("evaluate_run", lake=lake, ranking=run_id, measures=MEASURE)
    rows = Lake(lake).table("measures").read(session).where("query_id IS NOT NULL").collect()
    values = {run: {r["query_id"]: r["value"] for r in rows if r["run_id"] == run} for run in runs}
    hits = Lake(lake).table("runs").read(session).where(F.col("run_id").isin(runs)).collect()
    return {
        MEASURE: {run: compared(values["cut"], values[run], names=sorted(collection.relevant)) for run in runs},
        "needles": len(collection.needles),
        "needles_at_rank_1": {
            run: sum(
                collection.needles[h["query_id"]][0] == h["doc_id"]
                for h in hits if h["run_id"] == run and h["rank"] == 1 and h["query_id"] in collection.needles
            )
            for run in runs
        },
        "answers_in_the_best_passage": places_found([h for h in hits if h["run_id"] == "max"], collection),
    }  # fmt: skip


def compared(base: dict[str, float], values: dict[str, float], *, names: list[str]) -> dict[str, Any]:
    """Return the mean of a run, and its difference from the cut documents with two p-values."""
    differences = np.array([values[query] - base[query] for query in names])
    test = paired_test(differences, permutations=10_000, seed=[SEED])
    return {
        "mean": round(float(np.mean([values[query] for query in names])), 4), "difference": round(test.difference, 4),
        "wins": test.wins, "losses": test.losses, "t_p": test.t_p, "randomisation_p": test.randomisation_p,
    }  # fmt: skip


def places_found(hits: list[Any], collection: Collection) -> float:
    """Return the share of relevant long documents in the top 10 whose best passage touches a relevant part."""
    answers: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for query, parts in collection.relevant.items():
        for name, start, end in (collection.places[part] for part in parts):
            answers.setdefault((query, name), []).append((start, end))
    found = [
        any(start < hit["passage_end"] and hit["passage_start"] < end for start, end in answers[key])
        for hit in hits
        if hit["rank"] <= 10 and (key := (hit["query_id"], hit["doc_id"])) in answers
    ]
    return round(sum(found) / len(found), 3) if found else 0.0


if __name__ == "__main__":
    main()
