"""Measure a run against the judgements.

Reads runs, judgements, documents, vectors/NAME/documents, vectors/NAME/queries, training/SET/parts.
Writes measures.
"""

from spladelake.commands.launch import launch
from spladelake.config.jobs import EVALUATE_RUN

if __name__ == "__main__":
    launch(EVALUATE_RUN)
