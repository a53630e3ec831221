"""Pairs of runs on the same queries: per-query differences and significance tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.measures.significance import holm, paired_test
from spladelake.spark.session.arrow_functions import apply_arrow
from spladelake.spark.tables.driver_rows import frame_of

_KEYS = ("collection", "measure", "run_a", "run_b")
_TESTED = (
    "collection string, measure string, run_a string, run_b string, queries int, difference double, wins int, "
    "ties int, losses int, t double, t_p double, randomisation_p double"
)
_DELTAS = pa.schema(
    [
        *((name, pa.string()) for name in ("collection", "measure", "query_id", "run_a", "run_b")),
        *((name, pa.float64()) for name in ("value_a", "value_b", "delta")),
    ]
)
_ARROW = pa.schema(
    [
        *((name, pa.string()) for name in _KEYS),
        ("queries", pa.int32()),
        ("difference", pa.float64()),
        *((name, pa.int32()) for name in ("wins", "ties", "losses")),
        *((name, pa.float64()) for name in ("t", "t_p", "randomisation_p")),
    ]
)
_CORRECTED = f"{_TESTED}, t_p_holm double, randomisation_p_holm double"
_ARROW_CORRECTED = pa.schema([*_ARROW, ("t_p_holm", pa.float64()), ("randomisation_p_holm", pa.float64())])


def deltas(session: SparkSession, values: DataFrame, pairs: Sequence[tuple[str, str, str]]) -> DataFrame:
    """Return (collection, measure, query_id, run_a, run_b, value_a, value_b, delta), where delta = value_b - value_a.

    - values: (collection, run_id, measure, query_id, value).
    - pairs: (collection, run_a, run_b).
    """
    named = [dict(zip(("collection", "run_a", "run_b"), pair, strict=True)) for pair in pairs]
    wanted = F.broadcast(frame_of(session, named, "collection string, run_a string, run_b string"))
    keys = ["collection", "measure", "query_id"]
    first = values.select(*keys, F.col("run_id").alias("run_a"), F.col("value").alias("value_a"))
    second = values.select(*keys, F.col("run_id").alias("run_b"), F.col("value").alias("value_b"))
    found = first.join(wanted, ["collection", "run_a"]).join(second, [*keys, "run_b"])
    return found.select(
        *keys, "run_a", "run_b", "value_a", "value_b", (F.col("value_b") - F.col("value_a")).alias("delta")
    )


def deltas_of_table(values: pa.Table, pairs: Sequence[tuple[str, str, str]]) -> pa.Table:
    """Return the rows of `deltas` for an Arrow table, without Spark."""
    keys = ["collection", "measure", "query_id"]
    parts = []
    for collection, run_a, run_b in pairs:
        of_collection = values.filter(pc.equal(values.column("collection"), collection))
        sides = [
            of_collection.filter(pc.equal(of_collection.column("run_id"), run)).select([*keys, "value"])
            for run in (run_a, run_b)
        ]
        both = sides[0].join(sides[1], keys, join_type="inner", left_suffix="_a", right_suffix="_b")
        delta = pc.subtract(both.column("value_b"), both.column("value_a"))
        runs = [pa.repeat(pa.scalar(run, pa.string()), both.num_rows) for run in (run_a, run_b)]
        columns = [both.column(key).cast(pa.string()) for key in keys]
        columns += [*runs, both.column("value_a"), both.column("value_b"), delta]
        parts.append(pa.Table.from_arrays(columns, schema=_DELTAS))
    return pa.concat_tables(parts)


def shared_queries(values: DataFrame) -> DataFrame:
    """Return (collection, measure, queries, fewest): queries with values, and the fewest runs that a query has."""
    shared = values.groupBy("collection", "measure", "query_id").agg(F.count("*").alias("runs"))
    return shared.groupBy("collection", "measure").agg(F.count("*").alias("queries"), F.min("runs").alias("fewest"))


def shared_of_table(values: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of `shared_queries` for an Arrow table, without Spark."""
    shared = values.group_by(["collection", "measure", "query_id"]).aggregate([("value", "count")])
    found = shared.group_by(["collection", "measure"]).aggregate([("query_id", "count"), ("value_count", "min")])
    rows: list[dict[str, Any]] = found.rename_columns(["collection", "measure", "queries", "fewest"]).to_pylist()
    return rows


def compared_pair(table: pa.Table, *, permutations: int, seed: int) -> pa.Table:
    """Test the differences of one pair on one collection and measure; return one row.

    The random draws depend only on the seed and the names, and the differences are sorted by query_id first.
    So the p-values do not depend on Spark's partitions.
    """
    first = table.slice(0, 1).to_pylist()[0]
    names = {key: first[key] for key in _KEYS}
    differences = np.asarray(table.sort_by("query_id").column("delta"), dtype=np.float64)
    found = paired_test(differences, permutations=permutations, seed=[seed, _number(*names.values())])
    return pa.Table.from_pylist([{**names, **asdict(found)}], schema=_ARROW)


def _number(*names: str) -> int:
    """Return a hash of the names that is the same in every process."""
    text = "\0".join(names).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def compared_pairs(found: DataFrame, *, permutations: int, seed: int) -> list[dict[str, Any]]:
    """Return one row for each collection, measure and pair: wins, ties and losses of the second run, and both tests.

    Holm's method corrects the p-values for the number of pairs of a collection and measure.

    - found: the rows of `deltas`.
    - permutations: random sign assignments if there are too many to enumerate.
    - seed: seed of the random draws.
    """
    return _corrected([row.asDict() for row in _tested(found, permutations=permutations, seed=seed).collect()])


def compared_pairs_frame(found: DataFrame, *, permutations: int, seed: int) -> DataFrame:
    """Return the rows of `compared_pairs` as a plan, without an action."""

    def correct(table: pa.Table) -> pa.Table:  # with a second parameter, Spark would pass the key too
        return pa.Table.from_pylist(_corrected(table.to_pylist()), schema=_ARROW_CORRECTED)

    tested = _tested(found, permutations=permutations, seed=seed)
    return apply_arrow(tested.groupBy("collection", "measure"), correct, _CORRECTED)


def _tested(found: DataFrame, *, permutations: int, seed: int) -> DataFrame:
    def compare(table: pa.Table) -> pa.Table:
        return compared_pair(table, permutations=permutations, seed=seed)

    return apply_arrow(found.groupBy(*_KEYS), compare, _TESTED)


def compared_pairs_of_table(found: pa.Table, *, permutations: int, seed: int) -> list[dict[str, Any]]:
    """Return the rows of `compared_pairs` for an Arrow table, without Spark."""
    rows = []
    for names in found.select(list(_KEYS)).group_by(list(_KEYS)).aggregate([]).to_pylist():
        mine = reduce(pc.and_, (pc.equal(found.column(key), name) for key, name in names.items()))
        rows += compared_pair(found.filter(mine), permutations=permutations, seed=seed).to_pylist()
    return _corrected(rows)


def _corrected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort the rows by their names, and add the p-values corrected by Holm's method."""
    rows = sorted(rows, key=lambda row: tuple(row[key] for key in _KEYS))
    families: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault((row["collection"], row["measure"]), []).append(row)
    for family in families.values():
        for name in ("t_p", "randomisation_p"):
            for row, p in zip(family, holm([row[name] for row in family]), strict=True):
                row[f"{name}_holm"] = p
    return rows
