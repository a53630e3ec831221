"""Milliseconds a query on a whole real collection: one query at a time and all at once, for several k, beside peers.

Part of bench_retrieve (--real). Nothing is made: the vectors are of the collection's own texts and queries. All systems
take turns in each round, and the best round counts. Ours starts from the vectors of the queries and ends with ids and
exact scores. A peer starts from the queries in its own form and ends with the answer in its own form.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from bench.make_vectors import ids_of
from bench.peers import EXACT, Search, Steps, steps_of
from spladelake.scoring import Ranked
from spladelake.vectors import SparseVectors
from support.exact import Rows, exact_top_k, first_of_each, rows_of
from support.real_vectors import RealVectors

KS = (10, 100, 1000)
WAYS = ("one at a time", "all at once")


def measure_real(
    real: RealVectors, ours: Any, peers: dict[str, Search | None], *, rounds: int, oracle_queries: int
) -> dict[str, Any]:
    """All figures of a collection: a row for each k and way.

    - ours: its method `search` ranks the documents; their ids are their row numbers.
    - peers: the search of each over the same documents, or None if its package is absent.
    """
    documents, queries = real.documents, real.queries
    systems = {"ours": Steps(lambda given: given, ours.search, row_numbers)}
    systems |= {name: steps_of(search) for name, search in peers.items() if search is not None}
    asked = queries.take(np.arange(min(oracle_queries, len(queries))))
    ids = ids_of("", 0, len(documents))
    oracle = exact_top_k(asked, documents, ids, k=max(KS), vocabulary_size=real.vocabulary_size)
    rows, identical, recalls = [], True, dict.fromkeys(systems, 1.0)
    for k in KS:
        wanted = first_of_each(oracle, k)
        identical &= rows_of(ours.search(asked, k)) == wanted == rows_one_at_a_time(ours, asked, k)
        for name, search in systems.items():
            recalls[name] = min(recalls[name], recall(search(asked, k), wanted))
        for way in WAYS:
            ms = best_ms(systems, parts_of(queries, way), k, rounds=rounds)
            ratios = [ms[name] / ms["ours"] for name in systems if name in EXACT]
            rows.append({"k": k, "way": way, "ms": ms, "ratio_best_exact_peer": round(min(ratios, default=0), 2)})
            print(rows[-1], flush=True)
    return {
        "docs": len(documents), "queries": len(queries), "rounds": rounds, "rows": rows,
        "document_terms": round(float(documents.active_dims.mean()), 1),
        "query_terms": round(float(queries.active_dims.mean()), 1),
        "least_recall": recalls, "absent": sorted(name for name, search in peers.items() if search is None),
        "identical_to_oracle": identical, "oracle_queries": len(asked), "load": os.getloadavg()[0],
    }  # fmt: skip


def parts_of(queries: SparseVectors, way: str) -> list[SparseVectors]:
    """The queries of each call."""
    return [queries.take(np.array([q])) for q in range(len(queries))] if way == WAYS[0] else [queries]


def best_ms(systems: dict[str, Steps], parts: list[SparseVectors], k: int, *, rounds: int) -> dict[str, float]:
    """Milliseconds a query of each system, best of several rounds in which they take turns."""
    prepared = {name: [steps.prepare(part) for part in parts] for name, steps in systems.items()}
    best = dict.fromkeys(systems, float("inf"))
    for _ in range(rounds):
        for name, steps in systems.items():
            began = time.process_time()
            for part in prepared[name]:
                steps.answer(part, k)
            best[name] = min(best[name], time.process_time() - began)
    queries = sum(map(len, parts))
    return {name: round(1000 * seconds / queries, 4) for name, seconds in best.items()}


def rows_one_at_a_time(ours: Any, queries: SparseVectors, k: int) -> Rows:
    """The rows of queries that are asked one after the other."""
    answers = (rows_of(ours.search(part, k)) for part in parts_of(queries, WAYS[0]))
    return [(q, doc_id, score) for q, found in enumerate(answers) for _, doc_id, score in found]


def row_numbers(ranked: Ranked) -> list[list[int]]:
    """The rows of the best documents of each query."""
    found: list[list[int]] = [[] for _ in range(int(ranked.queries.max(initial=-1)) + 1)]
    for q, doc_id in zip(ranked.queries.tolist(), ranked.doc_ids.to_strings(), strict=True):
        found[q].append(int(doc_id))
    return found


def recall(found: list[list[int]], wanted: Rows) -> float:
    """Share of the wanted documents that were found."""
    rows = [set(of) for of in found]
    return sum(int(doc_id) in rows[q] for q, doc_id, _ in wanted) / max(1, len(wanted))
