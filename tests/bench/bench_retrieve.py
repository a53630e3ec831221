"""Milliseconds a query of the exact top k, beside what else answers the same queries over the same vectors.

    python tests/bench/bench_retrieve.py [--docs N --queries Q --k K --peers a,b,c --collection DIR]

Vectors are made from real ones (see make_vectors). Everything runs on one thread in one process, taking turns, best of
--rounds; building an index is timed apart. Times are of the processor, not of the clock, so that other work on the
machine counts as little as can be; only Spark, which computes in another process, is timed by the clock. Rankings are
compared with an oracle that ranks by exact integers: ours must be identical to it, recall_at_k of a peer is the share
of the oracle's documents that it finds. Peers that make every row of the join (duckdb and sql, this project's SQL
strategy) get 20,000 documents, and ours is timed on those too. A peer whose package is absent is reported as absent.
--costs measures the costs by which the kernel chooses its ways. --real ranks the collection as it is, without made
vectors, for k of 10, 100 and 1000, one query at a time and all at once (see real_queries).

The last line is JSON, also written to --out.
"""

# ruff: noqa: E402  The number of threads must be set before numpy, torch and numba are imported.
from __future__ import annotations

import os

for _library in ("OMP", "MKL", "OPENBLAS", "NUMBA", "RAYON"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.make_vectors import DOCUMENT_TERMS, QUERY_TERMS, Maker, ids_of
from bench.peers import EXACT, JOIN_DOCUMENTS, JOINS, PEERS, Search
from bench.real_queries import measure_real, recall
from spladelake.scoring import BLOCK_DOCUMENTS, Block, DocIds, Queries, Ranked, TopK, blocks_of, compile_kernels
from spladelake.vectors import SparseVectors
from support.exact import exact_top_k, rows_of
from support.real_vectors import real_vectors

# Documents on which each peer is loaded and compiled before it is timed.
WARM_UP = 200


class Ours:
    """This project's blocks and kernel."""

    def __init__(self, documents: SparseVectors, ids: list[str], size: int, block_size: int) -> None:
        self.size, doc_ids = size, DocIds.of(ids)
        self.blocks: list[tuple[Block, DocIds]] = [
            (block, doc_ids.slice(first, first + len(block)))
            for first, block in blocks_of(documents, vocabulary_size=size, block_size=block_size)
        ]
        self.top: TopK | None = None

    def search(self, queries: SparseVectors, k: int) -> Ranked:
        """The k best documents of each query."""
        self.top = TopK(Queries.of(queries, vocabulary_size=self.size), k=k)
        for block, ids in self.blocks:
            self.top.add(block, ids)
        return self.top.result()


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated, of: " + ", ".join(PEERS))
    parser.add_argument("--collection", type=Path, help="BEIR folder to encode; else Python's documentation")
    parser.add_argument("--pool", type=int, default=10_000, help="real texts of each side at most")
    parser.add_argument("--block-size", type=int, default=BLOCK_DOCUMENTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--oracle-queries", type=int, default=500, help="queries that are compared with the oracle")
    parser.add_argument("--out", type=Path, help="file for the figures, as JSON with the command")
    parser.add_argument("--real", action="store_true", help="rank the whole collection as it is, for several k")
    parser.add_argument("--costs", action="store_true", help="measure the kernel's costs instead")
    options = parser.parse_args()
    if options.costs:
        from bench.kernel_costs import measure_costs

        print(json.dumps(measure_costs()))
        return
    unknown = set(filter(None, options.peers.split(","))) - PEERS.keys()
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; there are: {', '.join(PEERS)}")
    figures = measure_collection(options) if options.real else measure(options)
    if options.out is not None:
        record = {"command": " ".join(["python", *sys.argv]), **figures}
        options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(figures))


def measure(options: Any) -> dict[str, Any]:
    """All figures of one run."""
    real = real_vectors(options.collection, most=options.pool)
    size, seed = real.vocabulary_size, options.seed
    documents = Maker.of(real.documents, terms=DOCUMENT_TERMS, seed=seed).rows(0, options.docs)
    queries = Maker.of(real.queries, terms=QUERY_TERMS, seed=seed + 2**32).rows(0, options.queries)
    ids = ids_of("", 0, options.docs)
    print(f"{len(documents.indices):,} postings, {documents.active_dims.mean():.1f} terms a document, "
          f"{queries.active_dims.mean():.1f} a query; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    compile_kernels()
    build_s, ours = timed(lambda: Ours(documents, ids, size, options.block_size))
    search_s, ranked = timed(lambda: ours.search(queries, options.k))
    peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    build_s = min([build_s, *(timed(lambda: Ours(documents, ids, size, options.block_size))[0] for _ in range(2))])
    asked = first_rows(queries, options.oracle_queries)
    oracle = exact_top_k(asked, documents, ids, k=options.k, vocabulary_size=size)
    identical = rows_of(ours.search(asked, options.k)) == oracle
    small = Ours(first_rows(documents, JOIN_DOCUMENTS), ids[:JOIN_DOCUMENTS], size, options.block_size)
    peers = {}
    for name in PEERS:
        if name in options.peers.split(","):
            peers |= build_peer(name, documents, size)
    seconds = {"ours": search_s, "small": float("inf")}
    found: dict[str, list[list[int]]] = {}
    for _ in range(options.rounds):
        seconds["ours"] = min(seconds["ours"], timed(lambda: ours.search(queries, options.k))[0])
        seconds["small"] = min(seconds["small"], timed(lambda: small.search(queries, options.k))[0])
        for name, (_, search) in peers.items():
            if search is not None:
                spent, found[name] = timed(lambda search=search: search(queries, options.k), clock=clock_of(name))  # type: ignore[misc]
                seconds[name] = min(seconds.get(name, spent), spent)
                print(f"{name}: {1000 * spent / len(queries):.3f} ms a query", flush=True)
    small_oracle = rows_of(small.search(asked, options.k))
    results: dict[str, Any] = {}
    for name, (peer_build_s, search) in peers.items():
        if search is None:
            results[name] = "absent"
            continue
        own = "small" if name in JOINS else "ours"
        results[name] = {
            "ms_per_query": round(1000 * seconds[name] / len(queries), 3),
            "recall_at_k": round(recall(found[name], small_oracle if name in JOINS else oracle), 5),
            "build_s": round(peer_build_s, 2), "total_s": round(peer_build_s + seconds[name], 2),
            "ratio": round(seconds[name] / seconds[own], 2),
        }  # fmt: skip
    exact = [r["ratio"] for name, r in results.items() if name in EXACT - JOINS and r != "absent"]
    assert ours.top is not None
    ours.search(queries, options.k)
    work, pairs = ours.top.work, len(queries) * len(ours.blocks)
    return {
        "docs": options.docs, "queries": len(queries), "k": options.k, "products": work.products,
        "ours_ms_per_query": round(1000 * seconds["ours"] / len(queries), 4),
        "ours_small_ms_per_query": round(1000 * seconds["small"] / len(queries), 4),
        "peers": results, "ratio_best_exact_peer": min(exact, default=None), "build_s": round(build_s, 3),
        "total_s": round(build_s + seconds["ours"], 3), "peak_rss_mb": round(peak_rss_mb),
        "products_per_s": round(work.products / seconds["ours"]),
        "identical_to_oracle": identical, "rows": len(ranked), "load": os.getloadavg()[0],
        "pairs_skipped": round(1 - (work.filtered + work.scored_in_full) / pairs, 4),
        "pairs_filtered": round(work.filtered / pairs, 4),
        "looked_up_per_query": round(work.looked_up / len(queries), 1),
    }  # fmt: skip


def measure_collection(options: Any) -> dict[str, Any]:
    """All figures of one run on real vectors."""
    real = real_vectors(options.collection)
    compile_kernels()
    ours = Ours(real.documents, ids_of("", 0, len(real.documents)), real.vocabulary_size, options.block_size)
    peers: dict[str, Search | None] = {}
    for name in options.peers.split(","):
        peers |= {key: search for key, (_, search) in build_peer(name, real.documents, real.vocabulary_size).items()}
    return measure_real(real, ours, peers, rounds=options.rounds, oracle_queries=options.oracle_queries)


def build_peer(name: str, documents: SparseVectors, size: int) -> dict[str, tuple[float, Search | None]]:
    """Seconds of building and the search, by name: several where an index is searched with several settings.

    Each was run once to load and compile; None where the package is absent.
    """
    given = first_rows(documents, JOIN_DOCUMENTS) if name in JOINS else documents
    try:
        # Imports and compiles what it needs, which is not counted.
        for search in searches(name, first_rows(documents, WARM_UP), size).values():
            search(first_rows(documents, 1), 1)
        seconds, built = timed(lambda: searches(name, given, size), clock=clock_of(name))
    except ImportError as error:
        print(f"{name}: absent ({error})")
        return {name: (0.0, None)}
    print(f"{name}: built in {seconds:.1f} s", flush=True)
    return {key: (seconds, search) for key, search in built.items()}


def searches(name: str, documents: SparseVectors, size: int) -> dict[str, Search]:
    """The searches of a peer over these documents."""
    built = PEERS[name](documents, size)
    return built if isinstance(built, dict) else {name: built}


def timed(call: Callable[[], Any], *, clock: Callable[[], float] = time.process_time) -> tuple[float, Any]:
    """Seconds by the clock, and the result."""
    began = clock()
    result = call()
    return clock() - began, result


def clock_of(name: str) -> Callable[[], float]:
    """What times a peer: of Spark, this process only waits."""
    return time.perf_counter if name == "sql" else time.process_time


def first_rows(vectors: SparseVectors, count: int) -> SparseVectors:
    """The first rows, at most that many."""
    return vectors.take(np.arange(min(len(vectors), count)))


if __name__ == "__main__":
    main()
