"""The lines through what was measured, as tests/bench/fit_forecast.py makes them of the records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

FILE = "slopes.json"


@dataclass(frozen=True)
class Line:
    """A quantity that grows by `slope` with each unit of a size, through the smallest and the largest measured.

    sizes: those measured, ascending. between: relative error of the line at a size between the two. beyond: that of the
    line through the two smallest at the largest. Both are None where fewer than three sizes were measured.
    """

    fixed: float
    slope: float
    sizes: tuple[float, ...]
    between: float | None = None
    beyond: float | None = None

    def at(self, size: float) -> float:
        """The quantity at a size, never below 0."""
        return max(0.0, self.fixed + self.slope * size)

    def error(self, size: float) -> float | None:
        """The relative error to expect at a size: that of a forecast which was compared with a measurement."""
        return self.between if self.sizes[0] <= size <= self.sizes[-1] else self.beyond


def fitted(points: Mapping[float, float]) -> Line:
    """The line through some measurements, by size; of a single one the line from 0 through it."""
    found = sorted(points.items())
    fixed, slope = _through(found[0] if len(found) > 1 else (0.0, 0.0), found[-1])
    sizes = tuple(size for size, _ in found)
    if len(found) < 3:
        return Line(fixed, slope, sizes)
    between = max((Line(fixed, slope, sizes).at(x) / y - 1 for x, y in found[1:-1]), key=abs)
    smaller = Line(*_through(found[0], found[-2]), sizes)
    return Line(fixed, slope, sizes, between, smaller.at(found[-1][0]) / found[-1][1] - 1)


def _through(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    slope = (b[1] - a[1]) / (b[0] - a[0])
    return a[1] - slope * a[0], slope


@dataclass(frozen=True)
class EncodeSlopes:
    """Encoding. seconds: of a job of `slots` over documents of `tokens` tokens, with the reference model.

    speed, worker_mb: by model, its documents a second over those of the reference, and the most MB (10**6 bytes) that
    a process with it held. shuffle, table, postings: bytes and terms, by documents.
    """

    reference: str
    tokens: float
    seconds: Line
    speed: dict[str, float]
    worker_mb: dict[str, float]
    shuffle: Line
    table: Line
    postings: Line


@dataclass(frozen=True)
class RetrieveSlopes:
    """Retrieval of `queries`, the best `k` each, in `slots` at once, from the vectors or from the index.

    products: of a query and a document, on average. products_per_s: of one slot. job_s: seconds of a job with next to
    nothing to do. slot_mb: memory of driver, JVM and workers together over the slots, at most.
    """

    queries: int
    k: int
    products: float
    products_per_s: float
    job_s: float
    seconds: dict[str, Line]
    slot_mb: dict[str, float]


@dataclass(frozen=True)
class Slopes:
    """All that a forecast is made from.

    index_s, index_bytes: of index_vectors, by documents. candidates: those that a slot hands over for each row of the
    run, by the logarithm of its documents. candidate_bytes, row_bytes: of one in a shuffle; of a row of a run on disk.
    """

    records: tuple[str, ...]
    slots: int
    encode: EncodeSlopes
    retrieve: RetrieveSlopes
    index_s: Line
    index_bytes: Line
    candidates: Line
    candidate_bytes: float
    row_bytes: float


def load_slopes() -> Slopes:
    """The slopes that the package carries."""
    return slopes_of(json.loads(files("spladelake.forecast").joinpath(FILE).read_text(encoding="utf-8")))


def slopes_of(values: Mapping[str, Any]) -> Slopes:
    """Slopes from what json.loads makes of their file."""
    encode, retrieve = dict(values["encode"]), dict(values["retrieve"])
    for name in ("seconds", "shuffle", "table", "postings"):
        encode[name] = _line(encode[name])
    retrieve["seconds"] = {source: _line(line) for source, line in retrieve["seconds"].items()}
    lines = {name: _line(values[name]) for name in ("index_s", "index_bytes", "candidates")}
    whole = {**values, **lines, "records": tuple(values["records"])}
    return Slopes(**{**whole, "encode": EncodeSlopes(**encode), "retrieve": RetrieveSlopes(**retrieve)})


def _line(values: Mapping[str, Any]) -> Line:
    return Line(**{**values, "sizes": tuple(values["sizes"])})
