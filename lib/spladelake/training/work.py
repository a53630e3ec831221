"""What one training is: where it works, what it starts from, how it came out. Small, and sent to its processes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from spladelake.config.training import Distillation
from spladelake.errors import UsageError

# Name under which the measures of dev stand in logs and cards.
HELD_OUT = "held-out"


@dataclass(frozen=True)
class Work:
    """A training. folder: of its data, checkpoints, log and, at its end, model. start: folder of the start model.

    name: of the start model, for the card. source: the training data in words, for the card. gpu: auto, yes or no.
    processes: that train together.
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
        """The number of the last step, as text."""
        return self.folder / "progress"

    @property
    def noted_step(self) -> int:
        """The last step that the training noted, 0 before the first."""
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
    """How a training came out.

    - status: trained; worse, if the model measures below its start model on dev; collapsed, if most texts have empty
      vectors; failed, if there is no model.
    - collapsed_at: step at which vectors on dev were empty although the written model, of an earlier step, is good.
    - first_step: time.time() at the end of the first step.
    - measures, start_measures: of the written model and of the start model on dev, by our names, empty without dev.
    - error: place, found, wanted, fix and the kind of an error that a user can act on; nothing is published then.
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
    """Steps of the whole training. Raises UsageError where the pairs do not fill one batch.

    As transformers counts them: processes beyond one leave out an incomplete batch at the end of an epoch.
    """
    rows = settings.batch_size // (processes * settings.accumulate)
    if pairs < settings.batch_size:
        raise UsageError(
            "--batch-size",
            f"it is {settings.batch_size}, and there are {pairs:,} pairs to train on",
            "one step takes a whole batch",
            f"Use {pairs} or less, or mine more pairs.",
        )
    if settings.max_steps is not None:
        return settings.max_steps
    passes = pairs // (rows * processes) if processes > 1 else math.ceil(pairs / rows)
    per_epoch = max(1, math.ceil(passes / settings.accumulate))
    return math.ceil(settings.epochs * per_epoch)
