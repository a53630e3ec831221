"""Distillation of SPLADE models with sentence-transformers' trainer: losses, data, checkpoints and evaluation.

    train(TrainingWork(folder, settings, start="splade-tiny", ...))

Nothing here needs pyspark, so a machine with GPUs but without Java can train from a folder of Parquet files. The first
call of `train` imports torch and sentence-transformers (extra `train`).
"""

from __future__ import annotations

from spladelake.training.data import TrainingData
from spladelake.training.work import Outcome, TrainingWork, total_steps

__all__ = ["Outcome", "TrainingData", "TrainingWork", "Work", "total_steps", "train"]

# The name of TrainingWork in 0.1.
Work = TrainingWork


def train(work: TrainingWork) -> Outcome:
    """Start or resume a training and write the model; see `spladelake.training.run`."""
    from spladelake.training.run import run_training

    return run_training(work)
