"""The data of a report, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cost:
    """The cost of the vectors of a run.

    - query_terms, document_terms: mean active dimensions.
    - products: expected products per query-document pair, called FLOPS in the SPLADE papers.
    - table_bytes: bytes of the table of document vectors.
    """

    query_terms: float
    document_terms: float
    products: float
    table_bytes: int


@dataclass(frozen=True)
class System:
    """A run: its means by measure, and its values by measure and query. cost is None if it has no known vectors."""

    run_id: str
    means: dict[str, float]
    values: dict[str, dict[str, float]]
    cost: Cost | None = None
    vectors: str | None = None


@dataclass(frozen=True)
class VectorStatistics:
    """Statistics of one table of document vectors.

    - dims: number of documents by number of active dimensions.
    - frequencies: number of terms by document frequency.
    """

    name: str
    dims: dict[int, int]
    frequencies: dict[int, int]


@dataclass(frozen=True)
class Hit:
    """One ranked document. relevance: its grade, None if unjudged. terms: (token, contribution to the score)."""

    doc_id: str
    rank: int
    score: float
    title: str
    text: str
    relevance: int | None
    terms: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Listing:
    """The results of one run for a query, and its value of the report's measure."""

    run_id: str
    value: float
    hits: tuple[Hit, ...]
    has_terms: bool


@dataclass(frozen=True)
class DifferingQuery:
    """A query with the results of its best and its worst run."""

    query_id: str
    text: str
    better: Listing
    worse: Listing


@dataclass(frozen=True)
class ReportData:
    """The whole report. measure: the measure of the plots. systems: the baseline comes first."""

    lake: str
    measure: str
    measures: tuple[str, ...]
    systems: tuple[System, ...]
    queries: int
    vectors: tuple[VectorStatistics, ...] = ()
    differing: tuple[DifferingQuery, ...] = field(default=())
