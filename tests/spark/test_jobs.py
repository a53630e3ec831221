"""Every job as its row in `spladelake.config.jobs` describes it, and the session as every job leaves it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.config import JOBS
from spladelake.config.job import EVERY_TABLE
from spladelake.spark.tables.accesses import Accesses, noted
from support.collections import write_fruit
from support.cross_encoders import write_cross_encoder

Steps = list[tuple[str, dict[str, Any]]]


def steps(folder: Path) -> Steps:
    """Every job but train_model, with options for the fruit lake, in an order in which each finds its inputs."""
    return [
        ("ingest_texts", {"source": str(folder / "source")}),
        ("encode_texts", {"model": "splade-tiny"}),
        ("index_vectors", {"model": "splade-tiny"}),
        ("compact_vectors", {"model": "splade-tiny", "mantissa_bits": 4, "into": "small"}),
        ("retrieve_run", {"model": "splade-tiny", "k": 5, "run_id": "first"}),
        ("rerank_run", {"run": "first", "cross_encoder": str(folder / "cross"), "run_id": "second"}),
        ("fuse_runs", {"runs": "first,second", "run_id": "both"}),
        ("evaluate_run", {"run_id": "first"}),
        ("evaluate_run", {"run_id": "both"}),
        ("compare_runs", {"run_ids": "first,both", "measures": "mrr@10"}),
        ("mine_pairs", {"run": "first", "dev_share": 0, "test_share": 0}),
        ("score_pairs", {"teachers": "run:both"}),
        ("export_run", {"run_id": "first", "output": str(folder / "first.trec")}),
        ("export_measures", {"run_id": "first", "output": str(folder / "first.csv")}),
        ("import_run", {"run": str(folder / "first.trec"), "run_id": "again"}),
        ("export_vectors", {"model": "splade-tiny", "output": str(folder / "vectors"), "output_format": "anserini"}),
        ("import_vectors", {"input": str(folder / "vectors"), "input_format": "anserini", "vectors": "theirs"}),
        ("verify_tables", {}),
        ("maintain_tables", {}),
    ]


def named(tables: Iterable[str], lake: Path) -> set[str]:
    """Tables of a lake as the rows of the jobs name them."""
    below = [table.removeprefix(f"{lake}/") for table in tables]
    below = [re.sub(r"^vectors/[^/]+/", "vectors/NAME/", table) for table in below]
    return {re.sub(r"^training/[^/]+/", "training/SET/", table) for table in below}


@dataclass(frozen=True)
class Ran:
    """The lake, what each job read and wrote, the jobs that changed a setting, and entries that no result type has."""

    lake: Path
    accesses: list[tuple[str, Accesses]]
    changed: list[str]
    unknown: dict[str, list[str]]


@pytest.fixture(scope="module")
def ran(spark: SparkSession, run_job: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Every job, run once on one lake."""
    folder = tmp_path_factory.mktemp("jobs")
    write_fruit(folder / "source")
    write_cross_encoder(folder / "cross")
    found, changed, unknown = [], [], {}
    for name, options in steps(folder):
        before = dict(spark.conf.getAll)
        with noted() as accesses:
            result = run_job(name, lake=str(folder / "lake"), **options)
        unknown[name] = sorted(set(result) - set(JOBS[name].result.__annotations__) | {"status"} - set(result))
        found.append((name, accesses))
        if dict(spark.conf.getAll) != before:
            changed.append(name)
    return Ran(folder / "lake", found, changed, unknown)


@pytest.mark.slow
def test_a_job_reads_and_writes_only_the_tables_of_its_row(ran: Ran) -> None:
    undeclared: dict[str, set[str]] = {}
    for name, accesses in ran.accesses:
        job = JOBS[name]
        if EVERY_TABLE not in job.reads:
            undeclared.setdefault(name, set()).update(named(accesses.read, ran.lake) - set(job.reads))
        if EVERY_TABLE not in job.writes:
            undeclared.setdefault(name, set()).update(named(accesses.written, ran.lake) - set(job.writes))
    assert {name: tables for name, tables in undeclared.items() if tables} == {}


@pytest.mark.slow
def test_each_table_that_a_row_names_is_written_by_its_job(ran: Ran) -> None:
    written: dict[str, set[str]] = {}
    for name, accesses in ran.accesses:
        written.setdefault(name, set()).update(named(accesses.written, ran.lake))
    # Nothing was refused, one side was imported, and scores are appended in chunks without a note of their version.
    absent = {"quarantine", EVERY_TABLE}
    allowed = {"import_vectors": {"vectors/NAME/queries"}, "score_pairs": {"training/SET/teacher_scores"}}
    missing = {
        name: set(JOBS[name].writes) - found - absent - allowed.get(name, set()) for name, found in written.items()
    }
    assert {name: tables for name, tables in missing.items() if tables} == {}


@pytest.mark.slow
def test_a_result_has_only_entries_of_its_type(ran: Ran) -> None:
    assert {name: keys for name, keys in ran.unknown.items() if keys} == {}


@pytest.mark.slow
def test_a_job_leaves_the_settings_of_the_session_as_it_found_them(ran: Ran) -> None:
    assert ran.changed == []


@pytest.mark.slow
def test_jobs_in_the_opposite_order_leave_the_settings_as_they_found_them(
    spark: SparkSession, run_job: Callable[..., Any], ran: Ran, tmp_path: Path
) -> None:
    shutil.copytree(ran.lake, tmp_path / "lake")
    before = dict(spark.conf.getAll)
    again: Steps = [
        ("maintain_tables", {}),
        ("rerank_run", {"run": "first", "cross_encoder": str(ran.lake.parent / "cross"), "run_id": "second"}),
        ("retrieve_run", {"model": "splade-tiny", "k": 5, "run_id": "first"}),
    ]
    for name, options in again:
        run_job(name, lake=str(tmp_path / "lake"), **options, **({"force": True} if "run_id" in options else {}))
        assert dict(spark.conf.getAll) == before


@pytest.mark.parametrize("name", JOBS)
def test_the_file_of_a_job_says_what_the_job_reads_and_writes(name: str) -> None:
    job, text = JOBS[name], (Path(__file__).resolve().parents[2] / "jobs" / f"{name}.py").read_text(encoding="utf-8")
    assert f"launch({name.upper()})" in text
    for verb, tables in (("Reads", job.reads), ("Writes", job.writes)):
        shown = ", ".join("every table" if table == EVERY_TABLE else table for table in tables)
        assert f"\n{verb} {shown}" in text


def test_every_job_has_a_file_and_every_file_a_job() -> None:
    folder = Path(__file__).resolve().parents[2] / "jobs"
    assert {file.stem for file in folder.glob("*.py")} == set(JOBS)
