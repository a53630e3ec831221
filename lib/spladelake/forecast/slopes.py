"""Lines fitted to benchmark measurements; tests/bench/fit_forecast.py fits them to the records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

FILE = "slopes.json"


@dataclass(frozen=True)
class Line:
    """A line through the measurements at the smallest and the largest size: fixed + slope * size.

    - sizes: the measured sizes, ascending.
    - between: largest relative error of the line at a measured size between its ends.
    - beyond: relative error at the largest size of a line that does not use it.

    The errors are None if fewer than three sizes were measured.
    """

    fixed: float
    slope: float
    sizes: tuple[float, ...]
    between: float | None = None
    beyond: float | None = None

    def at(self, size: float) -> float:
        """Return the quantity at a size, never below 0."""
        return max(0.0, self.fixed + self.slope * size)

    def error(self, size: float) -> float | None:
        """Return the expected relative error at a size: `between` inside the measured range, else `beyond`."""
        return self.between if self.sizes[0] <= size <= self.sizes[-1] else self.beyond


def fitted(points: Mapping[float, float]) -> Line:
    """Return the line through measurements by size; for a single measurement, the line from 0 through it."""
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
    """The measurements of encoding.

    - reference: the model of the timed jobs.
    - tokens: mean tokens of their documents.
    - seconds: time of a job with `Slopes.slots` slots, by documents.
    - speed: documents per second relative to the reference, by model.
    - worker_mb: peak memory of a worker process in MB (10**6 bytes), by model.
    - shuffle, table: bytes, by documents.
    - postings: active terms of all documents together, by documents.
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
    """The measurements of retrieval; `seconds` and `slot_mb` are by source, the vectors or the index.

    - queries, k: size of the timed runs.
    - products: mean products per query-document pair.
    - products_per_s: speed of one slot.
    - job_s: seconds of an almost empty job.
    - seconds: time of a job, by documents.
    - slot_mb: peak memory of driver, JVM and workers together, divided by the slots.
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
    """All measurements that a forecast uses.

    - records: the benchmark files.
    - slots: parallel tasks of the timed jobs.
    - index_s, index_bytes: seconds and bytes of index_vectors, by documents.
    - candidates: candidates that a slot sends for each row of the run, by the logarithm of the slot's documents.
    - candidate_bytes: shuffle bytes of a candidate.
    - row_bytes: bytes of a row of a run on disk.
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
    """Return the measurements that come with the package."""
    return slopes_of(json.loads(files("spladelake.forecast").joinpath(FILE).read_text(encoding="utf-8")))


def slopes_of(values: Mapping[str, Any]) -> Slopes:
    """Return the measurements from the parsed JSON of their file."""
    encode, retrieve = dict(values["encode"]), dict(values["retrieve"])
    for name in ("seconds", "shuffle", "table", "postings"):
        encode[name] = _line(encode[name])
    retrieve["seconds"] = {source: _line(line) for source, line in retrieve["seconds"].items()}
    lines = {name: _line(values[name]) for name in ("index_s", "index_bytes", "candidates")}
    whole = {**values, **lines, "records": tuple(values["records"])}
    return Slopes(**{**whole, "encode": EncodeSlopes(**encode), "retrieve": RetrieveSlopes(**retrieve)})


def _line(values: Mapping[str, Any]) -> Line:
    return Line(**{**values, "sizes": tuple(values["sizes"])})
