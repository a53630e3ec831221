"""The data of a report, with texts and ids that would run or fetch something if they were not escaped."""

from __future__ import annotations

import numpy as np

from spladelake.report.data import Cost, DifferingQuery, Hit, Listing, ReportData, System, VectorStatistics

EVIL = "<script>alert('x')</script>"
EVIL_MATH = "$\\frac{1}{2}$ & <b>"


def report_data(*, names: tuple[str, ...] = ("bm25", "splade-tiny", "rrf-bm25-splade-tiny")) -> ReportData:
    rng = np.random.default_rng(2)
    base = rng.beta(2, 2, size=60)
    systems = []
    for place, name in enumerate(names):
        values = np.clip(base + 0.12 * place + rng.normal(0, 0.1, size=60), 0, 1)
        by_query = {f"q{n}": float(value) for n, value in enumerate(values)}
        cost = Cost(9.0, 40.0 + 90 * place, 0.4 + place, 10**6) if place < 2 else None
        systems.append(
            System(name, {"ndcg_cut_10": float(values.mean())}, {"ndcg_cut_10": by_query}, cost, name if cost else None)
        )
    text = "The river carries water from its source. " * 12 + EVIL
    hit = Hit(EVIL, 1, 12.5, "Rivers " + EVIL, text, 2, (("river", 4.25), ("##flow", 1.5), ("ocean", 0.75)))
    other = Hit("d" * 90, 1, 0.5, "", "", None)
    differing = DifferingQuery(
        "q<1>", "where do rivers flow? " + EVIL, Listing(names[1], 0.9, (hit,), has_terms=True),
        Listing(names[0], 0.0, (other,), has_terms=False),
    )  # fmt: skip
    statistics = VectorStatistics(names[1], {0: 1, 30: 10, 90: 40, 200: 5}, {1: 900, 10: 80, 400: 2})
    return ReportData("/data/" + EVIL, "ndcg_cut_10", ("ndcg_cut_10",), tuple(systems), 60, (statistics,), (differing,))
