"""The description of a training, which is sent to its processes, and its outcome."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from spladelake.config.training import Distillation
from spladelake.errors import UsageError

# Name of the dev part in logs and model cards.
HELD_OUT = "held-out"


@dataclass(frozen=True)
class TrainingWork:
    """A training.

    - folder: the work folder, which holds the data, checkpoints, log and, at the end, the model.
    - settings: the settings of the training.
    - start: the folder of the start model.
    - name: the start model's name, for the model card.
    - source: the name of the training data, for the model card.
    - processes: number of processes that train together.
    - gpu: "auto", "yes" or "no".
    """

    folder: Path
    settings: Distillation
    start: str
    name: str = "start model"
    source: str = "training pairs"
    processes: int = 1
    gpu: str = "auto"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def log(self) -> Path:
        return self.folder / "training_log.csv"

    @property
    def progress(self) -> Path:
        """The file that holds the number of the last step."""
        return self.folder / "progress"

    @property
    def noted_step(self) -> int:
        """The last step in the progress file, 0 before the first."""
        try:
            return int(self.progress.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def rows_per_pass(self) -> int:
        """Pairs in one forward pass of one process."""
        return self.settings.batch_size // (self.processes * self.settings.accumulate)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a training.

    - status: "worse" if the model measures below its start model on dev, "collapsed" if most texts have empty vectors,
      "failed" if there is no model, else "trained".
    - steps: number of steps, with those before a resume.
    - resumed_from: step of the checkpoint that the training resumed from, else 0.
    - best_step: step of the best checkpoint, None without dev.
    - seconds: wall-clock time of the training.
    - first_step: time.time() at the end of the first step.
    - collapsed_at: step of an evaluation with empty vectors after the step of the written model.
    - measures, start_measures: measures on dev of the written model and of the start model, by our names.
    - error: kind, place, found, wanted and fix of a SpladelakeError. A training with an error publishes no model.
    """

    status: Literal["trained", "worse", "collapsed", "failed"] = "trained"
    steps: int = 0
    resumed_from: int = 0
    best_step: int | None = None
    seconds: float = 0.0
    first_step: float | None = None
    collapsed_at: int | None = None
    measures: dict[str, float] = field(default_factory=dict)
    start_measures: dict[str, float] = field(default_factory=dict)
    error: dict[str, Any] | None = None


def total_steps(settings: Distillation, pairs: int, *, processes: int) -> int:
    """Return the number of steps of the whole training, as transformers counts them.

    With several processes, transformers leaves out the incomplete batch at the end of an epoch.

    - settings: the settings of the training.
    - pairs: number of pairs.
    - processes: number of processes that train together.

    Raises UsageError if the pairs do not fill one batch.
    """
    rows = settings.batch_size // (processes * settings.accumulate)
    if pairs < settings.batch_size:
        raise UsageError(
            "--batch-size",
            f"the batch size is {settings.batch_size}, but there are {pairs:,} pairs to train on",
            "wanted pairs for at least one full batch",
            f"Set --batch-size to {pairs} or less, or get more pairs with mine_pairs.",
        )
    if settings.max_steps is not None:
        return settings.max_steps
    passes = pairs // (rows * processes) if processes > 1 else math.ceil(pairs / rows)
    per_epoch = max(1, math.ceil(passes / settings.accumulate))
    return math.ceil(settings.epochs * per_epoch)
