"""The files that a training writes while it runs: a csv of its log, and the number of its last step."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from spladelake.files.results import SIZES, card_metrics
from spladelake.measures import CARD_MEASURES
from spladelake.training.work import HELD_OUT

COLUMNS = (
    "step", "epoch", "seconds", "loss", "base_loss", "query_regularizer_loss", "document_regularizer_loss",
    "query_regularizer_weight", "document_regularizer_weight", "learning_rate", "grad_norm",
    *(f"eval_{HELD_OUT}_{name}" for name in card_metrics(dict.fromkeys([*CARD_MEASURES, *SIZES], 0.0))),
)  # fmt: skip
# Seconds between two writes of the step number, which only a progress bar reads.
NOTE_SECONDS = 0.5


class TrainingLog(TrainerCallback):
    """Appends a row to the csv whenever the trainer logs, and writes the step number to a file.

    - log: the csv file.
    - progress: the file of the step number.
    """

    def __init__(self, log: Path, progress: Path) -> None:
        self._log, self._progress = log, progress
        self._began = self._noted = time.monotonic()
        self.first_step: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Drop the rows after the step that the training resumes from: it writes them again."""
        if not state.is_world_process_zero:
            return
        rows: list[dict[str, str]] = []
        if self._log.exists() and state.global_step:
            with self._log.open(encoding="utf-8", newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= state.global_step]
        with self._log.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        self._note(state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Write the step number, at most every NOTE_SECONDS."""
        now = time.monotonic()
        if self.first_step is None:
            self.first_step = time.time()
        if state.is_world_process_zero and (now - self._noted > NOTE_SECONDS or state.global_step == state.max_steps):
            self._noted = now
            self._note(state.global_step)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
        logs: dict[str, float] | None = None, **kwargs: object,
    ) -> None:  # fmt: skip
        """Append the logged values as a row."""
        if not state.is_world_process_zero or not logs or not set(logs) & set(COLUMNS[3:]):
            return
        row = {"step": state.global_step, "seconds": round(time.monotonic() - self._began, 2), **logs}
        with self._log.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, COLUMNS, extrasaction="ignore").writerow(row)

    def _note(self, step: int) -> None:
        fresh = self._progress.with_suffix(".new")
        fresh.write_text(str(step), encoding="utf-8")
        os.replace(fresh, self._progress)
