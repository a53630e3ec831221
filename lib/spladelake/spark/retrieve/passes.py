"""Passes over the documents: the runs and queries that each pass ranks, within the memory of a task."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spladelake.scoring import SCORE_UNITS, Expected
from spladelake.scoring.shortlist import places_for
from spladelake.spark.retrieve.candidates import Kept

# Bytes that a task holds for one place of a ranking: units, rests and row, and the units that its process remembers.
PLACE_BYTES = 28


@dataclass(frozen=True)
class Asked:
    """One run to make.

    - kept: the rules that choose the final rows from the candidates.
    - group: the bit that marks, in the column `groups`, the documents that this run ranks.
    """

    kept: Kept
    group: int = 1


@dataclass(frozen=True)
class Wanted:
    """One run of a pass.

    - number: the run's number among all runs.
    - asked: the run.
    - expected: estimates for the queries of the pass; None if there are none.
    """

    number: int
    asked: Asked
    expected: Expected | None = None

    def bounds(self, queries: int) -> NDArray[np.int64]:
        """Return the score in units below which documents are skipped, of each query: int64 (queries)."""
        bounds = least_units(self.asked.kept, queries)
        return bounds if self.expected is None else np.maximum(bounds, self.expected.bounds)


@dataclass(frozen=True)
class Pass:
    """One pass over the documents, for queries that come with the documents.

    - wanted: the runs of the pass.
    - place: the table of document vectors, for messages.
    - vocabulary_size: dimensions of the vectors.
    - task_bytes: memory of a task for its rankings.
    - number, count: the number of this pass, from 0, and of all passes. The first lists the ids of the documents, so
      that repeated ids are found.
    - token: identifies the pass.
    """

    wanted: tuple[Wanted, ...]
    place: str
    vocabulary_size: int
    task_bytes: int
    number: int = 0
    count: int = 1
    token: str = field(default_factory=lambda: uuid.uuid4().hex)


def passes(asked: Sequence[Asked], queries: int, *, task_bytes: int) -> list[list[tuple[int, int, int]]]:
    """Plan the passes over the documents: a list of (run, first query, end of queries) for each pass.

    The plan has as few passes as the memory allows, usually one.

    - asked: the runs.
    - queries: number of queries.
    - task_bytes: memory of a task for its rankings.
    """
    planned: list[list[tuple[int, int, int]]] = [[]]
    left = task_bytes
    for number, run in enumerate(asked):
        row_bytes = places_for(run.kept.depth) * PLACE_BYTES
        first = 0
        while first < queries:
            count = min(queries - first, left // row_bytes)
            if count < 1 and planned[-1]:
                planned.append([])
                left = task_bytes
                continue
            count = max(1, count)
            planned[-1].append((number, first, first + count))
            left -= count * row_bytes
            first += count
    return [part for part in planned if part]


def least_units(kept: Kept, queries: int) -> NDArray[np.int64]:
    """Return the lowest units that a listed document can have: the minimum score in units, rounded down."""
    return np.full(queries, math.floor(min(kept.minimum_score, 2.0**31) * SCORE_UNITS), dtype=np.int64)
