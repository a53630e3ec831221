"""A comparison says of each pair of runs what scipy says of their values, however Spark parts the rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from scipy import stats

from spladelake.cli import main
from spladelake.errors import DataError
from spladelake.measures.significance import holm
from spladelake.spark.evaluate import compare
from spladelake.spark.evaluate.paired_tests import compared_pairs, deltas
from spladelake.spark.tables.schemas import MEASURES, RUNS
from support.random_lake import write_judgements
from support.tables import table_rows, write_rows

QUERIES = 12
RUN_IDS = ("best", "good", "good-too", "poor")
MEASURES_USED = ("recip_rank", "ndcg_cut_10")


def write_measures(spark: SparkSession, lake: str, seed: int) -> None:
    """Measures of four runs on 12 queries, as evaluate_run leaves them: better runs reach higher values."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str, str | None, float]] = []
    for run_id, least in zip(RUN_IDS, (0.6, 0.3, 0.3, 0.0), strict=True):
        for measure in MEASURES_USED:
            found = rng.uniform(least, 1, QUERIES).round(1)  # so that some tie
            rows += [(run_id, measure, f"q{query}", float(value)) for query, value in enumerate(found)]
            rows.append((run_id, measure, None, float(found.mean())))
    write_rows(f"{lake}/measures", rows, MEASURES)


@pytest.fixture(scope="module")
def lakes(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two collections; read them, do not write to them."""
    found = {}
    for seed, name in enumerate(("first", "second")):
        found[name] = str(tmp_path_factory.mktemp(name) / "lake")
        write_measures(spark, found[name], seed)
    return found


Values = dict[tuple[str, str], np.ndarray]  # run_id, measure: value of each query in the order of their ids


def values(spark: SparkSession, lake: str) -> Values:
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for row in table_rows(f"{lake}/measures"):
        if row["query_id"] is not None:
            found.setdefault((row["run_id"], row["measure"]), []).append((row["query_id"], row["value"]))
    return {key: np.array([value for _, value in sorted(pairs)]) for key, pairs in found.items()}


def test_all_pairs_of_all_collections_are_tested_as_scipy_tests_them(
    spark: SparkSession, run_job: Any, lakes: dict[str, str], lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"lake": lake, "collections": lakes, "measures": list(MEASURES_USED)}
    result = run_job("compare_runs", **options)
    queries = sorted(tuple(row) for row in table_rows(f"{lake}/comparisons/queries"))
    monkeypatch.setattr(compare, "DRIVER_BYTES", 0)
    in_spark = run_job("compare_runs", **options, force=True)
    assert [in_spark[name] for name in ("systems", "pairs", "costs")] == [
        result[name] for name in ("systems", "pairs", "costs")
    ]
    assert queries == sorted(tuple(row) for row in table_rows(f"{lake}/comparisons/queries"))
    assert len(result["systems"]) == 2 * 4 * 2
    assert len(result["pairs"]) == 2 * 2 * 6
    known = {name: values(spark, root) for name, root in lakes.items()}
    families: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for pair in result["pairs"]:
        families.setdefault((pair["collection"], pair["measure"]), []).append(pair)
        a, b = (known[pair["collection"]][pair[run], pair["measure"]] for run in ("run_a", "run_b"))
        assert pair["difference"] == pytest.approx(b.mean() - a.mean(), abs=1e-12)
        assert (pair["wins"], pair["ties"], pair["losses"]) == ((b > a).sum(), (b == a).sum(), (b < a).sum())
        theirs = stats.ttest_rel(b, a)
        assert (pair["t"], pair["t_p"]) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)
        exact = stats.permutation_test(
            (b - a,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
        )
        assert pair["randomisation_p"] == pytest.approx(exact.pvalue, abs=1e-9)
    for family in families.values():
        for name in ("t_p", "randomisation_p"):
            assert [p[f"{name}_holm"] for p in family] == pytest.approx(holm([p[name] for p in family]))
    for system in result["systems"]:
        found = known[system["collection"]][system["run_id"], system["measure"]]
        assert (system["queries"], system["value"]) == (QUERIES, pytest.approx(found.mean(), abs=1e-12))
    again = run_job("compare_runs", **options)
    assert again["status"] == "skipped"
    assert {k: again[k] for k in ("systems", "pairs", "costs")} == {k: result[k] for k in ("systems", "pairs", "costs")}


def test_a_baseline_is_compared_with_each_run_and_every_query_has_its_delta(
    spark: SparkSession, lakes: dict[str, str], lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    published = "{first: {best: {recip_rank: 0.5}}}"
    arguments = ["--lake", lake, "--collections", json.dumps({"first": lakes["first"]}), "--baseline", "poor"]
    assert main(["compare_runs", *arguments, "--measures", "recip_rank", "--published", published]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out.splitlines()[-1])
    assert [(p["run_a"], p["run_b"]) for p in result["pairs"]] == [("poor", r) for r in RUN_IDS if r != "poor"]
    assert {s["run_id"]: s["published"] for s in result["systems"]} == {**dict.fromkeys(RUN_IDS), "best": 0.5}
    for piece in ("12 queries", "published", "+/=/- poor", "0.5000"):
        assert piece in printed.err
    rows = sorted(table_rows(f"{lake}/comparisons/queries", run_b="best"), key=lambda row: row["query_id"])
    known = values(spark, lakes["first"])
    gained = known["best", "recip_rank"] - known["poor", "recip_rank"]
    assert [row["delta"] for row in rows] == pytest.approx(gained)


def test_p_values_do_not_depend_on_partitions_or_order_and_do_depend_on_the_seed(spark: SparkSession) -> None:
    rng = np.random.default_rng(4)
    rows = [("c", run, "m", f"q{query}", float(rng.random())) for run in ("a", "b") for query in range(60)]
    schema = "collection string, run_id string, measure string, query_id string, value double"
    found = []
    for partitions, chosen in ((1, rows), (5, rows[::-1])):
        frame = spark.createDataFrame(chosen, schema).repartition(partitions)
        found.append(compared_pairs(deltas(spark, frame, [("c", "a", "b")]), permutations=2_000, seed=1))
    assert found[0] == found[1]
    assert 0 < found[0][0]["randomisation_p"] < 1
    other = compared_pairs(deltas(spark, frame, [("c", "a", "b")]), permutations=2_000, seed=2)
    assert other[0]["randomisation_p"] != found[0][0]["randomisation_p"]


def test_runs_on_another_footing_are_refused(spark: SparkSession, run_job: Any, lake: str) -> None:
    rows = [(run_id, "q1", "a", 1, 1.0) for run_id in ("best", "poor")]
    write_rows(f"{lake}/runs", rows, RUNS)
    write_judgements(spark, lake, [("q1", "a", 1)])
    run_job("evaluate_run", lake=lake, run_id="best", measures=["recip_rank"])
    run_job("evaluate_run", lake=lake, run_id="poor", measures=["recip_rank"], answered_only=True)
    said = "'poor' was measured with --answered-only True, but run 'best' with --answered-only False"
    with pytest.raises(DataError, match=said):
        run_job("compare_runs", lake=lake, measures=["recip_rank"])
    with pytest.raises(DataError, match="run 'best' of collection 'lake' has none of the measures in --measures"):
        run_job("compare_runs", lake=lake, run_ids=["best", "poor"])
    with pytest.raises(
        DataError,
        match=r"run 'none' of collection 'lake' has none of the measures in --measures .*one of them: best, poor",
    ):
        run_job("compare_runs", lake=lake, measures=["recip_rank"], run_ids=["best", "none"])


@pytest.mark.slow
def test_cost_stands_beside_effectiveness_where_the_run_came_from_vectors(
    spark: SparkSession, run_job: Any, fruit_lake: str, lake: str
) -> None:
    # As the run log of `spladelake encode_texts` would say it.
    vectors = f"{fruit_lake}/vectors/splade-tiny/documents"
    logged = [("encode_texts", "written", json.dumps({vectors: version}), rows, seconds)
              for version, rows, seconds in ((1, 8, 12.5), (2, 1, 0.5))]  # fmt: skip
    columns = "job string, status string, outputs string, rows bigint, seconds double"
    spark.createDataFrame(logged, columns).write.format("delta").mode("overwrite").save(f"{fruit_lake}/run_log")
    for k, run_id in ((5, "five"), (1, "one")):
        run_job("retrieve_run", lake=fruit_lake, model="splade-tiny", k=k, run_id=run_id)
        result = run_job("evaluate_run", lake=fruit_lake, run_id=run_id)
    # The second run made a new version of the table, but the first run is as it was.
    assert run_job("evaluate_run", lake=fruit_lake, run_id="five")["status"] == "skipped"
    (five, one) = run_job("compare_runs", lake=lake, collections={"fruit": fruit_lake}, run_ids=["five", "one"])[
        "costs"
    ]
    assert five["corpus_active_dims"] == one["corpus_active_dims"] == result["measures"]["corpus_active_dims"]
    assert five["flops"] == result["measures"]["avg_flops"] > 0
    assert five["table_bytes"] > 1_000
    assert five["encode_seconds"] == 12.5
