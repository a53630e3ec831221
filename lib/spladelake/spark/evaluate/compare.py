"""The comparison job: compare measured runs of one or several collections and test their differences."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from functools import reduce
from itertools import combinations
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spladelake.config import CompareRuns
from spladelake.errors import DataError
from spladelake.names import amount
from spladelake.results import CompareResult
from spladelake.spark.evaluate.collection import ComparedCollection
from spladelake.spark.evaluate.costs import costs_of
from spladelake.spark.evaluate.paired_tests import (
    compared_pairs,
    compared_pairs_of_table,
    deltas,
    deltas_of_table,
    shared_of_table,
    shared_queries,
)
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.tables.comparison_schemas import (
    COMPARED_COSTS,
    COMPARED_PAIRS,
    COMPARED_QUERIES,
    COMPARED_SYSTEMS,
)
from spladelake.spark.tables.driver_rows import collected, frame_of
from spladelake.spark.tables.lineage import Lineage, newest_lineage
from spladelake.spark.tables.locks import at_once
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import MEASURES
from spladelake.spark.tables.skeleton import Needed, made_unless_current, newest_inputs
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.suggestions import made_by
from spladelake.spark.tables.write import replace_rows

log = logging.getLogger(__name__)

# The driver compares a collection itself if the files of its measures have at most this many bytes: millions of values.
DRIVER_BYTES = 16 * 2**20
_SHOWN = (COMPARED_SYSTEMS, COMPARED_COSTS, COMPARED_PAIRS)
# Settings of evaluate_run that change the meaning of a value: runs that differ in them cannot be compared.
_FOOTING = {"level": "--relevance-level", "answered_only": "--answered-only", "trec_scores": "--trec-scores"}


def compare_runs(session: SparkSession, options: CompareRuns) -> CompareResult:
    """Compare runs that evaluate_run has measured, and write the tables of `comparisons`.

    The result holds the rows of all those tables but the per-query differences.
    Raises DataError if a run is not measured or if the runs were measured in different ways.
    """
    lake, started = Lake(options.lake), time.monotonic()
    lakes = options.collections or {options.lake.rstrip("/").rsplit("/", 1)[-1]: options.lake}
    collections = [_collection(session, name, Lake(root), options) for name, root in lakes.items()]
    inputs = {c.name: [str(c.measures), c.version, list(c.run_ids)] for c in collections}
    settings = options.model_dump(include={"measures", "baseline", "permutations", "seed", "published"})
    lineage = Lineage("compare_runs", inputs, settings, scope=options.name)
    known: CompareResult = {
        "comparison": options.name, "baseline": options.baseline, "significance": options.significance,
        "table": str(lake.table("comparisons")),
    }  # fmt: skip
    result = made_unless_current(
        session, {lake.table(COMPARED_SYSTEMS.name): lineage},
        lambda: _entries(_write(session, lake, collections, options, lineage)),
        force=options.force, step=f"compare {options.name}", known=known,
    )  # fmt: skip
    written = {}
    if result["status"] == "skipped":
        written = _entries({schema.name: _read(session, lake, schema, options.name) for schema in _SHOWN})
    return cast("CompareResult", {**result, **written, "seconds": round(time.monotonic() - started, 2)})


def _entries(rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the entries of the result from the rows of the tables of comparisons, by table name."""
    return {name.removeprefix("comparisons/"): found for name, found in rows.items()}


def _collection(session: SparkSession, name: str, lake: Lake, options: CompareRuns) -> ComparedCollection:
    measures = lake.table("measures")
    needed = Needed(measures, MEASURES, made_by("evaluate_run", lake))
    inputs = newest_inputs(session, {"measures": needed})
    version = inputs.versions["measures"]
    columns = ["run_id", "measure", "query_id", "value"]
    here = collected(session, measures, columns, version=version, most_bytes=DRIVER_BYTES)
    if here is None:
        rows = inputs.rows["measures"].where(F.col("query_id").isNull() & F.col("value").isNotNull())
        whole = rows.select(*columns).toArrow()
    else:
        whole = here.filter(pc.is_null(pc.field("query_id")) & pc.is_valid(pc.field("value")))
    means = {(row["run_id"], row["measure"]): float(row["value"]) for row in whole.to_pylist()}
    has: dict[str, set[str]] = {}
    for run_id, measure in means:
        if measure in options.measures:
            has.setdefault(run_id, set()).add(measure)
    run_ids = options.run_ids or tuple(sorted(has, key=lambda run_id: (run_id != options.baseline, run_id)))
    for run_id in run_ids if not options.baseline else dict.fromkeys((*run_ids, options.baseline)):
        missing = [measure for measure in options.measures if measure not in has.get(run_id, ())]
        if missing:
            raise _unmeasured(name, lake, run_id, missing, sorted(has))
    if len(run_ids) < 2:
        raise DataError(
            str(measures),
            f"collection {name!r} has {amount(len(run_ids), 'run')} to compare",
            "wanted two or more runs that have the measures in --measures",
            "Measure more runs with evaluate_run, or add runs to --run-ids.",
        )
    _check_footing(session, measures, run_ids)
    return ComparedCollection(name, lake, measures, version, run_ids, means, here)


def _unmeasured(collection: str, lake: Lake, run_id: str, missing: list[str], measured: list[str]) -> DataError:
    """Return the error for a run of a collection that lacks measures. measured: the runs that have any of them."""
    found, fix = f"was not measured with {missing[0]!r}", "Measure the run"
    if run_id not in measured:
        others = f" (runs with at least one of them: {', '.join(measured)})" if measured else ""
        found = f"has none of the measures in --measures{others}"
        fix = "Correct the name of the run, or measure the run"
    return DataError(
        str(lake.table("measures")),
        f"run {run_id!r} of collection {collection!r} {found}",
        "wanted every measure in --measures for each run",
        f"{fix} with this command: spladelake evaluate_run --lake {lake.root} --ranking {run_id} "
        f"--measures {','.join(('all', *missing))}",
    )


def _check_footing(session: SparkSession, measures: TableRef, run_ids: tuple[str, ...]) -> None:
    """Raise DataError if the runs were measured against different judgements or with different settings."""
    footing = {}
    for run_id in run_ids:
        made = newest_lineage(session, measures, scope=run_id)
        if made is not None:
            settings = {key: made["settings"].get(key) for key in _FOOTING}
            footing[run_id] = {**settings, "judgements": made["inputs"].get("judgements")}
    first = next(iter(footing), None)
    for run_id, found in footing.items():
        assert first is not None
        differing = [key for key, value in found.items() if value != footing[first][key]]
        if differing:
            key = differing[0]
            one, other = _footing_said(key, found[key]), _footing_said(key, footing[first][key])
            same = "version of the judgements" if key == "judgements" else f"value of {_FOOTING[key]}"
            raise DataError(
                str(measures),
                f"run {run_id!r} was measured with {one}, but run {first!r} with {other}",
                f"wanted one {same} for all runs",
                f"Run evaluate_run again for both runs, with the same {same}.",
            )


def _footing_said(key: str, value: Any) -> str:
    """Return an entry of a footing as a message names it: an option of evaluate_run, or the judgements."""
    if key != "judgements":
        return f"{_FOOTING[key]} {value}"
    return "no judgements" if value is None else f"version {value[1]} of {value[0]}"


def _pairs(collections: list[ComparedCollection], baseline: str | None) -> list[tuple[str, str, str]]:
    pairs = []
    for collection in collections:
        if baseline is not None:
            pairs += [(collection.name, baseline, run_id) for run_id in collection.run_ids if run_id != baseline]
        else:
            pairs += [(collection.name, a, b) for a, b in combinations(collection.run_ids, 2)]
    return pairs


def _write(
    session: SparkSession, lake: Lake, collections: list[ComparedCollection], options: CompareRuns, lineage: Lineage
) -> dict[str, list[dict[str, Any]]]:
    """Compare the runs, write the four tables, and return the rows of the tables in `_SHOWN` by table name."""
    with ExitStack() as kept:
        queries, found, differences = _compared(session, kept, collections, options)
        rows = {
            COMPARED_SYSTEMS.name: _systems(collections, queries, options),
            COMPARED_COSTS.name: [cost for collection in collections for cost in costs_of(session, collection)],
            COMPARED_PAIRS.name: found,
        }
        frames = {schema.name: _frame(session, schema, rows[schema.name]) for schema in _SHOWN}
        frames[COMPARED_QUERIES.name] = differences

        def replace(schema: TableSchema) -> None:
            _replace(session, lake, schema, frames[schema.name], lineage)

        at_once(replace, (COMPARED_QUERIES, COMPARED_PAIRS, COMPARED_COSTS))
        # The table of systems is written last: its lineage tells the next run that all four tables are complete.
        replace(COMPARED_SYSTEMS)
    return rows


def _compared(
    session: SparkSession, kept: ExitStack, collections: list[ComparedCollection], options: CompareRuns
) -> tuple[dict[tuple[str, str], int], list[dict[str, Any]], DataFrame]:
    """Return the number of queries by collection and measure, the rows of tested pairs, and the per-query differences.

    The driver compares the values if all collections are small. The differences are readable until `kept` closes.
    """
    drawing = {"permutations": options.permutations, "seed": options.seed}
    pairs = _pairs(collections, options.baseline)
    tables = [table for collection in collections if (table := collection.values_here(options)) is not None]
    if len(tables) == len(collections):
        table = pa.concat_tables(tables)
        differences = deltas_of_table(table, pairs)
        rows = compared_pairs_of_table(differences, **drawing)
        return _queries(shared_of_table(table), collections), rows, session.createDataFrame(differences)
    values = kept_on_disk(reduce(DataFrame.unionByName, (c.values(session, options) for c in collections)), kept)
    queries = _queries([row.asDict() for row in shared_queries(values).collect()], collections)
    found = kept_on_disk(deltas(session, values, pairs), kept)
    return queries, compared_pairs(found, **drawing), found


def _queries(shared: list[dict[str, Any]], collections: list[ComparedCollection]) -> dict[tuple[str, str], int]:
    """Return the number of queries by collection and measure from the rows of `shared_queries`.

    Raises DataError if the runs of a collection were measured on different queries.
    """
    runs = {collection.name: len(collection.run_ids) for collection in collections}
    counts = {}
    for row in shared:
        if row["fewest"] < runs[row["collection"]]:
            raise DataError(
                row["collection"],
                f"the runs have values of {row['measure']} for different queries",
                "wanted values for the same queries in all runs",
                "Run evaluate_run again for all runs with the same options, without --answered-only.",
            )
        counts[row["collection"], row["measure"]] = int(row["queries"])
    return counts


def _systems(
    collections: list[ComparedCollection],
    queries: dict[tuple[str, str], int],
    options: CompareRuns,
) -> list[dict[str, Any]]:
    rows = []
    for collection in collections:
        for run_id in collection.run_ids:
            published = options.published.get(collection.name, {}).get(run_id, {})
            for measure in options.measures:
                rows.append(
                    {
                        "collection": collection.name,
                        "run_id": run_id,
                        "measure": measure,
                        "queries": queries[collection.name, measure],
                        "value": collection.means[run_id, measure],
                        "published": published.get(measure),
                    }
                )
    return rows


def _frame(session: SparkSession, schema: TableSchema, rows: list[dict[str, Any]]) -> DataFrame:
    columns = StructType(schema.struct.fields[1:])  # without the first, the comparison's name
    return frame_of(session, rows, columns)


def _replace(session: SparkSession, lake: Lake, schema: TableSchema, rows: DataFrame, lineage: Lineage) -> None:
    named = rows.withColumn("comparison", F.lit(lineage.scope))
    where = f"comparison = {sql_string(lineage.scope)}"
    replace_rows(session, lake.table(schema.name), schema, named, lineage=lineage, where=where)


def _read(session: SparkSession, lake: Lake, schema: TableSchema, name: str) -> list[dict[str, Any]]:
    rows = lake.table(schema.name).read(session).where(F.col("comparison") == name).drop("comparison")
    return [row.asDict() for row in rows.collect()]
