"""Every job in one session, an update, a killed encode and its rest. Runs on every supported Spark as well."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spladelake.cli import main
from support.collections import write_drawn
from support.cross_encoders import write_cross_encoder
from support.every_job import EVERY_JOB, TINY
from support.processes import SMALL, command, environment

pytestmark = [pytest.mark.slow, pytest.mark.every_spark, pytest.mark.timeout(1500)]


class Line:
    """The command line in this process, on one lake."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.lake, self.capsys = folder, str(folder / "lake"), capsys

    def __call__(self, job: str, *given: str) -> dict[str, Any]:
        arguments = [word.format(folder=self.folder) for word in given]
        code = main([job, "--lake", self.lake, *arguments])
        out, err = self.capsys.readouterr()
        assert code == 0, f"{job}: {err[-6000:]}"
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


def change(corpus: Path, share: slice) -> list[str]:
    """Give some documents another text; return their ids."""
    records = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
    for record in records[share]:
        record["text"] += " changed"
    corpus.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return [record["_id"] for record in records[share]]


def vectors_of(spark: SparkSession, lake: str) -> dict[str, tuple[Any, ...]]:
    rows = spark.read.format("delta").load(f"{lake}/vectors/splade-tiny/documents").collect()
    return {row["id"]: (row["text_sha256"], list(row["indices"]), list(row["values"])) for row in rows}


@pytest.mark.parametrize("delta", ["classes", "public"])
def test_every_job_runs_an_update_and_the_rest_of_a_killed_encode_are_complete(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, delta: str
) -> None:
    monkeypatch.setenv("SPLADELAKE_DELTA", delta)
    corpus = write_drawn(tmp_path / "drawn") / "corpus.jsonl"
    write_cross_encoder(tmp_path / "teacher")
    run = Line(tmp_path, capsys)
    results = {job: run(job, *given) for job, given in EVERY_JOB}
    assert results["encode_texts"]["documents"]["rows"] == 60
    assert results["import_run"]["rows"] == results["retrieve_run"]["rows"]
    assert results["verify_tables"]["findings"] == []
    assert run("encode_texts", *TINY)["documents"]["status"] == "skipped"

    before = vectors_of(spark, run.lake)
    changed = change(corpus, slice(0, 6))
    run("ingest_texts", "--source", str(tmp_path / "drawn"))
    updated = run("encode_texts", *TINY)["documents"]
    after = vectors_of(spark, run.lake)
    assert (updated["rows"], updated["kept"]) == (6, 54)
    assert [i for i in sorted(after) if after[i] != before[i]] == sorted(changed)

    change(corpus, slice(20, 40))
    run("ingest_texts", "--source", str(tmp_path / "drawn"))
    encode = ("encode_texts", *TINY, "--side", "documents", "--lake", run.lake, "--chunk-rows", "5", *SMALL)
    killed = subprocess.run(
        command(*encode, stop_at="after_staging:2"), cwd=tmp_path, env=environment(), capture_output=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    assert vectors_of(spark, run.lake) == after, "readers see the old rows, all of them"
    rest = run("encode_texts", *TINY, "--chunk-rows", "5")["documents"]
    assert rest["resumed"] > 0
    assert rest["rows"] + rest["resumed"] >= 20
    run("retrieve_run", *TINY, "--k", "20", "--run-id", "splade-tiny")
    run("evaluate_run", *TINY, "--run-id", "splade-tiny")
    assert sorted(vectors_of(spark, run.lake)) == sorted(before)
    run("index_vectors", *TINY)
    run("compact_vectors", *dict(EVERY_JOB)["compact_vectors"])
    assert run("verify_tables")["findings"] == []
