"""The jobs that run on Spark Connect give the tables of a classic session: a server in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.scoring import compile_kernels
from support.collections import write_drawn
from support.connect import LIB, connect_server, needs_connect
from support.processes import environment
from support.tables import table_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LAKE = "schema:shop"
EVALUATE = ("evaluate_run", "--measures", "nDCG@10,RR@10,R@100,Judged@10")
COMPARE = ("compare_runs", "--measures", "nDCG@10,RR@10", "--baseline", "all", "--name", "both")


@dataclass(frozen=True)
class Server:
    """A server, and the lake in its catalog.

    - address: of the server.
    - folder: of its lake, a copy of the classic one before any job of this module.
    - classic: of the lake that the classic session knows by the same name.
    """

    address: str
    folder: Path
    classic: Path

    def __call__(self, *commands: tuple[str, ...], plans: bool = False) -> dict[str, Any]:
        """What commands said in one client."""
        lines = [[*command, "--lake", LAKE] for command in commands]
        tables = sorted(found.name for found in self.folder.iterdir() if (found / "_delta_log").is_dir())
        sql = [f"CREATE SCHEMA IF NOT EXISTS shop LOCATION '{self.folder}'"]
        sql += [f"CREATE TABLE IF NOT EXISTS shop.{t} USING delta LOCATION '{self.folder / t}'" for t in tables]
        done = subprocess.run(
            [sys.executable, "-m", "support.connect_commands"], env=self.environment(), capture_output=True, text=True,
            input=json.dumps({"sql": sql, "commands": lines, "plans": plans}), timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return {**found, "said": done.stderr}

    def environment(self) -> dict[str, str]:
        return environment(PYTHONPATH=LIB, SPARK_REMOTE=self.address)


@pytest.fixture(scope="module")
def server(spark: SparkSession, run_job: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    needs_connect()
    folder = tmp_path_factory.mktemp("connect")
    compile_kernels()  # or each worker of the server would compile them for itself
    spark.sql(f"CREATE SCHEMA shop LOCATION '{folder / 'classic'}'")
    run_job("ingest_texts", lake=LAKE, source=str(write_drawn(folder / "drawn")))
    run_job("encode_texts", lake=LAKE, model="splade-tiny")
    run_job("retrieve_run", lake=LAKE, model="splade-tiny", ranking="all", k=20, also={"few": {"k": 1}})
    shutil.copytree(folder / "classic", folder / "server")
    with connect_server(folder, delta=True) as address:
        yield Server(address, folder / "server", folder / "classic")
    spark.sql("DROP SCHEMA shop CASCADE")


def rows(folder: Path, table: str) -> list[str]:
    """The rows of a table as text, sorted."""
    return sorted(map(repr, table_rows(folder / table)))


COMPARISONS = ("comparisons_systems", "comparisons_costs", "comparisons_pairs", "comparisons_queries")


@pytest.fixture(scope="module")
def measured(server: Server, run_job: Any) -> dict[str, Any]:
    """What the commands said, after the classic session did the same."""
    names = EVALUATE[2].split(",")
    for ranking in ("all", "few"):
        run_job("evaluate_run", lake=LAKE, ranking=ranking, measures=names)
    run_job("compare_runs", lake=LAKE, measures=["nDCG@10", "RR@10"], baseline="all", name="both")
    alone = [sys.executable, "-m", "spladelake", *EVALUATE, "--ranking", "all", "--lake", LAKE]
    server()  # so that the catalog knows the tables
    first = subprocess.run(
        [*alone, "--conf", f"spark.remote={server.address}"], capture_output=True, text=True, timeout=300,
        env={k: v for k, v in server.environment().items() if k != "SPARK_REMOTE"}, check=False,
    )  # fmt: skip
    assert first.returncode == 0, first.stderr[-4000:]
    found = server(
        (*EVALUATE, "--ranking", "all"), (*EVALUATE, "--ranking", "few"), COMPARE, COMPARE, ("verify_tables",),
        ("evaluate_run", "--ranking", "none-such"), ("ingest_texts", "--source", "/nowhere"),
    )  # fmt: skip
    return {**found, "alone": json.loads(first.stdout.splitlines()[-1])}


def test_measures_and_comparisons_are_those_of_a_classic_session(server: Server, measured: dict[str, Any]) -> None:
    again, few, compared, skipped, verified, *_ = measured["commands"]
    assert (measured["alone"]["status"], again["status"], few["status"]) == ("written", "skipped", "written")
    assert again["measures"] == measured["alone"]["measures"]
    assert (compared["status"], skipped["status"]) == ("written", "skipped")
    assert compared["pairs"] == skipped["pairs"]
    for table in ("measures", *COMPARISONS):
        assert rows(server.folder, table) == rows(server.classic, table)
    assert (verified["code"], verified["findings"]) == (0, [])
    assert verified["tables"]["shop.documents"] == 60


def test_the_plans_of_large_tables_give_the_same_values_without_kept_rows(
    server: Server, measured: dict[str, Any]
) -> None:
    before = {(r.run_id, r.measure, r.query_id): r.value for r in table_rows(server.folder / "measures")}
    found = server((*EVALUATE, "--ranking", "few", "--force"), (*COMPARE, "--force"), plans=True)
    assert [each["code"] for each in found["commands"]] == [0, 0]
    after = {(r.run_id, r.measure, r.query_id): r.value for r in table_rows(server.folder / "measures")}
    assert after == pytest.approx(before, rel=1e-12)
    assert rows(server.folder, "comparisons_queries") == rows(server.classic, "comparisons_queries")


RETRIEVE = ("retrieve_run", "--model", "splade-tiny", "--k", "20", "--ranking")
STRATEGIES = ("driver", "blocks", "sql")


def test_runs_are_those_of_a_classic_session_to_the_last_bit(server: Server) -> None:
    commands = [(*RETRIEVE, strategy, "--strategy", strategy) for strategy in STRATEGIES]
    both = (*RETRIEVE, "long", "--strategy", "blocks", "--also", "{short: {k: 1}}")
    found = server((*RETRIEVE, "all"), *commands, both, (*RETRIEVE, "some", "--where", "length(text) < 50"))
    same, *made, several, refused = found["commands"]
    # The classic session made this run from the same vectors.
    assert (same["code"], same["status"]) == (0, "skipped")
    wanted = ranking(server.classic, "all")
    assert len(wanted) > 500
    for strategy, result in zip(STRATEGIES, made, strict=True):
        assert (result["code"], result["status"], result["strategy"]) == (0, "written", strategy)
        assert result["rows"] == len(wanted)
        assert ranking(server.folder, strategy) == wanted
    assert several["runs"]["long"]["rows"] == len(wanted)
    assert ranking(server.folder, "long") == wanted
    assert ranking(server.folder, "short") == ranking(server.classic, "few")
    assert (refused["code"], "--where: the option needs a session with its own JVM" in refused["error"]) == (2, True)


def ranking(folder: Path, run_id: str) -> list[tuple[Any, ...]]:
    found = table_rows(folder / "runs", run_id=run_id)
    return sorted((row.query_id, row.rank, row.doc_id, row.score) for row in found)


def test_each_run_of_a_job_is_in_the_run_log(server: Server, measured: dict[str, Any]) -> None:
    mine = [row for row in table_rows(server.folder / "run_log") if row.job in ("evaluate_run", "verify_tables")]
    assert {"skipped", "written", "done", "failed"} <= {row.status for row in mine}
    for row in mine:
        assert row.outputs != "{}" or row.status != "written"


def test_what_does_not_run_on_a_server_is_one_message(server: Server, measured: dict[str, Any]) -> None:
    *_, unknown, refused = measured["commands"]
    assert (unknown["code"], refused["code"]) == (3, 2)
    assert "the table has no run 'none-such'" in unknown["error"]
    assert "evaluate_run, compare_runs" in refused["error"]
    assert "cannot take the lock of a table on S3" in measured["lock"]
    assert measured["said"].count("refuses spark.sql.variable.substitute") == 1
