"""Jobs as a scheduler runs them: a run for each day, once; and whatever becomes of a job is one line on stdout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spladelake.cli import main
from spladelake.config import JOBS
from support.cases import mostly_slow
from support.collections import write_fruit
from support.tables import table_rows

# What each job cannot do without, the lake apart.
NEEDED = {
    "ingest_texts": ("--source", "nowhere"),
    "encode_texts": ("--model", "splade-tiny"),
    "rerank_run": ("--run", "absent"),
    "fuse_runs": ("--runs", "one,two"),
    "import_run": ("--run", "absent.trec"),
    "export_run": ("--ranking", "absent", "--output", "out.trec"),
    "export_measures": ("--ranking", "absent", "--output", "out.csv"),
    "export_vectors": ("--output", "out", "--output-format", "npz"),
    "import_vectors": ("--input", "absent", "--input-format", "ciff", "--vectors", "theirs"),
    "mine_pairs": ("--run", "absent"),
    "train_model": ("--model", "splade-tiny", "--output", "out"),
}


@pytest.mark.slow
def test_the_same_day_again_does_nothing_and_another_day_is_a_run_of_its_own(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, source = tmp_path / "lake", write_fruit(tmp_path / "fruit")
    steps = f"{{ingest_texts: {{source: '{source}'}}, encode_texts: , retrieve_run: {{k: 5}}, evaluate_run: }}"
    file = tmp_path / "p.yaml"
    file.write_text(f"lake: {lake}\nmodel: splade-tiny\nsteps: {steps}\n", encoding="utf-8")
    statuses, rows = [], {}
    for day in ("2026-11-24", "2026-11-24", "2026-11-25"):
        assert main(["pipeline", "run", str(file), "--run-date", day]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        found = json.loads(line)["steps"]
        statuses.append(
            [found[step]["status"] for step in ("ingest_texts", "encode_texts", "retrieve_run", "evaluate_run")]
        )
        assert found["evaluate_run"]["run_id"] == f"splade-tiny-{day}"
        assert {result["run_date"] for result in found.values()} == {day}
        runs = sorted(table_rows(f"{lake}/runs"), key=lambda row: (row["query_id"], row["rank"]))
        for run_id in {row["run_id"] for row in runs}:
            rows.setdefault(run_id, []).append([tuple(row) for row in runs if row["run_id"] == run_id])
    assert statuses == [["written"] * 4, ["skipped"] * 4, ["skipped"] * 2 + ["written"] * 2]
    assert set(rows) == {"splade-tiny-2026-11-24", "splade-tiny-2026-11-25"}
    assert all(kept == rows["splade-tiny-2026-11-24"][0] for kept in rows["splade-tiny-2026-11-24"])
    logged = sorted(table_rows(f"{lake}/run_log"), key=lambda row: row["started"])
    assert [(row["run_id"], str(row["run_date"])) for row in logged[:4]] == [
        ("ingest_texts-2026-11-24", "2026-11-24"),
        ("encode_texts-2026-11-24", "2026-11-24"),
        ("splade-tiny-2026-11-24", "2026-11-24"),
        ("splade-tiny-2026-11-24", "2026-11-24"),
    ]


@pytest.mark.parametrize("job", mostly_slow(JOBS, *range(0, 99, 5)))
def test_a_job_that_finds_no_table_leaves_one_line_with_its_exit_code(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], job: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code = main([job, "--lake", str(tmp_path / "lake"), *NEEDED.get(job, ())])
    shown = capsys.readouterr()
    (line,) = shown.out.splitlines()
    result = json.loads(line)
    assert (result["job"], result["exit_code"]) == (job, code)
    assert code in ((0, 3) if job in ("verify_tables", "maintain_tables") else (2, 3, 5))
    assert "Traceback" not in shown.err
