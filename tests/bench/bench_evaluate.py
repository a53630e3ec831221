"""Time evaluate_run on a run as large as MS MARCO's dev set, beside ir_measures on the same run; the last line is JSON.

python tests/bench/bench_evaluate.py --queries 55577 --results 100
python tests/bench/bench_evaluate.py --results 1000 --lake /tmp/run-1000 --repeats 1 --skip-reference
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "lib")]

PASSAGES = 8_841_823  # of MS MARCO; odd, so that no two ranks of a query get one document below


def process_tree(root: int) -> set[int]:
    """The process and all its descendants."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it ended meanwhile
    tree, found = {root}, {root}
    while found:
        found = {pid for pid, parent in parents.items() if parent in found} - tree
        tree |= found
    return tree


class PeakMemory:
    """Largest resident size of this process with Java and the workers, and of what is not Java, in MB."""

    def __init__(self) -> None:
        self.total, self.python = 0.0, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            sizes = {"java": 0.0, "other": 0.0}
            for pid in process_tree(os.getpid()):
                try:
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    name = Path(f"/proc/{pid}/comm").read_text().strip()
                except OSError:
                    continue
                sizes["java" if name == "java" else "other"] += pages * os.sysconf("SC_PAGESIZE") / 1e6
            self.total = max(self.total, sum(sizes.values()))
            self.python = max(self.python, sizes["other"])


def write_lake(session: Any, lake: str, queries: int, results: int) -> None:
    """A run whose scores have two decimals, so that many tie, and one or two judgements a query, most of them found."""
    from pyspark.sql import functions as F

    from spladelake.spark.tables.lineage import Lineage
    from spladelake.spark.tables.refs import Lake
    from spladelake.spark.tables.schemas import JUDGEMENTS, RUNS
    from spladelake.spark.tables.write import replace_rows

    row = session.range(0, queries * results, 1, 64)
    query, rank = F.floor(F.col("id") / results), F.col("id") % results
    document = (query * 104_729 + rank * 31) % PASSAGES
    noise = F.pmod(F.hash("id"), F.lit(100)) / 1000
    run = row.select(
        F.lit("bench").alias("run_id"),
        query.cast("string").alias("query_id"),
        document.cast("string").alias("doc_id"),
        (rank + 1).cast("int").alias("rank"),
        F.round(30 - rank * (20 / results) + noise, 2).alias("score"),
    )
    at = Lake(lake)
    replace_rows(session, at.table("runs"), RUNS, run, lineage=Lineage("bench", {}, {}, scope="bench"))
    asked = session.range(0, queries, 1, 4)
    place = F.floor(F.pow(F.pmod(F.hash("id"), F.lit(1000)) / 1000, 3) * results * 1.4)
    judged = asked.select(
        "id", F.explode(F.when(F.col("id") % 16 == 0, F.array(place, place + 7)).otherwise(F.array(place)))
    )
    judgements = judged.select(
        F.col("id").cast("string").alias("query_id"),
        ((F.col("id") * 104_729 + F.col("col") * 31) % PASSAGES).cast("string").alias("doc_id"),
        F.lit(1).alias("relevance"),
    )
    replace_rows(session, at.table("judgements"), JUDGEMENTS, judgements, lineage=Lineage("bench", {}, {}))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the work and what it returned."""
    gc.collect()
    started = time.monotonic()
    result = work()
    return time.monotonic() - started, result


def reference(session: Any, lake: str) -> tuple[float, float, dict[str, float]]:
    """Seconds to fill ir_measures' dictionaries and to compute its counterparts of the measures, and their values."""
    import ir_measures
    from ir_measures import AP, RR, P, R, Success, nDCG

    measures = [nDCG @ 10, RR, AP, R @ 100, R @ 1000, P @ 10, AP @ 100]
    measures += [of @ k for of in (Success, P, R) for k in (1, 3, 5, 10)]

    def fill() -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
        found: list[dict[str, dict[str, Any]]] = []
        for table, value in (("runs", "score"), ("judgements", "relevance")):
            rows = session.read.format("delta").load(f"{lake}/{table}").select("query_id", "doc_id", value).toArrow()
            filled: dict[str, dict[str, Any]] = {}
            for query_id, doc_id, number in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                filled.setdefault(query_id, {})[doc_id] = number
            found.append(filled)
        return found[0], found[1]

    filling, (run, qrels) = timed(fill)
    seconds, values = timed(lambda: ir_measures.calc_aggregate(set(measures), qrels, run))
    return filling, seconds, {str(measure): value for measure, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=55_577)
    parser.add_argument("--results", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=2, help="evaluations in the same session; the first is cold")
    parser.add_argument("--memory", default="2g", help="spark.driver.memory")
    parser.add_argument("--lake", help="folder to keep the run in, and to take it from where it is there already")
    parser.add_argument(
        "--skip-reference", action="store_true", help="leave out ir_measures, which holds the run in memory"
    )
    options = parser.parse_args()
    from spladelake.config import EvaluateRun
    from spladelake.spark.evaluate.job import evaluate_run
    from spladelake.spark.session.start import spark_session

    figures: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "queries": options.queries, "k": options.results}
    with tempfile.TemporaryDirectory(prefix="spladelake-bench-") as folder:
        settings = {
            "spark.master": "local[2]",
            "spark.driver.memory": options.memory,
            "spark.local.dir": f"{folder}/tmp",
        }
        session = spark_session("bench_evaluate", settings=settings)
        lake = options.lake or f"{folder}/lake"
        if not Path(lake, "judgements").is_dir():
            write_lake(session, lake, options.queries, options.results)
        job = EvaluateRun(lake=lake, run_id="bench", measures=("all",), force=True)
        seconds = []
        with PeakMemory() as peak:
            for _ in range(options.repeats):
                spent, result = timed(lambda: evaluate_run(session, job))
                seconds.append(round(spent, 1))
                print(f"evaluate_run: {spent:.1f} s")
        figures |= {"measures": len(result["measures"]), "first_s": seconds[0], "seconds": min(seconds)}
        figures |= {"peak_rss_mb": round(peak.total), "peak_rss_python_mb": round(peak.python)}
        if not options.skip_reference:
            filling, spent, values = reference(session, lake)
            figures |= {"ir_measures_fill_s": round(filling, 1), "ir_measures_s": round(spent, 1)}
            figures["times_ir_measures"] = round(min(seconds) / spent, 2)
            pairs = {"nDCG@10": "ndcg_cut_10", "AP": "map", "RR": "recip_rank", "R@100": "recall_100", "P@10": "P_10"}
            worst = max(abs(values[theirs] - result["measures"][ours]) for theirs, ours in pairs.items())
            figures["largest_difference"] = float(f"{worst:.2g}")
        session.stop()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
