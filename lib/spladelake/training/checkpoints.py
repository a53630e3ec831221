"""Whole checkpoints: each gets a mark when all of its files are written, and training goes on from marked ones only."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

MARK = "complete"
_NAME = re.compile(r"checkpoint-(\d+)")


def step_of(folder: Path) -> int:
    """Step that a checkpoint was written after."""
    match = _NAME.fullmatch(folder.name)
    return int(match[1]) if match else -1


def last_complete(folder: Path, *, clean: bool) -> Path | None:
    """The newest whole checkpoint of a training. clean: remove those that a kill left unfinished."""
    every = sorted((path for path in folder.glob("checkpoint-*") if step_of(path) >= 0), key=step_of)
    found = [path for path in every if (path / MARK).exists()]
    if clean:
        for path in set(every) - set(found):
            shutil.rmtree(path)
    if not found or not clean:
        return found[-1] if found else None
    best = _best_of(found[-1])
    # The best one may have been among the unfinished; then the next evaluation chooses anew.
    if best is not None and not Path(best).is_dir():
        _forget_best(found[-1])
    return found[-1]


def _best_of(checkpoint: Path) -> str | None:
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    best: str | None = state["best_model_checkpoint"]
    return best


def _forget_best(checkpoint: Path) -> None:
    file = checkpoint / "trainer_state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    state["best_model_checkpoint"] = state["best_metric"] = state["best_global_step"] = None
    file.write_text(json.dumps(state, indent=2), encoding="utf-8")


class MarkComplete(TrainerCallback):
    """Marks a checkpoint when the trainer has written all of it."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Called after the last file of a checkpoint."""
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            (folder / MARK).touch()
