"""Minutes of retrieve_run from Delta to `runs` at the size of MS MARCO, from the vectors and from the index.

    python tests/bench/bench_retrieve_spark.py [--docs 8841823 --queries 6980 --k 1000] [--sizes 500000,2000000]

Vectors are made (make_vectors.py), not encoded; a lake that --lake names is used again. --sizes adds smaller corpora,
to show how time grows: of each two neighbouring sizes the seconds a million documents more take, in which what every
job costs once does not stand; of several --rounds over all sizes each has its best. --plain names sizes that are ranked
without a sample too. --sql compares with the SQL strategy at 20,000 documents and 500 queries: whole jobs, and the
ranking alone (from the tables to rows nobody keeps). Seconds are those of the job; the start of the session and of
everything in it is left out by a retrieval of the smallest size before. Memory is that of the driver, its JVM and all
workers together. The last line is JSON, also written to --out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pyspark.sql import functions as F

from spladelake.config import IndexVectors, RetrieveRun
from spladelake.scoring import compile_kernels
from spladelake.spark.jobs import run_job
from spladelake.spark.retrieve import sample
from spladelake.spark.retrieve.blocks import Corpus, ranked_in_blocks, set_batch_size
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.conditions import selected
from spladelake.spark.retrieve.join import top_k
from spladelake.spark.retrieve.passes import Asked
from spladelake.spark.retrieve.query_rows import collected_queries
from spladelake.spark.retrieve.vector_checks import vocabulary_size
from spladelake.spark.session.start import spark_session
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import VECTORS

MS_MARCO_PASSAGES, MS_MARCO_DEV_SMALL = 8_841_823, 6_980
SQL_DOCS, SQL_QUERIES = 20_000, 500


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=MS_MARCO_PASSAGES)
    parser.add_argument("--queries", type=int, default=MS_MARCO_DEV_SMALL)
    parser.add_argument("--k", type=int, default=1000)
    parser.add_argument("--sizes", default="", help="smaller numbers of documents, comma separated")
    parser.add_argument("--rounds", type=int, default=1, help="how often every size is measured")
    parser.add_argument("--lake", type=Path, help="keep the vectors here (default: a temporary folder)")
    parser.add_argument("--collection", help="folder of the collection whose encoded texts the vectors are made of")
    parser.add_argument("--driver-memory", default="3g")
    parser.add_argument("--no-index", action="store_true", help="leave out index_vectors and the run from it")
    parser.add_argument("--plain", default="", help="of these sizes, also without a sample, comma separated")
    parser.add_argument("--sql", action="store_true", help="compare with the SQL strategy on a small size")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    options = parser.parse_args()
    figures: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "queries": options.queries, "k": options.k}
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as scratch:
        root = options.lake or Path(scratch)
        session = spark_session(
            "bench_retrieve_spark",
            settings={"spark.driver.memory": options.driver_memory, "spark.local.dir": f"{scratch}/local"},
        )
        sizes = sorted({options.docs, *(int(size) for size in options.sizes.split(",") if size)})
        warm_up(session, lake_of(root, sizes[0], options.queries, options.collection), options.k)
        rounds: dict[int, list[dict[str, Any]]] = {docs: [] for docs in sizes}
        for _ in range(options.rounds):
            for docs in sizes:
                lake = lake_of(root, docs, options.queries, options.collection)
                rounds[docs].append(measured(session, lake, options))
                if str(docs) in options.plain.split(","):
                    rounds[docs][-1] |= without_sample(session, lake, options.k)
                print(docs, rounds[docs][-1], flush=True)
        figures |= {str(docs): best_of(found) for docs, found in rounds.items()}
        if options.sql:
            lake = lake_of(root, SQL_DOCS, SQL_QUERIES, options.collection)
            figures["sql"] = compared_with_sql(session, lake)
        session.stop()
    figures |= slopes(figures, sizes)
    if options.out is not None:
        record = {"command": " ".join(["python", *sys.argv]), "load_at_end": os.getloadavg()[0], **figures}
        options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(figures))


def best_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one size: the least seconds of all rounds, the most memory; seconds of every round beside them."""
    best = dict(rounds[0])
    for name in best:
        found = [figures[name] for figures in rounds]
        if name.endswith("_s"):
            best[name] = max(found) if name == "products_per_s" else min(found)
        elif name.endswith("_mb"):
            best[name] = max(found)
    if len(rounds) > 1:
        best["rounds"] = {n: [figures[n] for figures in rounds] for n in best if n.startswith(("from_", "index_s"))}
    return best


def slopes(figures: dict[str, Any], sizes: list[int]) -> dict[str, Any]:
    """Seconds that a million documents more take, between each size and the next."""
    found = {}
    for name in ("from_vectors_s", "index_s", "from_index_s"):
        steps = [
            round(1e6 * (figures[str(b)][name] - figures[str(a)][name]) / (b - a), 2)
            for a, b in pairwise(sizes)
            if name in figures[str(a)]
        ]
        if steps:
            found[f"{name}_a_million_more"] = steps
    return found


def warm_up(session: Any, lake: str, k: int) -> None:
    """What happens once in a session: classes loaded, what millions of rows pass through compiled, workers started."""
    run_job(
        session, "retrieve_run", RetrieveRun(lake=lake, model="made", k=k, strategy="blocks", index="off", force=True)
    )


def lake_of(root: Path, docs: int, queries: int, collection: str | None) -> str:
    """A lake of made vectors of that size, made unless it is there."""
    lake = root / f"{docs}x{queries}"
    if not lake.exists():
        command = [sys.executable, Path(__file__).with_name("make_vectors.py"), "--out", lake / "vectors" / "made"]
        command += ["--docs", docs, "--queries", queries, *(["--collection", collection] if collection else [])]
        subprocess.run([str(part) for part in command], check=True)
    for side in ("documents", "queries"):
        declare_constraints(lake / "vectors" / "made" / side)
    return str(lake)


def declare_constraints(table: Path) -> None:
    """Give a table the constraints that encode_texts gives it, without Delta reading every row to see that they hold.

    They hold by the way the vectors are made; the rows are not to be checked again in what is measured.
    """
    log = table / "_delta_log"
    newest = sorted(log.glob("*.json"))
    actions = [json.loads(line) for file in newest for line in file.read_text().splitlines()]
    metadata = [action["metaData"] for action in actions if "metaData" in action][-1]
    wanted = {f"delta.constraints.{name}": sql for name, sql in VECTORS.constraints.items()}
    if wanted.items() <= metadata["configuration"].items():
        return
    metadata["configuration"] |= wanted
    added = [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 3}}, {"metaData": metadata}]
    path = log / f"{int(newest[-1].stem) + 1:020d}.json"
    path.write_text("".join(json.dumps(action) + "\n" for action in added))


def measured(session: Any, lake: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and memory of one size: from the vectors, of the index, from the index."""
    found: dict[str, Any] = {}
    run = RetrieveRun(lake=lake, model="made", k=options.k, strategy="blocks", index="off", force=True)
    with peak_memory() as peak:
        result = run_job(session, "retrieve_run", run)
    found |= {
        "from_vectors_s": result["seconds"],
        "products": result["products"],
        "products_per_s": round(result["products"] / result["seconds"]),
        "rows": result["rows"],
        "candidates": result["candidates"],
        "peak_rss_mb": peak["mb"],
    }
    if not options.no_index:
        built = run_job(session, "index_vectors", IndexVectors(lake=lake, model="made", force=True))
        with peak_memory() as peak:
            indexed = run_job(session, "retrieve_run", run.model_copy(update={"index": "auto", "run_id": "indexed"}))
        assert indexed["index"] == "used"
        size = sum(f.stat().st_size for f in Path(lake, "vectors/made/index").glob("*.parquet"))
        found |= {
            "index_s": built["seconds"],
            "index_mb": round(size / 1e6),
            "from_index_s": indexed["seconds"],
            "index_peak_rss_mb": peak["mb"],
            "identical": same_rows(session, lake, "made", "indexed"),
        }
    return found


def without_sample(session: Any, lake: str, k: int) -> dict[str, Any]:
    """Seconds and candidates of a retrieval that is given no sample, and whether its rows are the same."""
    run = RetrieveRun(lake=lake, model="made", k=k, strategy="blocks", index="off", force=True, run_id="plain")
    with patch.object(sample, "FEWEST_SPARED", math.inf):
        result = run_job(session, "retrieve_run", run)
    same = same_rows(session, lake, "made", "plain")
    return {"plain_s": result["seconds"], "plain_candidates": result["candidates"], "plain_identical": same}


def compared_with_sql(session: Any, lake: str) -> dict[str, Any]:
    """Seconds of both strategies, best of three for the blocks, and whether their rows are the same."""
    run = RetrieveRun(lake=lake, model="made", k=100, index="off", force=True)
    blocks = [
        run_job(session, "retrieve_run", run.model_copy(update={"strategy": "blocks", "run_id": "blocks"}))["seconds"]
        for _ in range(3)
    ]
    sql = run_job(session, "retrieve_run", run.model_copy(update={"strategy": "sql", "run_id": "sql"}))
    alone = ranking_alone(session, lake, k=100)
    return {
        "docs": SQL_DOCS,
        "queries": SQL_QUERIES,
        "products": sql["products"],
        "sql_s": sql["seconds"],
        "blocks_s": min(blocks),
        "ratio": round(sql["seconds"] / min(blocks), 1),
        "ranking_alone": {**alone, "ratio": round(alone["sql_s"] / alone["blocks_s"], 1)},
        "identical": same_rows(session, lake, "sql", "blocks"),
    }


def ranking_alone(session: Any, lake: str, *, k: int) -> dict[str, float]:
    """Seconds of each strategy from the tables to ranked rows that nobody keeps: without checks, counts and commits."""
    documents, queries = (TableRef(path=f"{lake}/vectors/made/{side}") for side in ("documents", "queries"))
    rows, asked = documents.read(session), queries.read(session)
    size = vocabulary_size(session, documents, queries)
    compile_kernels()
    set_batch_size(session)

    def in_blocks() -> None:
        corpus = Corpus(selected(rows, None, [None]), is_index=False, place=str(documents))
        totals = session.sparkContext.accumulator({}, Totals())
        given = collected_queries(asked, str(queries), size)
        keep_nothing(
            ranked_in_blocks(session, given, corpus, [Asked(Kept(k, False, 0.0))], totals=totals, task_bytes=2**29)
        )

    return {
        "blocks_s": round(min(seconds(in_blocks) for _ in range(5)), 3),
        "sql_s": round(seconds(lambda: keep_nothing(top_k(session, asked, rows, k=k))), 3),
    }


def keep_nothing(rows: Any) -> None:
    """Compute all rows."""
    rows.write.format("noop").mode("overwrite").save()


def seconds(call: Callable[[], None]) -> float:
    """Of a call, by the clock."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def same_rows(session: Any, lake: str, one: str, other: str) -> bool:
    """Whether two runs have exactly the same rows, scores to the last bit: by their number and sums of two hashes."""
    rows = session.read.format("delta").load(f"{lake}/runs").where(F.col("run_id").isin([one, other]))
    columns = ["query_id", "doc_id", "rank", "score"]
    hashes = (F.sum(function(*columns).cast("decimal(20)")) for function in (F.xxhash64, F.hash))
    found = rows.groupBy("run_id").agg(F.count("*"), *hashes).collect()
    return len(found) == 2 and found[0][1:] == found[1][1:]


@contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """The most memory that this process and its descendants held together meanwhile, in MB (10**6 bytes).

    Proportional set sizes: what processes share is counted once.
    """
    found = {"mb": 0.0}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(1.0):
            found["mb"] = max(found["mb"], round(sum(map(pss, family(os.getpid()))) / 1e6))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        stop.set()
        watcher.join()


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(member for child in children for member in family(child))]


def pss(pid: int) -> int:
    """Bytes of a process, those it shares divided among the sharers."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(text.split("Pss:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main()
