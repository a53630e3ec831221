"""The loop from judgements to a model and back, as commands: killed on the way, refused where it has to be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SparseEncoder

from spladelake.encoder import resolve_checkpoint
from support.collections import json_lines, write_drawn, write_lines
from support.cross_encoders import write_cross_encoder
from support.processes import command
from support.tables import table_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SMALL = ("--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.master=local[2]")
CLUSTER = (
    "--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.master=local-cluster[2,1,1024]",
    "--conf", "spark.executor.memory=600m", "--conf", "spark.executor.memoryOverhead=384m",
)  # fmt: skip
# So few steps may end below the start model on dev.
STEPS = (
    "--batch-size", "4", "--max-steps", "6", "--evaluate-steps", "2", "--max-length", "32", "--log-steps", "1",
    "--accept-worse",
)  # fmt: skip
WRITTEN = ("written", "worse")


def call(
    *arguments: str, cwd: Path, settings: tuple[str, ...] = SMALL, stop_at: str | None = None
) -> tuple[int, dict[str, Any], str]:
    """Exit code, result and stderr of a command; the result of one that was killed is empty."""
    line = command(*arguments, *settings, stop_at=stop_at)
    done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}, done.stderr


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with scored pairs: of BM25, whose run is the teacher too."""
    folder = tmp_path_factory.mktemp("loop")
    source, root = write_drawn(folder / "source"), folder / "lake"
    write_lines(folder / "loop.yaml", [PIPELINE.format(lake=root, source=source)])
    code, _, err = call("pipeline", "run", "loop.yaml", cwd=folder)
    assert code == 0, err
    return root


PIPELINE = """
lake: {lake}
steps:
  - ingest_texts: {{source: "{source}"}}
  - encode_texts: {{model: bm25}}
  - retrieve_run: {{model: bm25, k: 20}}
  - mine_pairs: {{run: bm25, dev_share: 0.2, test_share: 0.2}}
  - score_pairs: {{teachers: ["run:bm25"]}}
"""


def test_a_teacher_that_was_killed_scores_no_pair_twice(lake: Path, tmp_path: Path) -> None:
    teacher = write_cross_encoder(tmp_path / "teacher")
    score = ("score_pairs", "--lake", str(lake), "--teachers", f"{teacher},run:bm25", "--chunk-rows", "20")
    assert call(*score, cwd=tmp_path, stop_at="after_staging:2")[0] == -signal.SIGKILL
    code, result, err = call(*score, cwd=tmp_path)
    assert code == 0, err
    assert 0 < result["scored_now"] < result["pairs"] - 20
    assert result["rows"] > 0
    # What it wrote is replaced for the tests that follow.
    assert call("score_pairs", "--lake", str(lake), "--teachers", "run:bm25", cwd=tmp_path)[0] == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_a_trained_folder_gives_the_vectors_of_sentence_transformers_in_encode_texts(
    lake: Path, tmp_path: Path, processes: int
) -> None:
    train = ("train_model", "--lake", str(lake), "--model", "splade-tiny", "--output", "new", *STEPS)
    code, result, err = call(*train, "--processes", str(processes), cwd=tmp_path)
    assert code == 0, err
    assert result["status"] in WRITTEN
    assert (result["steps"], result["resumed_from"]) == (6, 0)
    assert result["seconds_to_first_step"] > 0
    assert not (tmp_path / "new.work").exists()
    assert call(*train, "--processes", str(processes), cwd=tmp_path)[1]["status"] == "skipped"
    if processes > 1:
        return
    code, encoded, err = call("encode_texts", "--lake", str(lake), "--model", str(tmp_path / "new"), cwd=tmp_path)
    assert code == 0, err
    assert encoded["model_id"] == result["model_id"]
    texts = {row["_id"]: row["text"] for row in json_lines(lake.parent / "source" / "corpus.jsonl")}
    reference = SparseEncoder(str(tmp_path / "new"), device="cpu", local_files_only=True)
    wanted = reference.encode_document(list(texts.values()), convert_to_sparse_tensor=False).numpy()
    rows = {row["id"]: row for row in table_rows(lake / "vectors/new/documents")}
    assert rows.keys() == texts.keys()
    for row in rows.values():
        found = np.zeros(wanted.shape[1], dtype=np.float32)
        found[row["indices"]] = row["values"]
        np.testing.assert_allclose(found, wanted[list(texts).index(row["id"])], atol=1e-5)


def weights_of(model: Path | str) -> dict[str, np.ndarray]:
    """Weights of a model by name, as sentence-transformers loads them."""
    loaded = SparseEncoder(str(model), device="cpu", local_files_only=True)
    return {name: tensor.numpy() for name, tensor in loaded.state_dict().items()}


def test_executors_train_the_model_that_processes_beside_the_driver_train(lake: Path, tmp_path: Path) -> None:
    for where, settings in (("driver", SMALL), ("executors", CLUSTER)):
        train = ("train_model", "--lake", str(lake), "--model", "splade-tiny", "--output", where, *STEPS)
        code, result, err = call(*train, "--where", where, "--processes", "2", cwd=tmp_path, settings=settings)
        assert code == 0, err
        assert result["status"] in WRITTEN
        assert result["steps"] == 6
        assert not (tmp_path / f"{where}.work").exists()
    start, wanted = weights_of(resolve_checkpoint("splade-tiny").folder), weights_of(tmp_path / "driver")
    # Adam moves a weight by about the learning rate, 4e-5, in its first step.
    assert max(np.abs(wanted[name] - start[name]).max() for name in wanted) > 1e-5
    found = weights_of(tmp_path / "executors")
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-6, err_msg=name)


def processes_in(folder: Path) -> list[int]:
    """Processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # of another user, or gone
            if (process / "cwd").resolve(strict=True) == folder:
                found.append(int(process.name))
    return found


def test_a_training_whose_driver_is_killed_goes_on_from_its_last_checkpoint(lake: Path, tmp_path: Path) -> None:
    train = ("train_model", "--lake", str(lake), "--model", "splade-tiny", "--output", "new", *STEPS)
    line = command(*train, "--max-steps", "60", *SMALL)
    with subprocess.Popen(
        line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as running:
        mark = tmp_path / "new.work/checkpoints/checkpoint-2/complete"
        for _ in range(4000):
            if mark.exists() or running.poll() is not None:
                break
            time.sleep(0.05)
        training = [pid for pid in processes_in(tmp_path) if os.getsid(pid) != running.pid]
        os.killpg(running.pid, signal.SIGKILL)
    assert mark.exists()
    assert training, "torchrun's processes are not of the job's group"
    assert not (tmp_path / "new").exists()
    time.sleep(3)
    assert not processes_in(tmp_path), "nothing trains on, beside the run that follows"
    code, result, err = call(*train, "--max-steps", "60", cwd=tmp_path)
    assert code == 0, err
    assert result["resumed_from"] >= 2
    assert result["steps"] == 60
