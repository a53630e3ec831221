"""Train a model on mined pairs.

Reads documents, queries, judgements, runs, training/SET/parts, training/SET/pairs, training/SET/scored_pairs.
Writes a folder of the model.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import TRAIN_MODEL

if __name__ == "__main__":
    launch(TRAIN_MODEL)
