"""Distillation of SPLADE models on sentence-transformers' trainer: the losses, the data, checkpoints, evaluation.

    train(Work(folder, settings, start="splade-tiny", ...))

Nothing here needs pyspark, so a machine with GPUs and no Java can train from a folder of Parquet files. torch and
sentence-transformers (extra `train`) are imported when `train` is first called.
"""

from __future__ import annotations

from spladelake.training.data import TrainingData
from spladelake.training.work import Outcome, Work, total_steps

__all__ = ["Outcome", "TrainingData", "Work", "total_steps", "train"]


def train(work: Work) -> Outcome:
    """Train, or go on with training, and write the model; see `spladelake.training.run`."""
    from spladelake.training.run import train as run

    return run(work)
