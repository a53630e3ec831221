"""A training whose process is killed goes on from its last whole checkpoint."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spladelake.training import train
from support.training_data import small_work

KILLED = """
import os, signal, sys
from pathlib import Path
from transformers import TrainerCallback
from spladelake.training.run import trainer_of
from support.training_data import small_work

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

trainer, _ = trainer_of(small_work(Path(sys.argv[1]), max_steps=7, evaluate_steps=2))
trainer.add_callback(Kill())
trainer.train()
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_last_whole_checkpoint_to_the_weights_of_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    paths = [str(Path(__file__).resolve().parents[1]), *sys.path]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed")],
        env={"PYTHONPATH": ":".join(filter(None, paths)), "PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    settings = {"max_steps": 7, "evaluate_steps": 2}
    # As if the kill had come while the next checkpoint was written.
    (tmp_path / "killed" / "checkpoints" / "checkpoint-6").mkdir()
    again, undisturbed = (train(small_work(tmp_path / name, **settings)) for name in ("killed", "clean"))
    assert (again.resumed_from, again.steps, undisturbed.resumed_from) == (4, 7, 0)
    assert again.best_step == undisturbed.best_step
    found, wanted = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("killed", "clean"))
    for name, weights in wanted.items():
        torch.testing.assert_close(found[name], weights, rtol=0, atol=1e-6)
    logs = [(tmp_path / name / "training_log.csv").read_text(encoding="utf-8") for name in ("killed", "clean")]
    steps = [[line.split(",")[0] for line in log.splitlines()] for log in logs]
    assert steps[0] == steps[1]
