"""Time a full encode, then updates of 1 % of the documents, in one warm session; the last line is JSON.

python tests/bench/bench_update.py --data ../shared/data --documents 60000

The seconds are those of the jobs, Spark's start not included. What does not grow with the corpus (planning, commits) is
timed by the same update of a hundredth of the corpus: `fixed_s`. `share` is what the update takes beyond that, of the
full encode; `share_with_fixed_costs` is all of it. Both updates take turns, the least of --rounds counts.
`empty_update_s` is an update after which nothing has to be encoded.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.config import EncodeTexts, IngestTexts
from spladelake.spark.encode.job import encode_texts
from spladelake.spark.ingest.job import ingest_texts
from spladelake.spark.session.start import spark_session
from spladelake.spark.tables.refs import TableRef

COLLECTION = "debian-packages-en"
LEAST_DOCUMENTS = 50_000


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


def encoded_lake(session: SparkSession, folder: Path, data: Path, *, documents: int) -> dict[str, Any]:
    """A lake of so many documents, encoded: where it is, and the encode's figures."""
    folder.mkdir()
    count = first_lines(data / COLLECTION / "corpus.jsonl", folder / "corpus.jsonl", count=documents)
    lake = str(folder / "lake")
    ingest_texts(session, IngestTexts(lake=lake, documents=str(folder / "corpus.jsonl")))
    seconds, full = timed_encode(session, lake)
    return {"lake": lake, "documents": count, "seconds": seconds, "docs_s": full["docs_per_second"]}


def timed_update(session: SparkSession, lake: str, *, part: int, changes: str) -> tuple[float, int]:
    """Change the texts of one of a hundred parts; seconds of the encode after it, and how many texts it encoded."""
    TableRef(path=f"{lake}/documents").delta(session).update(
        F.expr(f"pmod(xxhash64(doc_id), 100) = {part}"), {"text": F.concat("text", F.lit(" in a new version"))}
    )
    seconds, update = timed_encode(session, lake, changes=changes)
    return seconds, update["rows"]


def measure(session: SparkSession, folder: Path, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of a full encode and of the updates after it."""
    full = encoded_lake(session, folder / "full", data, documents=options.documents)
    small = encoded_lake(session, folder / "small", data, documents=options.documents // 100)
    figures: dict[str, Any] = {
        "documents": full["documents"], "cores": len(os.sched_getaffinity(0)), "changes": options.changes,
        "full_s": round(full["seconds"], 1), "full_docs_s": full["docs_s"],
    }  # fmt: skip
    rounds: dict[str, list[tuple[float, int]]] = {"fixed": [], "update": []}
    for part in range(options.rounds):
        for name, lake in (("fixed", small["lake"]), ("update", full["lake"])):
            rounds[name].append(timed_update(session, lake, part=part, changes=options.changes))
            print(name, rounds[name][-1], flush=True)
    for name, timed in rounds.items():
        seconds, rows = min(timed)
        figures |= {f"{name}_s": round(seconds, 1), f"{name}_rows": rows}
    session.sql(f"ALTER TABLE delta.`{full['lake']}/documents` SET TBLPROPERTIES ('spladelake.bench' = '1')")
    figures["empty_update_s"] = round(timed_encode(session, full["lake"], changes=options.changes)[0], 1)
    figures["share"] = round((figures["update_s"] - figures["fixed_s"]) / figures["full_s"], 4)
    figures["share_with_fixed_costs"] = round(figures["update_s"] / figures["full_s"], 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data", help=f"folder that holds {COLLECTION}")
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--changes", choices=["snapshot", "feed"], default="snapshot")
    parser.add_argument("--rounds", type=int, default=3, help="updates of another 1 %% each")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    if options.documents < LEAST_DOCUMENTS:
        parser.error(f"--documents: wanted at least {LEAST_DOCUMENTS:,}, so that 1 % of a hundredth of them are texts")
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        session = spark_session("bench_update", settings={"spark.local.dir": folder})
        figures = measure(session, Path(folder), Path(options.data), options)
        session.stop()
    if options.out is not None:
        record = {"command": " ".join(["python", *sys.argv]), **figures}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
