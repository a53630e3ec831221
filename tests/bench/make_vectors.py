"""Vectors as many as MS MARCO has, made from real ones, so that nothing of the size has to be encoded.

    python tests/bench/make_vectors.py --out LAKE/vectors/made [--docs N --queries N --collection DIR --seed S]

writes `documents`, `queries` and `vocabulary` as Delta tables with the columns and properties that encode_texts gives
them, a part at a time: memory is that of one part. As a library, `Maker` gives the same rows as arrays.

Row i is made of a real vector chosen at random, of which four terms in five are kept, or fewer, and as many of another
as give 175 terms of a document and 22 of a query on average, as the model card of splade-tiny's family reports; weights
vary by a twentieth up or down. So terms are as frequent and weights as large as in real vectors, those of a text stay
together, and rows differ. Each row draws from a generator of its own: the same seed gives the same rows, however they
are cut into parts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spladelake.vectors import SparseVectors
from support.real_vectors import MODEL, real_vectors

DOCUMENT_TERMS, QUERY_TERMS = 175, 22
PART_ROWS = 50_000
# Of the first parent's terms this share is kept at most, so that rows of the same parent differ.
MOST_SHARE = 0.8
JITTER = np.float32(0.1)


@dataclass(frozen=True)
class Maker:
    """Makes rows out of a pool of real vectors. shares: of the first and second parent's terms, what is kept."""

    pool: SparseVectors
    shares: tuple[float, float]
    seed: int

    @classmethod
    def of(cls, pool: SparseVectors, *, terms: float, seed: int) -> Maker:
        """A maker of rows with that many terms on average, measured on a thousand rows."""
        pool = pool.take(np.flatnonzero(pool.active_dims))
        first = min(MOST_SHARE, terms / pool.active_dims.mean())
        low, high = 0.0, 1.0
        for _ in range(12):
            second = (low + high) / 2
            mean = cls(pool, (first, second), seed).rows(0, 1000).active_dims.mean()
            low, high = (second, high) if mean < terms else (low, second)
        return cls(pool, (first, low), seed)

    def rows(self, first: int, last: int) -> SparseVectors:
        """Rows first to last: the same whatever was asked for before."""
        pool = self.pool
        lengths = np.empty(last - first, dtype=np.int64)
        most = int(2 * pool.active_dims.max()) * (last - first)
        indices, values = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.float32)
        end = _make(pool.indptr, pool.indices, pool.values, *self.shares, self.seed, first, lengths, indices, values)
        indptr = np.zeros(last - first + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        # Copies, so that what was reserved for the longest rows there could be is given back.
        return SparseVectors(indptr, indices[:end].copy(), values[:end].copy())


@njit(cache=True)
def _next(state: Any) -> Any:
    """SplitMix64, Steele et al. 2014: the next state and 64 random bits."""
    state += np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, z ^ (z >> np.uint64(31))


@njit(cache=True)
def _make(
    indptr: Any, terms: Any, weights: Any, share_a: float, share_b: float, seed: int, first: int,
    lengths: Any, indices: Any, values: Any,
) -> int:  # fmt: skip
    """Write rows from `first` on, one behind the other; returns their elements."""
    end, pool = 0, np.uint64(indptr.size - 1)
    kept_a, kept_b, low = np.uint64(share_a * 2.0**32), np.uint64(share_b * 2.0**32), np.uint64(0xFFFFFFFF)
    for row in range(lengths.size):
        _, state = _next(np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(first + row))
        start = end
        state, drawn = _next(state)
        a, b = np.int64((drawn >> np.uint64(32)) % pool), np.int64((drawn & low) % pool)
        i, j, end_i, end_j = indptr[a], indptr[b], indptr[a + 1], indptr[b + 1]
        while i < end_i or j < end_j:
            state, drawn = _next(state)
            if i < end_i and (j >= end_j or terms[i] <= terms[j]):
                term, weight, kept = terms[i], weights[i], kept_a
                j += 1 if j < end_j and terms[j] == term else 0
                i += 1
            else:
                term, weight, kept = terms[j], weights[j], kept_b
                j += 1
            if (drawn >> np.uint64(32)) < kept:
                part = np.float32(drawn & low) / np.float32(2.0**32)
                indices[end], values[end] = term, weight * (np.float32(1) + JITTER * (part - np.float32(0.5)))
                end += 1
        lengths[row] = end - start
    return end


def ids_of(letter: str, first: int, last: int) -> list[str]:
    """Ids of rows."""
    return [f"{letter}{number}" for number in range(first, last)]


def parts(rows: int) -> Iterator[tuple[int, int]]:
    """First and last row of each part."""
    for first in range(0, rows, PART_ROWS):
        yield first, min(first + PART_ROWS, rows)


def main() -> None:
    """Parse the command line and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables documents, queries, vocabulary")
    parser.add_argument("--docs", type=int, default=8_841_823, help="8,841,823, as MS MARCO has")
    parser.add_argument("--queries", type=int, default=6_980, help="6,980, as MS MARCO's dev/small has")
    parser.add_argument("--collection", type=Path, help="BEIR folder to encode; else Python's documentation")
    parser.add_argument("--pool", type=int, default=10_000, help="real texts of each side at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    from bench.vector_tables import write_vectors, write_vocabulary

    began = time.perf_counter()
    real = real_vectors(options.collection, most=options.pool)
    encoded = time.perf_counter()
    postings = {}
    # Another seed for queries, so that query i and document i do not have the same parents.
    for side, count, letter, pool, terms, seed in (
        ("documents", options.docs, "d", real.documents, DOCUMENT_TERMS, options.seed),
        ("queries", options.queries, "q", real.queries, QUERY_TERMS, options.seed + 2**32),
    ):
        maker = Maker.of(pool, terms=terms, seed=seed)
        made = ((ids_of(letter, *part), maker.rows(*part)) for part in parts(count))
        # Vectors that no model gave have a model_id of their own, so that they cannot be mixed with real ones.
        model_id = hashlib.sha256(f"made from {real.model_id} with seed {options.seed}".encode()).hexdigest()
        properties = {"model": MODEL, "model_id": model_id, "vocabulary_size": str(real.vocabulary_size)}
        postings[side] = write_vectors(options.out / side, made, model_id=model_id, properties=properties)
    write_vocabulary(options.out / "vocabulary", real.vocabulary_size, {"model": MODEL, "model_id": model_id})
    seconds = time.perf_counter() - encoded
    size = sum(f.stat().st_size for f in options.out.rglob("*.parquet"))
    print(json.dumps({
        "docs": options.docs, "queries": options.queries, "postings": postings["documents"],
        "document_terms": round(postings["documents"] / max(1, options.docs), 1),
        "query_terms": round(postings["queries"] / max(1, options.queries), 1),
        "encode_s": round(encoded - began, 1), "write_s": round(seconds, 1), "megabytes": round(size / 1e6, 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
