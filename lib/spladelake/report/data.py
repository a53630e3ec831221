"""What a report shows, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cost:
    """Of the vectors of a run. products: expected number a query-document pair, the FLOPS of the SPLADE papers.

    query_terms, document_terms: active dimensions on average. table_bytes: of the documents' vectors.
    """

    query_terms: float
    document_terms: float
    products: float
    table_bytes: int


@dataclass(frozen=True)
class System:
    """A run: its means and its values by measure and query, and what it costs where it was made from vectors."""

    run_id: str
    means: dict[str, float]
    values: dict[str, dict[str, float]]
    cost: Cost | None = None
    vectors: str | None = None


@dataclass(frozen=True)
class VectorStatistics:
    """Of one table of document vectors. Both dictionaries count: dims -> documents, documents -> terms."""

    name: str
    dims: dict[int, int]
    frequencies: dict[int, int]


@dataclass(frozen=True)
class Hit:
    """One ranked document. relevance: judged grade, None where nobody judged. terms: (token, share of the score)."""

    doc_id: str
    rank: int
    score: float
    title: str
    text: str
    relevance: int | None
    terms: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Listing:
    """What one run found for a query, and the value of the report's measure."""

    run_id: str
    value: float
    hits: tuple[Hit, ...]
    has_terms: bool


@dataclass(frozen=True)
class DifferingQuery:
    """A query that two runs answer differently: the better listing first."""

    query_id: str
    text: str
    better: Listing
    worse: Listing


@dataclass(frozen=True)
class ReportData:
    """The whole report. measure: the one of the plots. systems: the first is the baseline."""

    lake: str
    measure: str
    measures: tuple[str, ...]
    systems: tuple[System, ...]
    queries: int
    vectors: tuple[VectorStatistics, ...] = ()
    differing: tuple[DifferingQuery, ...] = field(default=())
