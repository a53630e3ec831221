"""Complete checkpoints. A mark file is written last, and a training resumes only from a marked checkpoint."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

MARK = "complete"
_NAME = re.compile(r"checkpoint-(\d+)")


def step_of(folder: Path) -> int:
    """Return the step of a checkpoint folder, -1 if the folder is no checkpoint."""
    match = _NAME.fullmatch(folder.name)
    return int(match[1]) if match else -1


def last_complete(folder: Path, *, clean: bool) -> Path | None:
    """Return the newest complete checkpoint of a training, None if there is none.

    - folder: the folder of the checkpoints.
    - clean: remove the incomplete checkpoints that a kill left.
    """
    every = sorted((path for path in folder.glob("checkpoint-*") if step_of(path) >= 0), key=step_of)
    found = [path for path in every if (path / MARK).exists()]
    if clean:
        for path in set(every) - set(found):
            shutil.rmtree(path)
    if not found or not clean:
        return found[-1] if found else None
    best = _best_of(found[-1])
    # The best checkpoint may have been incomplete. Then the next evaluation chooses a new best.
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
    """Marks a checkpoint after the trainer has written all its files."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Write the mark. The trainer calls this after the last file of a checkpoint."""
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            (folder / MARK).touch()
